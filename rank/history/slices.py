"""What a user, and what other users, did before a page: the past events that target attention reads.

`user_slices` reads the user's own events, `cross_slices` other users' events under the same query; both return
row numbers of the behaviour log, so that a batch carries its history as one integer array.
"""

from __future__ import annotations

import numpy as np

from prectr.rank.history.index import BehaviourIndex
from prectr.rank.history.log import BehaviourLog, Coded

__all__ = ["BehaviourIndex", "BehaviourLog", "Coded", "cross_slices", "user_slices"]

_NEVER = np.iinfo(np.int64).max


def user_slices(
    log: BehaviourLog,
    user: np.ndarray,
    category: np.ndarray,
    since_row: np.ndarray,
    before_row: np.ndarray,
    n_category: int = 20,
    n_overall: int = 30,
    clicked_share: float = 0.75,
) -> np.ndarray:
    """Each user's past: their last events in the category, then their last other events; no event twice.

    Most of a page is skipped, so the latest events alone would reach back a page or two: a share of the places is
    kept for clicks, the rest is for skipped items [O]. Within each part the most recent event comes first; -1 pads.

    Args:
        user, category: codes [n]. since_row, before_row: the window [n].

    Returns:
        Row numbers int64 [n, n_category + n_overall].
    """
    category_parts, overall_parts = [], []
    for kind, share in (("clicked", clicked_share), ("skipped", 1 - clicked_share)):
        in_category, overall = log.index(f"user_category_{kind}"), log.index(f"user_{kind}")
        category_places, overall_places = round(n_category * share), round(n_overall * share)
        near = in_category.last(in_category.lookup(user, category), since_row, before_row, category_places)
        recent = overall.last(overall.lookup(user), since_row, before_row, category_places + overall_places)
        oldest = np.where(near >= 0, near, _NEVER).min(1, initial=_NEVER)
        repeated = (_column(log.category, recent) == category[:, None]) & (recent >= oldest[:, None])
        category_parts.append(near)
        overall_parts.append(_most_recent(np.where(repeated, -1, recent), overall_places))
    parts = ((category_parts, n_category), (overall_parts, n_overall))
    return np.concatenate([_most_recent(np.concatenate(rows, 1), size) for rows, size in parts], 1)


def cross_slices(
    log: BehaviourLog,
    user: np.ndarray,
    query: np.ndarray,
    category: np.ndarray,
    before_row: np.ndarray,
    n: int = 30,
    clicked_share: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """What *other* users did under the same query; where that is too little, under the query's category.

    Args:
        user, query, category: codes [n]. before_row: the window's end [n]; other users' events are never cut.
        clicked_share: the share of places for clicks; the rest is for skipped items [O].

    Returns:
        Row numbers int64 [n, n], most recent first within the query's events and then within the category's, padded
        with -1, and the back-off depth int64 [n]: 0 events of the query only, 1 some or all of the category, 2 none.
    """
    parts = []
    backed_off = np.zeros(len(user), bool)
    for kind, places in (("clicked", round(n * clicked_share)), ("skipped", n - round(n * clicked_share))):
        found = _last_of_others(log, f"query_{kind}", query, user, None, before_row, places)
        short = np.flatnonzero(found[:, -1] < 0) if places else np.zeros(0, np.int64)
        more = _last_of_others(
            log, f"category_{kind}", category[short], user[short], query[short], before_row[short], places
        )
        fill = np.full_like(found, -1)
        fill[short] = more
        room = (found >= 0).sum(1, keepdims=True) + np.arange(places) < places
        fill[~room] = -1
        backed_off |= (fill >= 0).any(1)
        parts.append((found, fill))
    of_query, of_category = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
    size = of_query.shape[1]
    rows = _compact(np.concatenate([_most_recent(of_query, size), _most_recent(of_category, size)], 1))[:, :n]
    return rows, np.where((rows >= 0).any(1), backed_off.astype(np.int64), 2)


def _last_of_others(
    log: BehaviourLog,
    name: str,
    key: np.ndarray,
    user: np.ndarray,
    except_query: np.ndarray | None,
    before_row: np.ndarray,
    n_last: int,
) -> np.ndarray:
    """The last `n_last` rows of each key's list that are not the user's own (nor of a query already read).

    Lists are read backwards in blocks until every one has given enough or is at its end: exact, however much of a
    list is the user's own.
    """
    index = log.index(name)
    begin, end = index.bounds(index.lookup(key), np.zeros_like(before_row), before_row)
    found = np.full((len(key), n_last), -1, np.int64)
    active = np.flatnonzero(end > begin) if n_last else np.zeros(0, np.int64)
    block = 2 * n_last
    while len(active):
        rows = index.take_back(begin[active], end[active], block)
        # Two events without a user are of two users, as far as anyone knows.
        own = (_column(log.user, rows) == user[active, None]) & (user[active, None] >= 0)
        if except_query is not None:
            own |= (_column(log.query, rows) == except_query[active, None]) & (except_query[active, None] >= 0)
        found[active] = _compact(np.concatenate([found[active], np.where(own, -1, rows)], 1))[:, :n_last]
        end[active] = np.maximum(end[active] - block, begin[active])
        active = active[(found[active, -1] < 0) & (end[active] > begin[active])]
        block *= 2
    return found


def _column(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`column` at `rows`; -1 where a row is -1."""
    return np.where(rows >= 0, column[np.maximum(rows, 0)], -1) if len(column) else np.full(rows.shape, -1)


def _most_recent(rows: np.ndarray, size: int) -> np.ndarray:
    """The `size` most recent of each line of row numbers, -1 last, padded to `size`."""
    ordered = -np.sort(-rows, axis=1)[:, :size]
    return np.pad(ordered, ((0, 0), (0, size - ordered.shape[1])), constant_values=-1)


def _compact(rows: np.ndarray) -> np.ndarray:
    """Each line with its -1 moved to the end, the order otherwise kept."""
    return np.take_along_axis(rows, np.argsort(rows < 0, axis=1, kind="stable"), 1)
