"""The token vectors of texts, one text behind the other: in memory, or memory-mapped from a folder. [O]

Kept are the tokens that are compared: special ones and padding have no weight, and nothing reads them. Whole numbers
and float32, so that what is kept is what the encoder made, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import ABSENT, TokenVectors
from prectr.shared.errors import PrectrError
from prectr.shared.storage.npy import NpyWriter

TEXTS_AT_ONCE = 512

Kind = Literal["query", "item"]


class TextBlock(NamedTuple):
    """n texts of T tokens in all; a token's static vector is the encoder's own row, so it is looked up when needed."""

    begin: Tensor  # [n + 1] int64, where the tokens of each text begin
    ids: Tensor  # [T] int32
    weight: Tensor  # [T] float32, above 0
    contextual: Tensor  # [T, vector_size] float32
    pooled: Tensor  # [n, hidden_size] float32

    @classmethod
    def of(cls, ids: Tensor, vectors: TokenVectors) -> Self:
        """Of token ids [n, L] and what the encoder made of them."""
        kept = vectors.mask
        begin = F.pad(kept.sum(1).cumsum(0), (1, 0))
        parts = vectors.weight[kept].float(), vectors.contextual[kept].float(), vectors.pooled.float()
        return cls(begin, ids[kept].int(), *parts)

    @classmethod
    def joined(cls, blocks: Sequence[Self]) -> Self:
        """One block behind the other."""
        if len(blocks) == 1:
            return blocks[0]
        lengths = torch.cat([block.begin.diff() for block in blocks])
        _, *parts = zip(*blocks, strict=True)
        return cls(F.pad(lengths.cumsum(0), (1, 0)), *(torch.cat(part) for part in parts))

    @property
    def size(self) -> int:
        return len(self.pooled)

    def first(self, size: int) -> Self:
        """A copy of the first texts."""
        tokens = int(self.begin[size])
        ends = size + 1, tokens, tokens, tokens, size
        return type(self)(*(part[:end].clone() for part, end in zip(self, ends, strict=True)))

    def on(self, device: torch.device) -> Self:
        return type(self)(*(part.to(device) for part in self))

    def rows(self, rows: Tensor) -> Self:
        """The texts `rows` [m], in that order."""
        begin, token = self._tokens(rows)
        return type(self)(begin, self.ids[token], self.weight[token], self.contextual[token], self.pooled[rows])

    def _tokens(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens [t] of the texts `rows` [m], one text behind the other; and where each begins [m + 1]."""
        lengths = self.begin[rows + 1] - self.begin[rows]
        begin = F.pad(lengths.cumsum(0), (1, 0))
        token = torch.arange(int(begin[-1]), device=rows.device)
        return begin, token + (self.begin[rows] - begin[:-1]).repeat_interleave(lengths)

    def states(self, query: TokenVectors, rows: Tensor, encoder: LevelEncoder) -> Tensor:
        """Relevance states [m, S] of one query [1, Lq] with the texts `rows` [m], as `LevelEncoder.state` has them.

        Only tokens that are there are compared, a word of many texts once: a page's texts have most in common.
        """
        begin, token = self._tokens(rows)
        lengths = begin.diff()
        row = torch.arange(len(rows), device=rows.device).repeat_interleave(lengths)
        place = torch.arange(len(token), device=rows.device) - begin[row]
        shape = len(rows), max(int(lengths.max()) if len(rows) else 0, 1)
        used, of_token = torch.unique(self.ids[token], return_inverse=True)
        static = F.normalize(encoder.text_encoder.get_input_embeddings()(used).float(), dim=-1)
        similarities = []
        for values in (self.contextual[token] @ query.contextual[0].T, (static @ query.static[0].T)[of_token]):
            padded = values.new_full((*shape, query.mask.shape[1]), ABSENT)
            padded[row, place] = values.masked_fill(~query.mask[0], ABSENT)
            similarities.append(padded.transpose(1, 2))
        contextual, of_words = similarities
        weight = self.weight.new_zeros(shape)
        weight[row, place] = self.weight[token]
        cosine = self.pooled[rows] @ query.pooled[0].float()
        of_query = query.weight.expand(len(rows), -1)
        features = encoder.head.features_of(contextual, of_words, cosine, of_query, weight)
        return encoder.head.state_of(features)

    def vectors(self, rows: Tensor, encoder: LevelEncoder) -> TokenVectors:
        """Token vectors of the texts `rows` [m], as long as the longest needs; at least one place."""
        begin = self.begin[rows]
        lengths = self.begin[rows + 1] - begin
        longest = max(int(lengths.max()) if len(rows) else 0, 1)
        place = torch.arange(longest, device=rows.device)
        mask = place < lengths[:, None]
        if len(self.ids):
            # Behind a text's end stands any token: its weight is 0, and nothing reads it.
            token = (begin[:, None] + place).clamp_(max=len(self.ids) - 1)
            ids, weight, contextual = self.ids[token], self.weight[token] * mask, self.contextual[token]
        else:
            ids, weight = mask.int(), mask.float()
            contextual = torch.zeros(*mask.shape, self.contextual.shape[1], device=rows.device)
        # The texts of a page have most words in common.
        used, place = torch.unique(ids, return_inverse=True)
        static = F.normalize(encoder.text_encoder.get_input_embeddings()(used).float(), dim=-1)
        return TokenVectors(contextual, static[place], mask, weight, self.pooled[rows])


def encoded(encoder: LevelEncoder, texts: Sequence[str], kind: Kind) -> Iterator[TextBlock]:
    """What an encoder makes of texts, some at a time; one empty block of none."""
    for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
        tokens = encoder.tokenize(texts[start : start + TEXTS_AT_ONCE], kind)
        names = ("input_ids", "attention_mask")
        ids, mask = (torch.from_numpy(tokens[name]).to(encoder.device).long() for name in names)
        if not len(ids):
            yield nothing(encoder)
            continue
        with torch.inference_mode():
            if len(ids) == 1:  # a group of one would be filled up to eight
                ids, mask = (part[:, : int(mask.sum())] for part in (ids, mask))
                vectors = encoder.encode(ids, mask)
            else:
                vectors = encoder.encode_by_length(ids, mask).pad(ids.shape[1])
            block = TextBlock.of(ids, vectors)
        yield block


def nothing(encoder: LevelEncoder) -> TextBlock:
    """A block without texts."""
    size, width = encoder.config.vector_size, encoder.text_encoder.config.hidden_size
    return TextBlock(
        torch.zeros(1, dtype=torch.int64, device=encoder.device),
        torch.zeros(0, dtype=torch.int32, device=encoder.device),
        *(torch.zeros(*shape, device=encoder.device) for shape in ((0,), (0, size), (0, width))),
    )


def write_block(blocks: Iterator[TextBlock], folder: Path, kind: Kind) -> None:
    """Write what `open_block` reads; only one of the blocks is held."""
    lengths, writers = list[np.ndarray](), dict[str, NpyWriter]()
    with ExitStack() as stack:
        for block in blocks:
            lengths.append(block.begin.diff().cpu().numpy())
            for name in TextBlock._fields[1:]:
                part = getattr(block, name).cpu().numpy()
                if name not in writers:
                    writer = NpyWriter(folder / f"{kind}_{name}.npy", part.dtype, part.shape[1:])
                    writers[name] = stack.enter_context(writer)
                writers[name].append(part)
    np.save(folder / f"{kind}_begin.npy", np.append(0, np.concatenate(lengths).cumsum()))


def open_block(folder: Path, kind: Kind) -> TextBlock:
    """What `write_block` wrote, memory-mapped.

    Raises:
        PrectrError: a file is missing or damaged.
    """
    parts = []
    for name in TextBlock._fields:
        path = folder / f"{kind}_{name}.npy"
        try:
            # Copied where it is written to, which nobody does: torch takes no array that must not be written to.
            parts.append(torch.from_numpy(np.load(path, mmap_mode="c").view(np.ndarray)))
        except (OSError, ValueError, EOFError) as error:
            raise PrectrError(f"{path} is missing or damaged: remove {folder}, so that it is made again.") from error
    return TextBlock(*parts)
