"""What the level head reads of pairs of texts, computed once: all that a resting text encoder has to say of them."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.npy import open_array

PAIRS, VALUES, TEXTS = "pairs.npy", "values.npy", "texts.json"
ROWS_AT_ONCE = 1 << 20


def number_pairs(query_text: np.ndarray, item_text: np.ndarray, num_items: int) -> np.ndarray:
    """Each of n (query text, item text) pairs as one number, int64 [n]; `divmod` by `num_items` gives both back."""
    return query_text.astype(np.int64) * num_items + item_text


class PairFeatures:
    """The level head's features of many pairs, numbered by `number_pairs`.

    Args:
        pairs: int64 [D], ascending. values: float32 [D, F], memory-mapped or not. num_items: item texts in all.
    """

    def __init__(self, pairs: np.ndarray, values: np.ndarray, num_items: int) -> None:
        self.pairs, self.values, self.num_items = pairs, values, num_items

    @classmethod
    def open(cls, folder: Path) -> "PairFeatures":
        """What `rank.run.build_pair_features` wrote."""
        texts = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
        return cls(open_array(folder / PAIRS), open_array(folder / VALUES), texts["items"])

    def rows(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The features of the distinct pairs among n [d, F], and the place of each of the n among them [n]."""
        wanted, place = np.unique(number_pairs(query_text, item_text, self.num_items), return_inverse=True)
        return torch.from_numpy(self.values[np.searchsorted(self.pairs, wanted)]), place


def distinct_pairs(texts_of_rows: Iterable[tuple[np.ndarray, np.ndarray]], num_items: int) -> np.ndarray:
    """The numbers of all pairs that occur, int64 [D], ascending; read part by part, so that memory grows with D alone.

    Args:
        texts_of_rows: query and item texts [n] of sets of rows, memory-mapped or not.
    """
    found = np.zeros(0, np.int64)
    for query_text, item_text in texts_of_rows:
        for start in range(0, len(query_text), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found = np.union1d(found, number_pairs(query_text[part], item_text[part], num_items))
    return found
