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
PAIRS_STEP = 64  # distinct pairs of a batch are padded to a multiple: oneDNN and cuBLAS choose a kernel for every shape


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


def text_batch(texts: Texts, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Batch, np.ndarray]:
    """Distinct texts and pairs of n (query, item text) pairs, and each one's place among the distinct pairs [n]."""
    width = int(item_text.max()) + 1
    distinct, pair = np.unique(number_pairs(query_text, item_text, width), return_inverse=True)
    used_query, pair_query = np.unique(distinct // width, return_inverse=True)
    used_item, pair_item = np.unique(distinct % width, return_inverse=True)
    # Padding pairs repeat the first one: their states are computed, and read by nobody.
    padding = np.zeros(-len(distinct) % PAIRS_STEP, np.int64)
    query_ids, query_mask = token_tensors(texts.query, used_query)
    item_ids, item_mask = token_tensors(texts.item, used_item)
    return {
        "query_ids": query_ids,
        "query_mask": query_mask,
        "item_ids": item_ids,
        "item_mask": item_mask,
        "pair_query": torch.from_numpy(np.concatenate([pair_query, padding])),
        "pair_item": torch.from_numpy(np.concatenate([pair_item, padding])),
    }, pair


def token_tensors(tokens: dict[str, np.ndarray], used: np.ndarray | slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Ids and mask [m, L] int64 of the texts `used` [m]; all of them if none are named."""
    ids, mask = (torch.from_numpy(tokens[name][used].astype(np.int64)) for name in TOKENS)
    return ids, mask


def number_pairs(query_text: np.ndarray, item_text: np.ndarray, num_items: int) -> np.ndarray:
    """Each of n (query text, item text) pairs as one number, int64 [n]; `divmod` by `num_items` gives both back."""
    return query_text.astype(np.int64) * num_items + item_text
