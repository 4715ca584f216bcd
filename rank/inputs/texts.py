"""Every distinct text, tokenised once, and the distinct texts and pairs of a batch."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.storage.npy import NpyWriter, open_array

PAIRS_STEP = 64  # distinct pairs of a batch are padded to a multiple of this: few shapes, few compiled kernels


TEXTS_AT_ONCE = 1 << 16  # that are tokenised together


@dataclass
class Texts:
    """Every distinct text, tokenised once: ids and masks [n, L]."""

    query: dict[str, np.ndarray]
    item: dict[str, np.ndarray]

    @classmethod
    def tokenize(
        cls, encoder: LevelEncoder, queries: list[str], items: list[str], folder: Path | None = None
    ) -> "Texts":
        """Args:
        folder: where the tokens are written, to be read memory-mapped; None: they are in memory.
        """
        if folder is None:
            return cls(encoder.tokenize(queries, "query"), encoder.tokenize(items, "item"))
        folder.mkdir(parents=True, exist_ok=True)
        return cls(_tokens_on_disk(encoder, queries, "query", folder), _tokens_on_disk(encoder, items, "item", folder))

    def batch(self, kind: str, used: np.ndarray) -> dict[str, Tensor]:
        """The texts `used` [m]: ids and masks [m, L]."""
        tokens = getattr(self, kind)
        return {
            f"{kind}_ids": torch.from_numpy(tokens["input_ids"][used].astype(np.int64)),
            f"{kind}_mask": torch.from_numpy(tokens["attention_mask"][used].astype(np.int64)),
        }


def _tokens_on_disk(
    encoder: LevelEncoder, texts: list[str], kind: Literal["query", "item"], folder: Path
) -> dict[str, np.ndarray]:
    with ExitStack() as stack:
        files: dict[str, NpyWriter] = {}
        for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
            for name, tokens in encoder.tokenize(texts[start : start + TEXTS_AT_ONCE], kind).items():
                if name not in files:
                    file = NpyWriter(folder / f"{kind}_{name}.npy", tokens.dtype, tokens.shape[1:])
                    files[name] = stack.enter_context(file)
                files[name].append(tokens)
    return {name: open_array(folder / f"{kind}_{name}.npy") for name in files}


def text_batch(texts: Texts, query_text: np.ndarray, item_text: np.ndarray) -> tuple[dict[str, Tensor], np.ndarray]:
    """Distinct texts and pairs of n (query, item text) pairs, and each one's place among the distinct pairs [n]."""
    width = int(item_text.max()) + 1
    distinct, pair = np.unique(number_pairs(query_text, item_text, width), return_inverse=True)
    used_query, pair_query = np.unique(distinct // width, return_inverse=True)
    used_item, pair_item = np.unique(distinct % width, return_inverse=True)
    # Padding pairs repeat the first one: their states are computed, and read by nobody.
    padding = np.zeros(-len(distinct) % PAIRS_STEP, np.int64)
    return {
        **texts.batch("query", used_query),
        **texts.batch("item", used_item),
        "pair_query": torch.from_numpy(np.concatenate([pair_query, padding])),
        "pair_item": torch.from_numpy(np.concatenate([pair_item, padding])),
    }, pair


def number_pairs(query_text: np.ndarray, item_text: np.ndarray, num_items: int) -> np.ndarray:
    """Each of n (query text, item text) pairs as one number, int64 [n]; `divmod` by `num_items` gives both back."""
    return query_text.astype(np.int64) * num_items + item_text
