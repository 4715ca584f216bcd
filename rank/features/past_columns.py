"""The history slices in numbers: what the events that attention reads have in common with each candidate, in attributes
and in words.

A slice is the user's own past events or other users' (`prectr.rank.history.slices`), the same ones that the network
attends to, cut as they are. They become columns of the feature file, so that the network and its rivals read the same
counts. Of the candidates' own texts there are some principal axes beside them: all that a rival can read of what an
item is; the network reads the text. [O]
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.compute import Feature, FeatureMatrix
from prectr.rank.features.exact_match import STATISTICS, event_weights, match_statistics
from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.features.groups import ITEM_TEXT, OTHERS, SLICES, is_item_text, is_soft_count
from prectr.rank.features.likeness import Likeness
from prectr.rank.features.soft_counts import KERNELS, NEAREST, UNLIKE_ANYTHING, kernel_name, soft_statistics
from prectr.rank.history.log import DAY, BehaviourLog

CELLS_AT_ONCE = 1 << 17  # candidates x events that are compared together, fewer than a processor's cache holds
WHOSE = {"user": "the user's", OTHERS: "other users'"}
PLURAL = {"match": "matches", "text": "texts"}


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
    return _features(likeness.attributes, None if likeness.vectors is None else likeness.vectors.num_units)


@lru_cache(maxsize=16)  # they are the same for every page
def _features(attributes: tuple[str, ...], units: int | None) -> tuple[Feature, ...]:
    features = []
    for kind in SLICES:
        features += _counts(kind, "match", {name: _same(name) for name in attributes})
        if units is not None:
            kernels = {kernel_name(mean): f"items whose text is alike by about {mean:g}" for mean, _ in KERNELS}
            features += _counts(kind, "text", kernels)
            features += [
                Feature(f"{kind}_text_{name}", "cosine", f"{kind} texts", f"{WHOSE[kind]} {meaning}")
                for name, meaning in NEAREST.items()
            ]
    means = (f"the item's text along principal axis {unit + 1} of the catalogue's" for unit in range(units or 0))
    features += [Feature(f"{ITEM_TEXT}{unit}", "as given", "item text", meaning) for unit, meaning in enumerate(means)]
    return tuple(features)


def _counts(kind: str, what: str, of: Mapping[str, str]) -> list[Feature]:
    return [
        Feature(
            f"{kind}_{what}_{name}_{statistic}", unit, f"{kind} {PLURAL[what]}", f"{WHOSE[kind]} {meaning.format(it)}"
        )
        for name, it in of.items()
        for statistic, (unit, meaning) in STATISTICS.items()
    ]


def _same(attribute: str) -> str:
    special = {"item_id": "this item", "text": "items of the very same text"}
    return special.get(attribute, f"items of its {attribute.removeprefix('cat_')}")


def past_columns(
    likeness: Likeness, log: BehaviourLog, item: np.ndarray, page: np.ndarray, seconds: np.ndarray, query: np.ndarray,
    slices: dict[str, np.ndarray], read: Collection[str] | None = None,
) -> FeatureMatrix:  # fmt: skip
    """What the slices of G pages say of their n candidates.

    Args:
        item: int [n], the candidates' codes in the log, -1 unknown. page: int [n], ascending 0 … G − 1.
        seconds: int64 [G]. query: int [G], codes in the log, -1 unknown.
        slices: by each of `SLICES` the rows of the log, int [G, H], -1 where there is no event.
        read: names of columns that somebody reads; None: all. Where no column of the texts is among them, those hold
            what they say of a candidate that is like nothing, and no text is compared.
    """
    features = past_features(likeness)
    values = np.zeros((len(item), len(features)), np.float32)
    compares, places = (True, True) if read is None else _read_of_texts(frozenset(read))
    if likeness.vectors is not None and places:
        values[:, len(features) - likeness.vectors.num_units :] = likeness.vectors.units(
            _taken(likeness.text, item, -1)
        )
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
            found.append(_compared(likeness, candidates, past, compares)[where])
        counted = torch.cat(found, 1).numpy()
        values[rows, : counted.shape[1]] = counted
    return FeatureMatrix(features, values)


@lru_cache(maxsize=16)  # it is the same for every page
def _read_of_texts(read: frozenset[str]) -> tuple[bool, bool]:
    """Whether counts of like texts are among the columns that somebody reads, and whether axes of its own text are."""
    return any(map(is_soft_count, read)), any(map(is_item_text, read))


def _compared(likeness: Likeness, candidates: np.ndarray, past: Slice, compares_texts: bool) -> Tensor:
    """What a slice says of candidates [G, C] (-1: none, or unknown): [G, C, columns]."""
    both = (candidates, past.items())
    weights = past.weights()
    ours, theirs = (torch.from_numpy(_taken(likeness.codes, items, 0)) for items in both)
    found = match_statistics(ours, theirs, weights).flatten(2)
    if likeness.vectors is None:
        return found
    unlike = torch.tensor(list(UNLIKE_ANYTHING.values()))
    if not compares_texts:
        return torch.cat([found, unlike.expand(*candidates.shape, -1)], -1)
    texts = [_taken(likeness.text, items, -1) for items in both]
    # Only what has a text is compared by it.
    weights = weights * torch.from_numpy(texts[1] >= 0)[..., None]
    of_ours, of_theirs = _vectors(likeness.vectors, texts)
    soft = soft_statistics(of_ours, of_theirs, weights)
    soft[torch.from_numpy(texts[0] < 0)] = unlike
    return torch.cat([found, soft], -1)


def _taken(column: np.ndarray, items: np.ndarray, missing: int) -> np.ndarray:
    """`column` [items of the log, ...] of items [...]; `missing` where the item is -1."""
    if not len(column):
        return np.full(items.shape + column.shape[1:], missing, column.dtype)
    found = column[items]
    found[items < 0] = missing
    return found


def _vectors(vectors: FrozenVectors, texts: Sequence[np.ndarray]) -> list[Tensor]:
    """float32 [..., V] of each array of texts; each distinct text is read once. Zeros where a text is -1."""
    distinct, place = np.unique(np.concatenate([part.ravel() for part in texts]), return_inverse=True)
    table = torch.from_numpy(vectors.items[distinct].astype(np.float32))
    table[torch.from_numpy(distinct < 0)] = 0.0
    places = np.split(place, np.cumsum([part.size for part in texts])[:-1])
    pairs = zip(places, texts, strict=True)
    return [table[torch.from_numpy(part)].reshape(*shape.shape, -1) for part, shape in pairs]


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
