"""The history slices in numbers: what the events that attention reads have in common with each candidate.

A slice is the user's own past events or other users' (`prectr.rank.history.slices`), the same ones that the network
attends to, cut as they are. They become columns of the feature file, so that the network and its rivals read the same
counts. [O]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.compute import Feature, FeatureMatrix
from prectr.rank.features.exact_match import STATISTICS, event_weights, match_statistics
from prectr.rank.features.groups import OTHERS, SLICES
from prectr.rank.features.likeness import Likeness
from prectr.rank.history.log import DAY, BehaviourLog

CELLS_AT_ONCE = 1 << 19  # candidates x events that are compared together, fewer than a processor's cache holds
WHOSE = {"user": "the user's", OTHERS: "other users'"}


@dataclass(frozen=True)
class Slice:
    """Past events of G pages, H each, beside the pages' time and query.

    Attributes:
        rows: int [G, H] of the log, -1 where there is no event. seconds: int64 [G]. query: int [G], -1 unknown.
    """

    log: BehaviourLog
    rows: np.ndarray
    seconds: np.ndarray
    query: np.ndarray

    def weights(self) -> Tensor:
        """What each event counts as, `event_weights`: [G, H, 5]."""
        if not len(self.log):
            return torch.zeros(*self.rows.shape, 5)
        known, where = self.rows >= 0, np.maximum(self.rows, 0)
        days = np.maximum(self.seconds[:, None] - self.log.seconds[where], 0) / DAY
        same_query = (self.log.query[where] == self.query[:, None]) & (self.query[:, None] >= 0)
        clicked, since = (torch.from_numpy(np.asarray(part, np.float32)) for part in (self.log.clicked[where], days))
        return event_weights(torch.from_numpy(known), clicked, since, torch.from_numpy(same_query))

    def items(self) -> np.ndarray:
        """The events' items, codes of the log int [G, H]; -1 where there is no event."""
        if not len(self.log):
            return np.full(self.rows.shape, -1)
        return np.where(self.rows >= 0, self.log.item[np.maximum(self.rows, 0)], -1)


def past_features(likeness: Likeness) -> tuple[Feature, ...]:
    """What the columns of `past_columns` mean."""
    return tuple(
        Feature(f"{kind}_match_{name}_{statistic}", unit, f"{kind} matches", f"{WHOSE[kind]} {_of(meaning, name)}")
        for kind in SLICES
        for name in likeness.attributes
        for statistic, (unit, meaning) in STATISTICS.items()
    )


def _of(meaning: str, attribute: str) -> str:
    return meaning.format("this item" if attribute == "item_id" else f"items of its {attribute.removeprefix('cat_')}")


def past_columns(
    likeness: Likeness, log: BehaviourLog, item: np.ndarray, page: np.ndarray, seconds: np.ndarray, query: np.ndarray,
    slices: dict[str, np.ndarray],
) -> FeatureMatrix:  # fmt: skip
    """What the slices of G pages say of their n candidates.

    Args:
        item: int [n], the candidates' codes in the log, -1 unknown. page: int [n], ascending 0 … G − 1.
        seconds: int64 [G]. query: int [G], codes in the log, -1 unknown.
        slices: by each of `SLICES` the rows of the log, int [G, H], -1 where there is no event.
    """
    features = past_features(likeness)
    values = np.empty((len(item), len(features)), np.float32)
    bounds = np.searchsorted(page, np.arange(len(seconds) + 1))
    longest = max(rows.shape[1] for rows in slices.values())
    for pages in page_blocks(np.diff(bounds), longest):
        rows = slice(int(bounds[pages.start]), int(bounds[pages.stop]))
        place = np.arange(rows.start, rows.stop) - bounds[page[rows]]  # among its page's candidates
        where = page[rows] - pages.start, place
        candidates = np.full((pages.stop - pages.start, place.max(initial=-1) + 1), -1)
        candidates[where] = item[rows]
        found = []
        for kind in SLICES:
            past = Slice(log, slices[kind][pages], seconds[pages], query[pages])
            found.append(_compared(likeness, candidates, past)[where])
        values[rows] = torch.cat(found, 1).numpy()
    return FeatureMatrix(features, values)


def _compared(likeness: Likeness, candidates: np.ndarray, past: Slice) -> Tensor:
    """What a slice says of candidates [G, C] (-1: none, or unknown): [G, C, columns]."""
    ours, theirs = (_taken(likeness.codes, items) for items in (candidates, past.items()))
    return match_statistics(ours, theirs, past.weights()).flatten(2)


def _taken(codes: np.ndarray, items: np.ndarray) -> Tensor:
    """Attributes [..., A] of items; all unknown where there is none."""
    if not len(codes):
        return torch.zeros(*items.shape, codes.shape[1], dtype=torch.int32)
    return torch.from_numpy(np.where(items[..., None] >= 0, codes[np.maximum(items, 0)], 0))


def page_blocks(sizes: np.ndarray, events: int) -> Iterator[slice]:
    """Pages [G] of so many candidates each, as runs that have at most `CELLS_AT_ONCE` candidates x events when all are
    as large as the largest; a larger page is a run of its own."""
    start, largest = 0, 0
    for place, size in enumerate(sizes.tolist()):
        largest = max(largest, size)
        if place > start and (place + 1 - start) * largest * max(events, 1) > CELLS_AT_ONCE:
            yield slice(start, place)
            start, largest = place, size
    if start < len(sizes):
        yield slice(start, len(sizes))
