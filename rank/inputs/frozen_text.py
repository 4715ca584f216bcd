"""What the level head reads of pairs of texts, computed once: all that a frozen text encoder has to say of them."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prectr.rank.inputs.texts import Texts, number_pairs, token_tensors
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress_bar
from prectr.shared.storage.npy import new_array, open_array
from prectr.shared.training.device import autocast, compute_device

PAIRS, VALUES, TEXTS = "pairs.npy", "values.npy", "texts.json"
ROWS_AT_ONCE = 1 << 20
TEXTS_AT_ONCE = 512  # that are encoded together
PAIRS_AT_ONCE = 1 << 13  # a text's token vectors take some 65 kB, and of so many pairs each may have another text


class PairFeatures:
    """The level head's features of many pairs, numbered by `number_pairs`.

    Args:
        pairs: int64 [D], ascending. values: float32 [D, F], memory-mapped or not. num_items: item texts in all.
    """

    def __init__(self, pairs: np.ndarray, values: np.ndarray, num_items: int) -> None:
        self.pairs, self.values, self.num_items = pairs, values, num_items

    @classmethod
    def open(cls, folder: Path) -> "PairFeatures":
        """What `write_frozen_text` wrote."""
        texts = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
        return cls(open_array(folder / PAIRS), open_array(folder / VALUES), texts["items"])

    def rows(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The features of the distinct pairs among n [d, F], and the place of each of the n among them [n].

        Raises:
            PrectrError: a pair that is not among the stored ones.
        """
        wanted, place = np.unique(number_pairs(query_text, item_text, self.num_items), return_inverse=True)
        row = np.searchsorted(self.pairs, wanted)
        stored = self.pairs[np.minimum(row, len(self.pairs) - 1)]
        if len(wanted) and not np.array_equal(stored, wanted):
            query, item = divmod(int(wanted[stored != wanted][0]), self.num_items)
            raise PrectrError(
                f"no features are stored of query text {query} with item text {item}: remove the folder pair_features/ "
                "of this data set, so that they are made again."
            )
        return torch.from_numpy(self.values[row]), place


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


class TokenTables:
    """The token vectors of every text.

    Args:
        encoder: read as it is, in evaluation mode. texts: every text that will occur. bf16: matrix products in
            bfloat16, where the machine has them.
    """

    def __init__(self, encoder: LevelEncoder, texts: Texts, bf16: bool) -> None:
        self.encoder = encoder.eval()
        with torch.inference_mode(), autocast(encoder.device, bf16):
            self.query, self.item = (_encoded(encoder, *token_tensors(tokens)) for tokens in (texts.query, texts.item))

    def states(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """States [D, S] of the distinct pairs among n, and the place of each of the n among them [n]."""
        width = len(self.item.mask)
        pairs, place = np.unique(number_pairs(query_text, item_text, width), return_inverse=True)
        device = self.encoder.device
        query_row, item_row = (torch.from_numpy(part).to(device) for part in np.divmod(pairs, width))
        states = torch.empty(len(pairs), self.encoder.state_size, device=device)
        for which, state in self.encoder.states_of_rows(self.query, self.item, query_row, item_row):
            states[which] = state.float()
        return states, place


@torch.inference_mode()
def write_pair_features(encoder: LevelEncoder, texts: Texts, pairs: np.ndarray, path: Path, bf16: bool) -> None:
    """Write the features of `pairs` [D] (see `distinct_pairs`) to `path` (.npy): float32 [D, F].

    Pairs go through item by item, so that nearly every item text is encoded once, and only the texts of
    `PAIRS_AT_ONCE` pairs are held.
    """
    encoder = encoder.to(compute_device()).eval()
    num_items = len(texts.item["input_ids"])
    order = np.argsort(pairs % num_items, kind="stable")
    bar = progress_bar("features of pairs of texts", len(pairs), "pairs")
    with atomic_write(path) as temporary, autocast(encoder.device, bf16), bar as advance:
        values = new_array(temporary, np.float32, (len(pairs), len(encoder.head.shift)))
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            block = order[start : start + PAIRS_AT_ONCE]
            (query, query_row), (item, item_row) = (
                np.unique(side, return_inverse=True) for side in np.divmod(pairs[block], num_items)
            )
            query_vectors, item_vectors = (
                _encoded(encoder, *token_tensors(tokens, used))
                for tokens, used in ((texts.query, query), (texts.item, item))
            )
            of_query, of_item = (torch.from_numpy(side).to(encoder.device) for side in (query_row, item_row))
            for which, features in encoder.features_of_rows(query_vectors, item_vectors, of_query, of_item):
                values[block[which.cpu().numpy()]] = features.float().cpu().numpy()
            advance(len(block))
        values.flush()


def _encoded(encoder: LevelEncoder, ids: Tensor, mask: Tensor) -> TokenVectors:
    """The token vectors of m texts, a few at a time."""
    chunks = zip(ids.split(TEXTS_AT_ONCE), mask.split(TEXTS_AT_ONCE), strict=True)
    device = encoder.device
    parts = [encoder.encode_by_length(*(part.to(device) for part in chunk)).pad(ids.shape[1]) for chunk in chunks]
    return TokenVectors(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
