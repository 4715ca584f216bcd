"""The ranker's prepared sets as the batches that FuxiCTR's LongCTR models read: `(columns, item columns, mask)`.

Every item, the candidate as well as each past event, has the same columns: the items' categoricals, what happened to
it, how long ago, and its level probabilities. Index 0 of each is padding, which FuxiCTR embeds as zero; the candidate
comes last, after its user's events in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.rivals.text_vectors import TextVectors
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.history.log import DAY
from prectr.rank.inputs.events import Events

BINS = 16  # quantile bins of each number
GAP_DAYS = (1.0, 3.0, 7.0, 14.0, 28.0, 56.0, 112.0, 182.0)  # edges of the bins of time since an event

# What happened to an item: nothing yet, or in a past event; types of event other than a search follow.
CANDIDATE, SKIPPED, CLICKED = 1, 2, 3
NUM_GAPS = 2 + len(GAP_DAYS) + 1  # padding, the candidate, and the bins

Batch = tuple[dict[str, Tensor], dict[str, Tensor], Tensor]


class Widths(NamedTuple):
    """Sizes that decide the shapes of a batch and of the embeddings behind it."""

    numbers: int  # standardised numbers, and the cosine of query and item text
    text: int
    levels: int
    actions: int
    context: tuple[int, ...]  # cardinality of each categorical that is not the item's
    item: tuple[int, ...]  # cardinality of each of the item's, without padding


@dataclass
class Columns:
    """What turns rows of any set into a batch; `edges` [numbers, BINS − 1] come from training rows."""

    events: Events
    vectors: TextVectors
    item_columns: list[int]
    context_columns: list[int]
    edges: np.ndarray

    def numbers(self, prepared: PreparedSet) -> np.ndarray:
        """The set's numbers and the cosine of its texts: float32 [n, numbers]."""
        return _with_cosine(prepared, self.vectors)

    def bins(self, numbers: np.ndarray) -> np.ndarray:
        """Each number's bin as an index into one table of all numbers' bins: int16 [n, numbers]."""
        found = [np.searchsorted(edges, column) for edges, column in zip(self.edges, numbers.T, strict=True)]
        return (np.stack(found, 1) + BINS * np.arange(len(found))).astype(np.int16)


def fit_edges(prepared: PreparedSet, vectors: TextVectors) -> np.ndarray:
    """Quantiles that cut the training rows' numbers into bins: float32 [numbers, BINS − 1]."""
    quantiles = np.arange(1, BINS) / BINS
    return np.quantile(_with_cosine(prepared, vectors), quantiles, axis=0).T.astype(np.float32)


class Batches:
    """A set, batch by batch; FuxiCTR's `fit` and `predict` walk through it, `fit` once per epoch.

    Args:
        history: [G, L] rows of the log, -1 first. order: the rows [n] of an epoch, by its number; None: as they lie.
            A shuffled last batch that is short is left out.
        wrap: put around the batches of an epoch, to show progress.
    """

    def __init__(
        self,
        columns: Columns,
        prepared: PreparedSet,
        history: np.ndarray,
        batch_size: int,
        order: Callable[[int], np.ndarray] | None = None,
        wrap: Callable[[Any], Any] = iter,
    ) -> None:
        self.columns, self.prepared, self.history = columns, prepared, history
        self.batch_size, self.order, self.wrap = batch_size, order, wrap
        self.epoch = 0
        self.numbers = columns.numbers(prepared)
        self.bins = columns.bins(self.numbers)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.prepared), self.batch_size)
        return max(whole, 1) if self.order is not None else whole + (rest > 0)

    def __iter__(self) -> Iterator[Batch]:
        rows = np.arange(len(self.prepared)) if self.order is None else self.order(self.epoch)
        self.epoch += 1
        size = self.batch_size
        for start in self.wrap(range(0, len(self) * size, size)):
            yield self.batch(rows[start : start + size])

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of these rows [B]; item columns are [B · (L + 1)], the mask of past events is [B, L]."""
        prepared, columns = self.prepared, self.columns
        categorical = prepared.categorical[rows].astype(np.int64)
        inputs = {
            "numbers": torch.from_numpy(self.numbers[rows]),
            "bins": torch.from_numpy(self.bins[rows].astype(np.int64)),
            "query_text": torch.from_numpy(columns.vectors.query[prepared.query_text[rows]]),
            "item_text": torch.from_numpy(columns.vectors.item[prepared.item_text[rows]]),
            "clicked": torch.from_numpy(prepared.clicked[rows].astype(np.float32)),
        }
        for number, column in enumerate(columns.context_columns):
            inputs[f"context_{number}"] = torch.from_numpy(categorical[:, column])
        page = prepared.page[rows]
        past = self.history[page]
        known = past >= 0
        items = self._items(rows, categorical[:, columns.item_columns], past, known, prepared.seconds[page])
        return inputs, items, torch.from_numpy(known.astype(np.float32))

    def _items(
        self, rows: np.ndarray, candidate: np.ndarray, past: np.ndarray, known: np.ndarray, seconds: np.ndarray
    ) -> dict[str, Tensor]:
        """The columns of past events [B, L] and, last, of the candidates [B], flat."""
        events, size = self.columns.events, len(rows)
        log = events.log
        own_level = self.prepared.level_prob[rows][:, None]
        if len(log):
            where = np.maximum(past, 0)
            days = (seconds[:, None] - log.seconds[where]) / DAY
            action = np.where(log.clicked[where] > 0, CLICKED, SKIPPED) + log.event[where]
            codes = events.item_categorical[log.item[where]].astype(np.int64) + 1
            level = np.where(known[..., None], log.level_prob[where].astype(np.float32), 0)
        else:
            days, action = np.zeros(past.shape), np.zeros(past.shape, np.int64)
            codes = np.zeros((*past.shape, candidate.shape[1]), np.int64)
            level = np.zeros((*past.shape, own_level.shape[2]), np.float32)
        codes = np.concatenate([codes * known[..., None], candidate[:, None] + 1], 1)
        gap = (2 + np.searchsorted(GAP_DAYS, days)) * known
        last = np.full((size, 1), CANDIDATE)
        found = {
            "action": np.concatenate([action * known, last], 1),
            "gap": np.concatenate([gap, last], 1),
            "level_prob": np.concatenate([level, own_level], 1).reshape(-1, own_level.shape[2]),
        }
        flat = {name: values if name == "level_prob" else values.reshape(-1) for name, values in found.items()}
        flat |= {f"item_{number}": codes[..., number].reshape(-1) for number in range(codes.shape[2])}
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in flat.items()}


def _with_cosine(prepared: PreparedSet, vectors: TextVectors) -> np.ndarray:
    cosine = vectors.cosine(prepared.query_text, prepared.item_text)
    return np.concatenate([prepared.numeric, cosine[:, None]], 1, dtype=np.float32)
