"""The behaviour log: every past event once, in the order of time, with indices that find a user's or a query's events.

Past events are not copied into the impressions. They lie sorted by (timestamp, page_id) as memory-mapped columns, and
events of one time and page by what they are, so that the order in which a table lists them changes nothing;
what an impression may see is a window of row numbers `[since_row, before_row)`, where `before_row` is the first row
that is not strictly before it. Cutting a history to its last pages is a larger `since_row`. Memory grows with the
log, not with log x history.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import EVENT_TYPES, SEARCH, read_table, table_path
from prectr.data.scan import ROWS_AT_ONCE, scan_table
from prectr.rank.history.codes import encode
from prectr.rank.history.index import BehaviourIndex, Part, row_type
from prectr.rank.history.index_parts import write_indices
from prectr.rank.history.item_groups import item_groups, sorted_unique
from prectr.rank.history.rows import (
    BEHAVIOUR_COLUMNS,
    COLUMN_TYPES,
    event_types_of,
    log_rows,
    open_columns,
    seconds_of,
    write_columns,
)
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.engine.job import Engine
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import read_json
from prectr.shared.storage.duckdb import distinct, out_of_core
from prectr.shared.storage.npy import new_array, open_array

DAY = 24 * 3600
_SEARCH = EVENT_TYPES.index(SEARCH)
UNCUT = -1
CODED = ("user_id", "query", "query_category", "item_id", "timestamp")
"""What `BehaviourLog.encode` reads of impressions."""
REPEAT_DAYS = (1, 56)  # a later click on an item repeats an earlier one; a fixed reach does not grow with the log

_PREVIOUS = "previous_click.npy"  # while indices are built

_VOCABULARIES = ("users", "items", "queries", "categories")


class Coded(NamedTuple):
    """Impressions in the log's codes; every array is [n], -1 stands for what the log has never seen."""

    user: np.ndarray
    query: np.ndarray
    category: np.ndarray
    item: np.ndarray
    seconds: np.ndarray
    before_row: np.ndarray

    def take(self, index: np.ndarray) -> Coded:
        return Coded(*(array[index] for array in self))


class IndexSpec(NamedTuple):
    """What an index is keyed by and which rows it holds; see `index_specs`."""

    parts: tuple[str, ...]
    rows: str = "all"
    sums_level_prob: bool = False


def index_specs(attributes: tuple[str, ...]) -> dict[str, IndexSpec]:
    """Every index of a log whose items have these attributes, by name.

    The suffix names the rows: `_clicked` and `_skipped` events, `_purchased` (whatever happened without a page: bought,
    added to the cart); `user_page` holds the first row of each of a user's pages, `item_repeat` the clicks on an item
    by someone who had clicked it before, with the log of the days between. `user_same_<attribute>` is keyed by the
    items of one category that share the attribute.
    """
    all_rows = ("user", "user_category", "query", "category", "item", "user_item", "query_item")
    specs = {name: IndexSpec(tuple(name.split("_"))) for name in all_rows}
    for name in ("user_category", "query", "category", "item", "user_item", "query_item"):
        specs[f"{name}_clicked"] = IndexSpec(specs[name].parts, "clicked")
    for name in ("user", "user_category", "query", "category"):
        specs[f"{name}_skipped"] = IndexSpec(specs[name].parts, "skipped")
    for name in ("category", "item"):
        specs[f"{name}_purchased"] = IndexSpec(specs[name].parts, "purchased")
    specs["user_clicked"] = IndexSpec(("user",), "clicked", sums_level_prob=True)
    specs["user_page"] = IndexSpec(("user",), "page_start")
    specs["item_repeat"] = IndexSpec(("item",), "repeated")
    for name in ("query_clicked", "category_clicked"):
        specs[name] = specs[name]._replace(sums_level_prob=True)
    for attribute in attributes:
        specs[f"user_same_{attribute}_clicked"] = IndexSpec(("user", f"same_{attribute}"), "clicked")
    return specs


class BehaviourLog:
    """The log's columns, its vocabularies and its indices.

    An event is a search, that is an item of a page, clicked or skipped; every other type of event happened without a
    page and counts as a click, but never as a showing [O].

    Attributes:
        users, items, queries, categories: string arrays; a code is a position in them.
        item_groups: by attribute, int32 [items]: the same code for the items of one category that share the
            attribute's value; "category" comes first and holds the items' own category codes. An attribute that
            hardly varies within categories is left out: it would repeat the category.
        event_types: names of the types of event; a code is a position in them. `prectr.data.contract.EVENT_TYPES` come
            first.
        specs: what each index is keyed by, by name.
        user, item, query, category: int32 [R] codes (query -1: an event without a search).
        clicked: uint8 [R]. event: uint8 [R], a position in `event_types`. seconds: int64 [R] since 1970.
        page: int32 [R], which of its user's pages an event belongs to, from 0 (events without a page: one per time).
        level_prob: float16 [R, K], zeros where there is no query.
    """

    user: np.ndarray
    item: np.ndarray
    query: np.ndarray
    category: np.ndarray
    clicked: np.ndarray
    event: np.ndarray
    seconds: np.ndarray
    page: np.ndarray
    level_prob: np.ndarray

    def __init__(
        self,
        vocabularies: Mapping[str, pa.Array],
        columns: Mapping[str, np.ndarray],
        item_groups: Mapping[str, np.ndarray],
        event_types: Sequence[str] = EVENT_TYPES,
        folder: Path | None = None,
    ):
        self.users, self.items, self.queries, self.categories = (vocabularies[name] for name in _VOCABULARIES)
        for name in COLUMN_TYPES:
            setattr(self, name, columns[name])
        self.item_groups = dict(item_groups)
        self.event_types = tuple(event_types)
        self.specs = index_specs(tuple(self.item_groups))
        self._folder = folder
        self._indices: dict[str, BehaviourIndex] = {}

    @classmethod
    def from_tables(
        cls, items: pa.Table, behaviours: pa.Table, level_prob: LevelProb, attributes: Sequence[str] | None = None
    ) -> BehaviourLog:
        """The log in memory, from tables of the contract; its indices are built when first asked for.

        Args:
            attributes: keys of `item_groups`, where they are to be those of another log; by default they are found.

        Raises:
            PrectrError: the events are not sorted by time, an item is unknown, a pair is not scored, or there are more
                than 256 types of event.
        """
        event_types = event_types_of(pc.unique(behaviours["event_type"]).to_pylist())
        vocabularies = {
            "items": items["item_id"].combine_chunks(),
            "users": sorted_unique(behaviours["user_id"]),
            "queries": sorted_unique(behaviours["query"]),
            "categories": sorted_unique(
                pa.chunked_array([*items["category"].chunks, *behaviours["query_category"].chunks])
            ),
        }
        parts = list(log_rows([behaviours], vocabularies, event_types, level_prob))
        columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMN_TYPES}
        item_category = encode(items["category"], vocabularies["categories"])
        return cls(vocabularies, columns, item_groups(items, item_category, attributes), event_types)

    @classmethod
    def build(
        cls,
        data_folder: Path,
        level_prob: LevelProb,
        folder: Path,
        rows_at_once: int = ROWS_AT_ONCE,
        engine: Engine = PLAIN,
    ) -> BehaviourLog:
        """Write the log of a data set, with all its indices, into `folder`, and open it.

        The files hold what `from_tables` holds, but neither the table nor a column is ever in memory whole: only
        `rows_at_once` of them are, and sixteen times as many while an index is sorted.

        Raises:
            PrectrError: as `from_tables`, or a table is missing.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Indices of a build that was killed are kept, those of a finished log are not.
        finished = folder.glob("index_*.npy") if (folder / "log.json").exists() else []
        for stale in [*finished, folder / "log.json", folder / _PREVIOUS]:
            stale.unlink(missing_ok=True)
        items = read_table(data_folder, "items")
        behaviours = table_path(data_folder, "behaviours")
        next(scan_table(data_folder, "behaviours", BEHAVIOUR_COLUMNS, 1), None)  # the table is there, and its columns
        with out_of_core(folder, [behaviours.parent]) as database:
            event_types = event_types_of(distinct(database, behaviours, "event_type").to_pylist())
            categories = distinct(database, behaviours, "query_category")
            vocabularies = {
                "items": items["item_id"].combine_chunks(),
                "users": distinct(database, behaviours, "user_id"),
                "queries": distinct(database, behaviours, "query"),
                "categories": sorted_unique(pa.chunked_array([*items["category"].chunks, categories])),
            }
        for name, values in vocabularies.items():
            pq.write_table(pa.table({"value": values}), folder / f"{name}.parquet")
        groups = item_groups(items, encode(items["category"], vocabularies["categories"]), None)
        for attribute, codes in groups.items():
            np.save(folder / f"same_{attribute}.npy", codes)
        events = scan_table(data_folder, "behaviours", BEHAVIOUR_COLUMNS, rows_at_once)
        kept, total = folder / "checkpoints" / "rows", pq.read_metadata(behaviours).num_rows
        rows = log_rows(events, vocabularies, event_types, level_prob, engine, total, kept)
        write_columns(folder, rows, level_prob.num_levels)
        shutil.rmtree(kept, ignore_errors=True)
        log = cls(vocabularies, open_columns(folder), groups, event_types, folder)
        names = {name: spec.rows for name, spec in log.specs.items()}
        write_indices(log, names, folder, rows_at_once, engine)
        (folder / _PREVIOUS).unlink(missing_ok=True)
        # Written last: a folder without it is not a whole log.
        facts = {"rows": len(log), "attributes": list(groups), "event_types": event_types}
        (folder / "log.json").write_text(json.dumps(facts))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> BehaviourLog:
        folder = Path(folder)
        if not (folder / "log.json").exists():
            raise PrectrError(f"{folder} holds no behaviour log: build it with `python -m rank run`.")
        facts = read_json(folder / "log.json")
        return cls._mapped(folder, facts["attributes"], facts.get("event_types", EVENT_TYPES))

    @classmethod
    def _mapped(cls, folder: Path, attributes: Sequence[str], event_types: Sequence[str]) -> BehaviourLog:
        values = {name: pq.read_table(folder / f"{name}.parquet")["value"].combine_chunks() for name in _VOCABULARIES}
        groups = {attribute: open_array(folder / f"same_{attribute}.npy") for attribute in attributes}
        return cls(values, open_columns(folder), groups, event_types, folder)

    def __getstate__(self) -> dict[str, Any]:
        """To another process travels the folder, where there is one, and not what is mapped of it."""
        if self._folder is None:
            return vars(self)
        return {"folder": self._folder, "attributes": [*self.item_groups], "event_types": self.event_types}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state if "users" in state else vars(self._mapped(**state)))

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_levels(self) -> int:
        return self.level_prob.shape[1]

    def index(self, name: str) -> BehaviourIndex:
        """One of `index_specs`, opened or built on first use."""
        if name not in self._indices:
            if self._folder is not None:
                self._indices[name] = BehaviourIndex.open(self._folder, f"index_{name}", self.sizes(name))
            else:
                self._indices[name] = self._build_index(name)
        return self._indices[name]

    def encode(self, impressions: pa.Table) -> Coded:
        """Impressions (columns `CODED`) in the log's codes."""
        seconds = seconds_of(impressions["timestamp"])
        return Coded(
            user=encode(impressions["user_id"], self.users),
            query=encode(impressions["query"], self.queries),
            category=encode(impressions["query_category"], self.categories),
            item=encode(impressions["item_id"], self.items),
            seconds=seconds,
            before_row=self.rows_before(seconds),
        )

    def event_types_before(self, second: int) -> list[str]:
        """The types of event that occur strictly before a time, after those every log knows: a vocabulary to fit on."""
        end = int(self.rows_before(np.array([second]))[0])
        parts = (self.event[start : min(start + ROWS_AT_ONCE, end)] for start in range(0, end, ROWS_AT_ONCE))
        seen = {code for part in parts for code in np.unique(part).tolist()}
        return [name for code, name in enumerate(self.event_types) if name in EVENT_TYPES or code in seen]

    def rows_before(self, seconds: np.ndarray) -> np.ndarray:
        """How many events are strictly before each time [n]: the end of its window."""
        return np.searchsorted(self.seconds, seconds, "left")

    def cut_since(self, user: np.ndarray, before_row: np.ndarray, last_pages: np.ndarray | int) -> np.ndarray:
        """`since_row` [n] that leaves of each history before `before_row` its last pages.

        Args:
            last_pages: how many pages to keep, [n] or one number; 0 leaves nothing, -1 does not cut.
        """
        index = self.index("user_page")
        begin, end = index.bounds(index.lookup(user), np.zeros_like(before_row), before_row)
        last_pages = np.broadcast_to(last_pages, before_row.shape)
        whole = (last_pages == UNCUT) | (last_pages == 0) | (end - last_pages <= begin)
        first = np.where(whole, begin, end - last_pages)
        since = np.where(whole, 0, index.take_back(first, np.where(whole, begin, first + 1), 1)[:, 0])
        return np.where(last_pages == 0, before_row, since).astype(np.int64)

    def sizes(self, name: str) -> list[int]:
        """The number of codes of each part of an index's key."""
        return [self._size(part) for part in self.specs[name].parts]

    def _size(self, part: str) -> int:
        if part.startswith("same_"):
            return int(self.item_groups[part.removeprefix("same_")].max(initial=-1)) + 1
        plural = {"user": self.users, "item": self.items, "query": self.queries, "category": self.categories}
        return len(plural[part])

    def _codes(self, part: str, rows: np.ndarray) -> np.ndarray:
        if part.startswith("same_"):
            return self.item_groups[part.removeprefix("same_")][self.item[rows]]
        return getattr(self, part)[rows]

    def _build_index(self, name: str) -> BehaviourIndex:
        parts = list(self.parts(name))
        codes = [np.concatenate(codes) for codes in zip(*(part.codes for part in parts), strict=True)]
        values = [part.values for part in parts if part.values is not None]
        rows = np.concatenate([part.rows for part in parts])
        return BehaviourIndex.build(codes, self.sizes(name), rows, np.concatenate(values) if values else None)

    def parts(
        self, name: str, rows_at_once: int = ROWS_AT_ONCE, first: int = 0, end: int | None = None
    ) -> Iterator[Part]:
        """The rows of an index with their codes and values, of the log's rows `first` to `end`; at least one part."""
        spec, end = self.specs[name], len(self) if end is None else end
        previous = self._previous_clicks(rows_at_once) if spec.rows == "repeated" else None
        for start in range(first, max(end, first + 1), rows_at_once):
            part = slice(start, min(start + rows_at_once, end))
            values = None
            if previous is not None:
                rows, values = self._repeats(part, previous)
            elif spec.rows == "all":
                rows = np.arange(part.start, part.stop)
            else:
                rows = part.start + np.flatnonzero(self._chosen(spec.rows, part))
            if spec.sums_level_prob:
                values = self.level_prob[rows]
            yield Part([self._codes(part, rows) for part in spec.parts], rows, values)

    def _chosen(self, kind: str, part: slice) -> np.ndarray:
        """Which rows of a part belong to an index of this kind, bool [n]."""
        if kind == "page_start":
            # Events of a page stand together, user by user: the log is sorted so.
            begin = max(part.start - 1, 0)
            changes = [np.diff(column[begin : part.stop]) != 0 for column in (self.user, self.page)]
            return np.append([True] * (part.start == 0 < part.stop), np.logical_or(*changes)).astype(bool)
        if kind == "purchased":
            return self.event[part] != _SEARCH
        return self.clicked[part] == (kind == "clicked")

    def _previous_clicks(self, rows_at_once: int) -> np.ndarray:
        """For every click on an item that its user had clicked before, the row of that earlier click [R]; else -1."""
        dtype = row_type(len(self))
        if self._folder is None:
            previous = np.full(len(self), -1, dtype)
        elif (self._folder / _PREVIOUS).exists():
            return open_array(self._folder / _PREVIOUS)
        else:
            part = self._folder / f".{_PREVIOUS}.part"
            previous = new_array(part, dtype, (len(self),))
            previous[:] = -1
        index = self.index("user_item_clicked")
        begins = index.offsets[:-2]
        for start in range(0, len(index.rows), rows_at_once):
            first = max(start - 1, 0)
            rows = index.rows[first : start + rows_at_once]
            same = np.ones(len(rows), bool)
            within = begins[np.searchsorted(begins, first) : np.searchsorted(begins, first + len(rows))]
            same[within - first] = False
            same[0] = False  # of the part before
            previous[rows[same]] = rows[np.flatnonzero(same) - 1]
        if self._folder is not None:
            os.replace(part, self._folder / _PREVIOUS)
        return previous

    def _repeats(self, part: slice, previous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows [S] of clicks on an item the user had clicked before, and log1p of the days between [S, 1]."""
        later = part.start + np.flatnonzero(previous[part] >= 0)
        days = (self.seconds[later] - self.seconds[previous[later]]) / DAY
        # The same basket may hold an item under two queries: that is one purchase, not a cycle.
        repeats = (days >= REPEAT_DAYS[0]) & (days <= REPEAT_DAYS[1])
        return later[repeats], np.log1p(days[repeats])[:, None]
