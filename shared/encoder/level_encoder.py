"""The relevance encoder: what `distill` publishes and `rank` loads.

A stock Hugging Face text encoder makes token vectors of every text on its own; `LevelHead` compares two texts' tokens
and says how relevant one is to the other. The folder it lives in opens with `AutoModel.from_pretrained` (the text
encoder), with sentence-transformers' `MultiVectorEncoder` (MaxSim over the same contextual vectors), and here:

    encoder = LevelEncoder.from_pretrained("artifacts/journey/encoder")
    encoder.score_pairs(["2 liter soda"], ["SOFT DRINKS SFT DRNK 2 LITER BTL CARB INCL"])     # [1, K] probabilities
    of the levels
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from prectr.shared.atomic import atomic_write, make_readable
from prectr.shared.encoder.fixed_length import FixedLength
from prectr.shared.encoder.level_head import EncoderConfig, LevelHead, TokenVectors
from prectr.shared.encoder.reading import check_length, pad_right
from prectr.shared.encoder.sentence_transformers import load_projection, save_modules
from prectr.shared.errors import PrectrError
from prectr.shared.hub import local_folder
from prectr.shared.hub_model import HubModel
from prectr.shared.pretrained import fill, open_config, open_model, open_tokenizer
from prectr.shared.run.console import progress_bar
from prectr.shared.run.schema import parsed, read_versioned, versioned
from prectr.shared.run.steps import RECORD, require_whole

SCHEMA_VERSION = 2
"""Of `level_head/config.json` and what lies beside it; raised whenever older code could not read it. 2: the head reads
the cosine of the pooled vectors; nothing older is read."""

LENGTH_STEP, ROWS_STEP = 8, 8
"""Shapes that texts are padded to: token lengths and numbers of texts are multiples of these."""

CHARACTERS_PER_TOKEN = 64
"""A text is cut to this many characters for each token kept, before it is tokenised, so that 100 kB of it cost what a
line does. Vocabularies have no entry as long (MiniLM's longest has 18 characters, Gemma's 31), so the tokens kept are
the same; blanks and unknown words alone can make a difference."""

FEW_PAIRS = 512
"""So few are compared together, each padded to the longest: a group of its own for every length takes longer."""

PAIRS_PER_BLOCK = 131_072
"""Pairs whose texts `score_pairs` holds encoded at once; bounds its memory."""


class LevelEncoder(nn.Module, HubModel):
    """Text encoder + projection to token vectors + level head.

    Args:
        text_encoder: any stock encoder with `last_hidden_state`, e.g. `BertModel`.
        tokenizer: its tokenizer.
        config: see `EncoderConfig`.
    """

    def __init__(
        self, text_encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: EncoderConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer = pad_right(tokenizer)
        self._fixed = {
            "query": FixedLength(tokenizer, config.query_length),
            "item": FixedLength(tokenizer, config.item_length),
        }
        self.text_encoder = text_encoder
        # Texts of some 20 tokens are too short for a fused kernel: a CPU takes 1.2 (bf16) to 2.5 times as long
        # with it [O, measured]. The saved config does not say so: whoever opens the folder chooses.
        text_encoder.set_attn_implementation("eager")
        hidden_size, vocabulary = text_encoder.config.hidden_size, text_encoder.config.vocab_size
        self.projection = nn.Linear(hidden_size, config.vector_size, bias=False)
        # Orthonormal rows nearly keep the text encoder's cosines: untrained, the projection already compares meanings.
        nn.init.orthogonal_(self.projection.weight)
        self.head = LevelHead(config)
        idf = torch.ones(vocabulary)
        idf[[i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]] = 0.0
        self.idf: Tensor
        self.register_buffer("idf", idf)

    @property
    def num_levels(self) -> int:
        return len(self.config.level_names)

    @property
    def state_size(self) -> int:
        return self.config.state_size

    @property
    def device(self) -> torch.device:
        return self.idf.device

    @classmethod
    def warm_start(cls, source: str | Path, config: EncoderConfig, num_layers: int) -> LevelEncoder:
        """A new encoder from the embeddings and the first `num_layers` layers of a trained one (hub id or folder);
        head and projection are random.

        Raises:
            PrectrError: the lengths of `config` are more than it reads.
        """
        longest = max(config.query_length, config.item_length)
        check_length(f"encoder {source}", open_config(source), longest, "query_length and item_length")
        text_encoder = open_model(AutoModel, source, num_hidden_layers=num_layers, dtype=torch.float32)
        return cls(text_encoder, open_tokenizer(source), config)

    def fit_idf(self, texts: Sequence[str]) -> None:
        """Sets each token's weight to its smoothed inverse document frequency, log((n + 1) / (texts with it + 1)) +
        1, over distinct `texts`; special tokens stay 0.
        """
        ids = self.tokenizer(
            [text[: CHARACTERS_PER_TOKEN * self.config.item_length] for text in texts],
            add_special_tokens=False,
            truncation=True,
            max_length=self.config.item_length,
        )["input_ids"]
        frequency = np.zeros(len(self.idf))
        for row in ids:
            frequency[np.unique(np.asarray(row, np.int64))] += 1
        idf = torch.from_numpy(np.log((len(texts) + 1) / (frequency + 1)) + 1).float().to(self.device)
        self.idf.copy_(torch.where(self.idf > 0, idf, self.idf))

    def freeze_token_embeddings(self) -> None:
        """Keeps the word embeddings as they are in all training to come: a batch holds few of them, and an optimiser
        that visits all costs more than it brings [O]; the static vectors then mean the same in every stage.
        """
        self.text_encoder.get_input_embeddings().requires_grad_(False)

    @torch.inference_mode()
    def fit_features(self, queries: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Standardises the head's features over n sample pairs, of all levels, and returns them, [n, features]; once,
        before training.
        """
        query, query_row = self._encode_distinct(*_coded(queries), "query")
        item, item_row = self._encode_distinct(*_coded(items), "item")
        features = self.head.features(query.take(query_row), item.take(item_row))
        self.head.standardise(features)
        standard: np.ndarray = ((features - self.head.shift) / self.head.scale).cpu().numpy()
        return standard

    def tokenize(self, texts: Sequence[str], kind: Literal["query", "item"]) -> dict[str, np.ndarray]:
        """Token ids of n texts, padded (and cut) to the kind's length L: `input_ids` [n, L] int32, `attention_mask`
        [n, L] int8.
        """
        fixed = self._fixed[kind]
        return fixed([text[: CHARACTERS_PER_TOKEN * fixed.length] for text in texts])

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> TokenVectors:
        """Token vectors of n texts [n, L]. Encode each distinct text once per batch, after `trim`, and `take` one row
        per pair.
        """
        input_ids, attention_mask = input_ids.long(), attention_mask.long()
        hidden = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = self.idf[input_ids] * attention_mask
        total = (hidden * attention_mask[..., None]).float().sum(1)
        return TokenVectors(
            contextual=F.normalize(self.projection(hidden), dim=-1),
            static=F.normalize(self.text_encoder.get_input_embeddings()(input_ids), dim=-1).to(hidden.dtype),
            mask=weight > 0,
            weight=weight,
            pooled=F.normalize(total, dim=-1),
        )

    def encode_by_length(self, input_ids: Tensor, attention_mask: Tensor) -> TokenVectors:
        """As `encode`, in the same order, but texts of like length go through together and none is padded for another.

        Groups have a length and a number of rows that are multiples of 8 (a row is
        repeated), so that few shapes occur: a kernel is compiled per shape.
        """
        lengths = -(-attention_mask.sum(1).clamp(min=1) // LENGTH_STEP) * LENGTH_STEP
        lengths = lengths.clamp(max=input_ids.shape[1])
        groups, order = [], []
        for length in torch.unique(lengths).tolist():
            rows = torch.nonzero(lengths == length).flatten()
            filled = torch.cat([rows, rows[:1].expand(-len(rows) % ROWS_STEP)])
            vectors = self.encode(input_ids[filled, :length], attention_mask[filled, :length])
            groups.append(TokenVectors(*(part[: len(rows)] for part in vectors)))
            order.append(rows)
        longest = max(group.mask.shape[1] for group in groups)
        padded = [group.pad(longest) for group in groups]
        together = TokenVectors(*(torch.cat(parts) for parts in zip(*padded, strict=True)))
        return together.take(torch.argsort(torch.cat(order)))

    def state(self, query: TokenVectors, item: TokenVectors) -> Tensor:
        """Pair state h [B, state_size] (float32) of B pairs: row b of `query` with row b of `item`."""
        state: Tensor = self.head(query, item)
        return state

    def states_of_rows(
        self, query: TokenVectors, item: TokenVectors, query_row: Tensor, item_row: Tensor, batch_size: int = 4096
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """States of many pairs, given as rows of `query` and `item`: yields (which pairs [b], their states [b,
        state_size]).
        """
        for pairs, features in self.features_of_rows(query, item, query_row, item_row, batch_size):
            yield pairs, self.head.state_of(features)

    def features_of_rows(
        self, query: TokenVectors, item: TokenVectors, query_row: Tensor, item_row: Tensor, batch_size: int = 4096
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `states_of_rows`, but what the level head makes a state of: (which pairs [b], features [b, F]).

        Pairs of texts of like length go together, since kernels over padding are most of the work otherwise.
        """
        query_length, item_length = (vectors.lengths()[row] for vectors, row in ((query, query_row), (item, item_row)))
        if 0 < len(query_row) <= FEW_PAIRS:
            query_length, item_length = (lengths.max().expand(len(lengths)) for lengths in (query_length, item_length))
        kind = query_length * (item.mask.shape[1] + 1) + item_length
        for each in torch.unique(kind).tolist():
            lengths = divmod(each, item.mask.shape[1] + 1)
            short_query, short_item = (v.cut(length) for v, length in zip((query, item), lengths, strict=True))
            for pairs in torch.nonzero(kind == each).flatten().split(batch_size):
                yield pairs, self.head.features(short_query.take(query_row[pairs]), short_item.take(item_row[pairs]))

    def level_logits(self, state: Tensor) -> Tensor:
        """[B, state_size] -> [B, K] logits, lowest level first (float32)."""
        return self.head.logits(state)

    @torch.inference_mode()
    def score_pairs(self, queries: Sequence[str], items: Sequence[str], batch_size: int = 4096) -> np.ndarray:
        """P(level | query, item text) of n pairs: [n, K] float32, rows sum to 1.

        Equal pairs are scored once, equal texts encoded once per block of `PAIRS_PER_BLOCK` pairs. Which pairs go
        together changes nothing but rounding.
        """
        if len(queries) != len(items):
            raise PrectrError(
                f"score_pairs got {len(queries)} queries and {len(items)} items; give one item text per query."
            )
        training = self.training
        if training:  # a model that threads share is not touched
            self.eval()
        query_texts, query_code = _coded(queries)
        item_texts, item_code = _coded(items)
        # Sorted by item: a block then holds few distinct items, and nearly every item text is encoded just once.
        distinct, where = np.unique(
            item_code.astype(np.int64) * max(len(query_texts), 1) + query_code, return_inverse=True
        )
        item_of, query_of = np.divmod(distinct, max(len(query_texts), 1))
        level_prob = np.empty((len(distinct), self.num_levels), np.float32)
        with progress_bar("scoring pairs", total=len(distinct), unit="pairs") as advance:
            for start in range(0, len(distinct), PAIRS_PER_BLOCK):
                block = slice(start, start + PAIRS_PER_BLOCK)
                query_vectors, query_row = self._encode_distinct(query_texts, query_of[block], "query")
                item_vectors, item_row = self._encode_distinct(item_texts, item_of[block], "item")
                pairs_of_block = self.states_of_rows(query_vectors, item_vectors, query_row, item_row, batch_size)
                for pairs, state in pairs_of_block:
                    probabilities = self.level_logits(state).softmax(-1)
                    level_prob[start + pairs.cpu().numpy()] = probabilities.cpu().numpy()
                    advance(len(pairs))
        if training:
            self.train()
        return level_prob[where]

    @torch.inference_mode()
    def maxsim(self, queries: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """What sentence-transformers' `MultiVectorEncoder` makes of n pairs: [n] float32, the mean over a query's
        tokens of the best cosine with a token of the item.

        Divided by the number of query tokens, which that library does not do, so that pairs of different queries
        compare; 0 where a text has no token.
        """
        query, query_row = self._encode_distinct(*_coded(queries), "query")
        item, item_row = self._encode_distinct(*_coded(items), "item")
        means = []
        for rows in zip(query_row.split(4096), item_row.split(4096), strict=True):
            q, i = query.take(rows[0]), item.take(rows[1])
            similarity = q.contextual @ i.contextual.transpose(1, 2)
            best = similarity.masked_fill(~i.mask[:, None, :], -torch.inf).amax(2)
            best = best.masked_fill(~q.mask | best.isinf(), 0.0)
            means.append(best.sum(1) / q.mask.sum(1).clamp(min=1))
        return torch.cat(means).float().cpu().numpy()

    def _encode_distinct(
        self, texts: np.ndarray, codes: np.ndarray, kind: Literal["query", "item"]
    ) -> tuple[TokenVectors, Tensor]:
        """Encodes the texts that occur in `codes` [n]; returns their vectors and each code's row among them."""
        used, row = np.unique(codes, return_inverse=True)
        tokens = self.tokenize(texts[used].tolist(), kind)
        ids, mask = (torch.from_numpy(part).to(self.device) for part in (tokens["input_ids"], tokens["attention_mask"]))
        chunks = [
            self.encode_by_length(*chunk).pad(ids.shape[1])
            for chunk in zip(ids.split(512), mask.split(512), strict=True)
        ]
        return TokenVectors(*(torch.cat(parts) for parts in zip(*chunks, strict=True))), torch.from_numpy(row).to(
            self.device
        )

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes the whole folder: safetensors and JSON only."""
        folder = save_directory
        (folder / "level_head").mkdir(exist_ok=True)
        names = self.config.level_names
        self.text_encoder.config.id2label = dict(enumerate(names))
        self.text_encoder.config.label2id = {name: level for level, name in enumerate(names)}
        self.text_encoder.save_pretrained(folder)
        make_readable(*folder.glob("model*.safetensors"))
        self.tokenizer.save_pretrained(folder)
        config = versioned(asdict(self.config), SCHEMA_VERSION)
        (folder / "level_head" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        with atomic_write(folder / "level_head" / "model.safetensors") as temporary:
            save_file({"idf": self.idf, **self.head.state_dict()}, temporary)
        save_modules(folder, self.projection, self.tokenizer, self.config.query_length, self.config.item_length)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **download: Any) -> LevelEncoder:
        """As `from_pretrained`; a `PrectrError` too where the folder holds no level head, or other tensors than its."""
        folder = local_folder(model_id, **download)
        if (folder / RECORD).is_file():
            require_whole(folder)
        head = folder / "level_head"
        if not (head / "config.json").is_file():
            raise PrectrError(
                f"{folder} is no published encoder: {head / 'config.json'} is missing; run `make distill`."
            )
        path = head / "config.json"
        config = parsed(EncoderConfig, read_versioned(path, SCHEMA_VERSION, SCHEMA_VERSION), path)
        with _without_a_bar():
            text_encoder = open_model(AutoModel, folder, other_parts=False, dtype=torch.float32)
        encoder = cls(text_encoder, open_tokenizer(folder), config)
        fill({"idf": encoder.idf, **encoder.head.state_dict()}, head / "model.safetensors")
        load_projection(folder, encoder.projection)
        return encoder.eval()


@contextmanager
def _without_a_bar() -> Iterator[None]:
    """Within, transformers loads weights in silence; whatever else shows its progress goes on doing so."""
    before = logging.set_tqdm_hook(lambda bar, arguments, settings: bar(*arguments, **{**settings, "disable": True}))
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _coded(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct texts, and each text's row among them."""
    return np.unique(np.asarray(texts, dtype=object), return_inverse=True)
