"""What the level head reads of pairs of texts, computed once: all that a resting text encoder has to say of them."""

import numpy as np
import torch
from torch import Tensor


def number_pairs(query_text: np.ndarray, item_text: np.ndarray, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs among n, as numbers int64 [D], ascending, and the place of each of the n among them [n]."""
    return np.unique(query_text.astype(np.int64) * num_items + item_text, return_inverse=True)


class PairFeatures:
    """The level head's features of many pairs.

    Args:
        pairs: int64 [D], as `number_pairs` numbers them. values: float32 [D, F], memory-mapped or not.
        num_items: item texts in all.
    """

    def __init__(self, pairs: np.ndarray, values: np.ndarray, num_items: int) -> None:
        self.pairs, self.values, self.num_items = pairs, values, num_items

    def rows(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The features of the distinct pairs among n [d, F], and the place of each of the n among them [n]."""
        wanted, place = number_pairs(query_text, item_text, self.num_items)
        return torch.from_numpy(self.values[np.searchsorted(self.pairs, wanted)]), place
