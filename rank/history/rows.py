"""From parts of the behaviours table to segments of the log: ids become codes, and equal times an order.

A segment ends where a second ends, so that each is sorted by itself and only counters go on from one
to the next: the log does not depend on where its table was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import EVENT_TYPES
from prectr.rank.history.codes import encode
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.storage.npy import NpyWriter, open_array

MOST_EVENT_TYPES = 256  # one byte each
NO_PAGE = np.iinfo(np.int64).max

COLUMN_TYPES: dict[str, type] = {
    "user": np.int32, "item": np.int32, "query": np.int32, "category": np.int32, "clicked": np.uint8,
    "seconds": np.int64, "event": np.uint8, "page": np.int32, "level_prob": np.float16,
}  # fmt: skip
BEHAVIOUR_COLUMNS = (
    "user_id", "query", "query_category", "item_id", "clicked", "timestamp", "event_type", "page_id",
)  # fmt: skip
"""What the log reads of the table."""


def log_rows(
    behaviours: Iterable[pa.Table],
    vocabularies: Mapping[str, pa.Array],
    event_types: Sequence[str],
    pairs: LevelProb,
    engine: Engine = PLAIN,
    total: int | None = None,
    kept: Path | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Parts of the log, each a dict of its columns (`COLUMN_TYPES`), from parts of the table.

    Args:
        behaviours: in the order of time. vocabularies: users, items, queries and categories. pairs: every pair of a
            query and an item that occurs. total: rows of all parts. kept: see `Engine.map`.

    Raises:
        PrectrError: the events are not sorted by time, an item is unknown, or a pair is not scored.
    """
    # By id: codes follow the items table, whose order is as little to the point as that of the events.
    place_of_item = np.empty(len(vocabularies["items"]), np.int32)
    place_of_item[pc.sort_indices(vocabularies["items"]).to_numpy()] = np.arange(len(vocabularies["items"]))
    coding = _Coding(vocabularies, place_of_item, pa.array(event_types), pairs)
    job = Job("past events", lambda: coding, _coded, _num_rows, "rows")
    ordinals = _PageOrdinals(len(vocabularies["users"]))
    for found in engine.map(job, _whole_seconds(behaviours), total, kept):
        columns = dict(found)
        # The one that goes on from part to part.
        columns["page"] = ordinals.of(columns["user"], columns["seconds"], columns.pop("page_id"))
        yield columns


class _Coding(NamedTuple):
    """What ids become codes by."""

    vocabularies: Mapping[str, pa.Array]
    place_of_item: np.ndarray
    event_types: pa.Array
    pairs: LevelProb


def _coded(coding: _Coding, whole_seconds: tuple[int, pa.Table]) -> Arrays:
    """The columns of some seconds' events in their order, but `page`, and `page_id` [n]."""
    first_row, part = whole_seconds
    vocabularies = coding.vocabularies
    columns = {
        "user": encode(part["user_id"], vocabularies["users"]),
        "item": encode(part["item_id"], vocabularies["items"]),
        "query": encode(part["query"], vocabularies["queries"]),
        "category": encode(part["query_category"], vocabularies["categories"]),
        "clicked": part["clicked"].to_numpy().astype(np.uint8),
        "seconds": seconds_of(part["timestamp"]),
        "event": encode(part["event_type"], coding.event_types).astype(np.uint8),
        "page_id": pc.fill_null(part["page_id"], NO_PAGE).to_numpy(),
    }
    _check_items(columns["item"], first_row)
    columns["level_prob"] = coding.pairs.lookup(part["query"], part["item_id"]).astype(np.float16)
    # By time, then page (those without one last), then user, item, type and click.
    keys = ("clicked", "event", "item", "user")
    item = coding.place_of_item[columns["item"]]
    by = [item if name == "item" else columns[name] for name in keys]
    order = np.lexsort((*by, columns["page_id"], columns["seconds"]))
    return {name: column[order] for name, column in columns.items()}


def _num_rows(whole_seconds: tuple[int, pa.Table]) -> int:
    return int(whole_seconds[1].num_rows)


def write_columns(folder: Path, parts: Iterable[Mapping[str, np.ndarray]], num_levels: int) -> None:
    """Write parts of a log one after another, a file per column."""
    with ExitStack() as stack:
        files = {}
        for name, kind in COLUMN_TYPES.items():
            width = (num_levels,) if name == "level_prob" else ()
            files[name] = stack.enter_context(NpyWriter(folder / f"{name}.npy", kind, width))
        for columns in parts:
            for name, file in files.items():
                file.append(columns[name])


def open_columns(folder: Path) -> dict[str, np.ndarray]:
    """What `write_columns` wrote, memory-mapped."""
    return {name: open_array(folder / f"{name}.npy") for name in COLUMN_TYPES}


def event_types_of(names: Iterable[str]) -> list[str]:
    """The types of event in the order of their codes.

    Raises:
        PrectrError: there are more than 256.
    """
    types = [*EVENT_TYPES, *sorted(set(names) - set(EVENT_TYPES))]
    if len(types) > MOST_EVENT_TYPES:
        raise PrectrError(
            f"behaviours.parquet: event_type: there are {len(types)} of them, such as {types[-1]!r}: name at most "
            f"{MOST_EVENT_TYPES} types of event."
        )
    return types


def seconds_of(timestamps: pa.ChunkedArray) -> np.ndarray:
    """Seconds since 1970, int64 [n], whatever unit the column is kept in; parts of a second are cut."""
    return timestamps.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy()


def _whole_seconds(parts: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """The same rows in parts that each end where a second ends, and the number of each one's first row."""
    held: pa.Table | None = None
    first_row = 0
    for part in parts:
        held = part if held is None else pa.concat_tables([held, part])
        seconds = seconds_of(held["timestamp"])
        back = np.flatnonzero(np.diff(seconds) < 0)
        if len(back):
            raise PrectrError(
                f"behaviours.parquet: timestamp, row {first_row + back[0] + 1}: it is earlier than the row before: "
                "sort the table by (timestamp, page_id)."
            )
        whole = int(np.searchsorted(seconds, seconds[-1])) if len(seconds) else 0
        if whole:
            yield first_row, held.slice(0, whole)
            first_row, held = first_row + whole, held.slice(whole)
    if held is not None:
        yield first_row, held


def _check_items(item: np.ndarray, first_row: int) -> None:
    unknown = np.flatnonzero(item < 0)
    if len(unknown):
        raise PrectrError(
            f"behaviours.parquet: item_id, row {first_row + unknown[0]}: there is no such item in items.parquet: add "
            "it or drop the row."
        )


class _PageOrdinals:
    """Which of its user's pages each row belongs to, int32 from 0; rows without a page share one per time."""

    def __init__(self, num_users: int) -> None:
        # The last place is that of code -1, of whoever is anonymous.
        self._page = np.full(num_users + 1, -1, np.int32)
        self._seconds = np.full(num_users + 1, np.iinfo(np.int64).min)
        self._page_id = np.zeros(num_users + 1, np.int64)

    def of(self, user: np.ndarray, seconds: np.ndarray, page_id: np.ndarray) -> np.ndarray:
        """Ordinals of rows that follow all rows seen so far."""
        order = np.argsort(user, kind="stable")
        by_user, seconds, page_id = user[order], seconds[order], page_id[order]
        first = np.diff(by_user, prepend=-2) != 0
        new = first | (np.diff(seconds, prepend=0) != 0) | (np.diff(page_id, prepend=0) != 0)
        new[first] = (self._seconds[by_user[first]] != seconds[first]) | (
            self._page_id[by_user[first]] != page_id[first]
        )
        counted = np.cumsum(new, dtype=np.int32)
        before = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0))
        ordinal = self._page[by_user] + counted - counted[before] + new[before]
        last = np.flatnonzero(np.append(first[1:], True)) if len(user) else np.zeros(0, np.int64)
        self._page[by_user[last]] = ordinal[last]
        self._seconds[by_user[last]], self._page_id[by_user[last]] = seconds[last], page_id[last]
        ordinals = np.empty(len(user), np.int32)
        ordinals[order] = ordinal
        return ordinals
