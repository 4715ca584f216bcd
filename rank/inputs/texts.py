"""Every distinct text, tokenised once, and the distinct texts and pairs of a batch."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from prectr.rank.inputs.batch import Batch
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.storage.npy import NpyWriter, open_array

TOKENS = ("input_ids", "attention_mask")
TEXTS_AT_ONCE = 1 << 16  # that are tokenised together


@dataclass
class Texts:
    """Every distinct text, tokenised once: ids and masks [n, L]."""

    query: dict[str, np.ndarray]
    item: dict[str, np.ndarray]

    @classmethod
    def tokenize(cls, encoder: LevelEncoder, queries: list[str], items: list[str]) -> "Texts":
        """In memory; `tokenize_to_disk` does the same on disk."""
        return cls(encoder.tokenize(queries, "query"), encoder.tokenize(items, "item"))

    @classmethod
    def open(cls, folder: Path) -> "Texts":
        """What `tokenize_to_disk` wrote, memory-mapped."""
        query, item = (
            {name: open_array(folder / f"{kind}_{name}.npy") for name in TOKENS} for kind in ("query", "item")
        )
        return cls(query, item)

    def of_catalogue(self, num_items: int) -> "Texts":
        """Without the item texts that only the replay has: they are numbered behind the catalogue's `num_items`."""
        return Texts(self.query, {name: tokens[:num_items] for name, tokens in self.item.items()})


def tokenize_to_disk(encoder: LevelEncoder, queries: list[str], items: list[str], folder: Path) -> None:
    """As `Texts.tokenize`, into files that `Texts.open` reads; only `TEXTS_AT_ONCE` texts are held."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokens(encoder, queries, "query", folder)
    _write_tokens(encoder, items, "item", folder)


def _write_tokens(encoder: LevelEncoder, texts: list[str], kind: Literal["query", "item"], folder: Path) -> None:
    with ExitStack() as stack:
        files: dict[str, NpyWriter] = {}
        for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
            for name, tokens in encoder.tokenize(texts[start : start + TEXTS_AT_ONCE], kind).items():
                if name not in files:
                    file = NpyWriter(folder / f"{kind}_{name}.npy", tokens.dtype, tokens.shape[1:])
                    files[name] = stack.enter_context(file)
                files[name].append(tokens)


def name_pairs(query_text: np.ndarray, item_text: np.ndarray) -> tuple[Batch, np.ndarray]:
    """The distinct pairs and texts of n (query, item text) pairs, and each one's place among the distinct pairs [n]."""
    width = int(item_text.max()) + 1
    distinct, pair = np.unique(number_pairs(query_text, item_text, width), return_inverse=True)
    (queries, pair_query), (items, pair_item) = (
        np.unique(side, return_inverse=True) for side in np.divmod(distinct, width)
    )
    return {
        "pair_queries": torch.from_numpy(queries),
        "pair_items": torch.from_numpy(items),
        "pair_query": torch.from_numpy(pair_query),
        "pair_item": torch.from_numpy(pair_item),
    }, pair


def token_tensors(tokens: dict[str, np.ndarray], used: np.ndarray | slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Ids and mask [m, L] int64 of the texts `used` [m]; all of them if none are named."""
    ids, mask = (torch.from_numpy(tokens[name][used].astype(np.int64)) for name in TOKENS)
    return ids, mask


def number_pairs(query_text: np.ndarray, item_text: np.ndarray, num_items: int) -> np.ndarray:
    """Each of n (query text, item text) pairs as one number, int64 [n]; `divmod` by `num_items` gives both back."""
    return query_text.astype(np.int64) * num_items + item_text
