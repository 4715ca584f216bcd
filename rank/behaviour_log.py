"""The behaviour log: every past event once, in the order of time, with indices that find a shopper's or a query's
events.

Past events are not copied into the impressions. They lie sorted by (timestamp, page_id) as memory-mapped columns, and
events of one time and page by what they are, so that the order in which a table lists them changes nothing;
what an impression may see is a window of row numbers `[since_row, before_row)`, where `before_row` is the first row
that is not strictly before it. Cutting a history to its last pages is a larger `since_row`. Memory grows with the
log, not with log x history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.contract import EVENT_TYPES, SEARCH, read_table
from rank.behaviour_index import BehaviourIndex, open_array
from rank.level_prob import LevelProb, encode
from shared.config import PrectrError
from shared.console import progress

DAY = 24 * 3600
_SEARCH = EVENT_TYPES.index(SEARCH)
UNCUT = -1
MOST_EVENT_TYPES = 256  # one byte each
REPEAT_DAYS = (1, 56)  # a later click on an item repeats an earlier one; a fixed reach does not grow with the log
LEAST_SPLIT = 1.1  # groups per category; an attribute with fewer says hardly more than the category

_VOCABULARIES = ("users", "items", "queries", "categories")
_COLUMNS = ("user", "item", "query", "category", "clicked", "seconds", "event", "page", "level_prob")


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
        event_types: names of the types of event; a code is a position in them. `data.contract.EVENT_TYPES` come first.
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
        for name in _COLUMNS:
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
        event_types = _event_types(behaviours["event_type"])
        vocabularies = {
            "items": items["item_id"].combine_chunks(),
            "users": _sorted_unique(behaviours["user_id"]),
            "queries": _sorted_unique(behaviours["query"]),
            "categories": _sorted_unique(
                pa.chunked_array([*items["category"].chunks, *behaviours["query_category"].chunks])
            ),
        }
        columns = {
            "user": encode(behaviours["user_id"], vocabularies["users"]),
            "item": encode(behaviours["item_id"], vocabularies["items"]),
            "query": encode(behaviours["query"], vocabularies["queries"]),
            "category": encode(behaviours["query_category"], vocabularies["categories"]),
            "clicked": behaviours["clicked"].to_numpy().astype(np.uint8),
            "seconds": _seconds(behaviours["timestamp"]),
            "event": encode(behaviours["event_type"], pa.array(event_types)).astype(np.uint8),
            "level_prob": level_prob.lookup(behaviours["query"], behaviours["item_id"]).astype(np.float16),
        }
        _check_rows(columns)
        page_id = pc.fill_null(behaviours["page_id"], np.iinfo(np.int64).max).to_numpy()
        order = _order(columns, page_id, vocabularies["items"])
        columns = {name: column[order] for name, column in columns.items()}
        columns["page"] = _page_ordinals(columns["user"], columns["seconds"], page_id[order])
        item_category = encode(items["category"], vocabularies["categories"])
        return cls(vocabularies, columns, _item_groups(items, item_category, attributes), event_types)

    @classmethod
    def build(cls, data_folder: Path, level_prob_file: Path, folder: Path) -> BehaviourLog:
        """Write the log of a data set, with all its indices, into `folder`, and open it.

        Raises:
            PrectrError: as `from_tables`, or a table is missing.
        """
        log = cls.from_tables(
            read_table(data_folder, "items"), read_table(data_folder, "behaviours"), LevelProb.read(level_prob_file)
        )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in _VOCABULARIES:
            pq.write_table(pa.table({"value": getattr(log, name)}), folder / f"{name}.parquet")
        for name in _COLUMNS:
            np.save(folder / f"{name}.npy", getattr(log, name))
        for attribute, groups in log.item_groups.items():
            np.save(folder / f"same_{attribute}.npy", groups)
        for name in progress(log.specs, "behaviour indices", unit="indices"):
            log._build_index(name).save(folder, f"index_{name}")
        # Written last: a folder without it is not a whole log.
        facts = {"rows": len(log), "attributes": list(log.item_groups), "event_types": log.event_types}
        (folder / "log.json").write_text(json.dumps(facts))
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> BehaviourLog:
        folder = Path(folder)
        if not (folder / "log.json").exists():
            raise PrectrError(f"{folder} holds no behaviour log: build it with `python -m rank run`.")
        facts = json.loads((folder / "log.json").read_text())
        return cls(
            {name: pq.read_table(folder / f"{name}.parquet")["value"].combine_chunks() for name in _VOCABULARIES},
            {name: open_array(folder / f"{name}.npy") for name in _COLUMNS},
            {attribute: open_array(folder / f"same_{attribute}.npy") for attribute in facts["attributes"]},
            facts.get("event_types", EVENT_TYPES),
            folder,
        )

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_levels(self) -> int:
        return self.level_prob.shape[1]

    def index(self, name: str) -> BehaviourIndex:
        """One of `index_specs`, opened or built on first use."""
        if name not in self._indices:
            if self._folder is not None:
                sizes = [self._size(part) for part in self.specs[name].parts]
                self._indices[name] = BehaviourIndex.open(self._folder, f"index_{name}", sizes)
            else:
                self._indices[name] = self._build_index(name)
        return self._indices[name]

    def encode(self, impressions: pa.Table) -> Coded:
        """Impressions (columns user_id, query, query_category, item_id, timestamp) in the log's codes."""
        seconds = _seconds(impressions["timestamp"])
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
        seen = set(np.unique(self.event[: self.rows_before(np.array([second]))[0]]).tolist())
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
        whole = (last_pages == UNCUT) | (end - last_pages <= begin)
        first = np.where(whole, 0, np.minimum(end - last_pages, max(len(index.rows) - 1, 0)))
        since = np.where(whole, 0, index.rows[first] if len(index.rows) else 0)
        return np.where(last_pages == 0, before_row, since).astype(np.int64)

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
        spec = self.specs[name]
        values = None
        if spec.rows == "repeated":
            rows, values = self._repeats()
        elif spec.rows == "page_start":
            rows = self._page_starts()
        else:
            chosen = {"clicked": self.clicked == 1, "skipped": self.clicked == 0, "purchased": self.event != _SEARCH}
            rows = np.arange(len(self)) if spec.rows == "all" else np.flatnonzero(chosen[spec.rows])
        if spec.sums_level_prob:
            values = self.level_prob[rows]
        codes = [self._codes(part, rows) for part in spec.parts]
        return BehaviourIndex.build(codes, [self._size(part) for part in spec.parts], rows, values)

    def _page_starts(self) -> np.ndarray:
        order = np.argsort(self.user, kind="stable")
        starts = [np.diff(column[order], prepend=-1) != 0 for column in (self.user, self.page)]
        return np.sort(order[np.logical_or.reduce(starts)])

    def _repeats(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows [S] of clicks on an item the user had clicked before, and log1p of the days between [S, 1]."""
        index = self.index("user_item_clicked")
        same = np.ones(len(index.rows), bool)
        same[index.offsets[: len(index.keys)]] = False
        later = index.rows[same]
        earlier = index.rows[np.flatnonzero(same) - 1]
        days = (self.seconds[later] - self.seconds[earlier]) / DAY
        # The same basket may hold an item under two queries: that is one purchase, not a cycle.
        repeats = (days >= REPEAT_DAYS[0]) & (days <= REPEAT_DAYS[1])
        order = np.argsort(later[repeats], kind="stable")
        return later[repeats][order], np.log1p(days[repeats][order])[:, None]


def _event_types(names: pa.ChunkedArray) -> list[str]:
    types = [*EVENT_TYPES, *sorted(set(_sorted_unique(names).to_pylist()) - set(EVENT_TYPES))]
    if len(types) > MOST_EVENT_TYPES:
        raise PrectrError(
            f"behaviours.parquet: event_type: there are {len(types)} of them, such as {types[-1]!r}: name at most "
            f"{MOST_EVENT_TYPES} types of event."
        )
    return types


def _sorted_unique(values: pa.ChunkedArray) -> pa.Array:
    unique = pc.drop_null(pc.unique(values))
    return unique.take(pc.sort_indices(unique))


def _seconds(timestamps: pa.ChunkedArray) -> np.ndarray:
    return timestamps.cast(pa.int64()).to_numpy()


def _check_rows(columns: Mapping[str, np.ndarray]) -> None:
    back = np.flatnonzero(np.diff(columns["seconds"]) < 0)
    if len(back):
        raise PrectrError(
            f"behaviours.parquet: timestamp, row {back[0] + 1}: it is earlier than the row before: sort the table by "
            "(timestamp, page_id)."
        )
    unknown = np.flatnonzero(columns["item"] < 0)
    if len(unknown):
        raise PrectrError(
            f"behaviours.parquet: item_id, row {unknown[0]}: there is no such item in items.parquet: add it "
            "or drop the row."
        )


def _order(columns: Mapping[str, np.ndarray], page: np.ndarray, items: pa.Array) -> np.ndarray:
    """Rows [R] by time, then page (those without one last), then user, item, type and click."""
    place_of_item = np.empty(len(items), np.int32)
    # By id: codes follow the items table, whose order is as little to the point as that of the events.
    place_of_item[pc.sort_indices(items).to_numpy()] = np.arange(len(items))
    item = place_of_item[columns["item"]]
    return np.lexsort((columns["clicked"], columns["event"], item, columns["user"], page, columns["seconds"]))


def _page_ordinals(user: np.ndarray, seconds: np.ndarray, page: np.ndarray) -> np.ndarray:
    """Which of its user's pages each row belongs to, int32 [R] from 0; rows without a page share one per time."""
    order = np.argsort(user, kind="stable")
    changes = [np.diff(column[order], prepend=column[order][:1]) != 0 for column in (user, seconds, page)]
    new = np.logical_or.reduce(changes)
    ordinal = np.cumsum(new)
    first_of_user = np.maximum.accumulate(np.where(np.diff(user[order], prepend=-1) != 0, ordinal, 0))
    ordinals = np.empty(len(user), np.int32)
    ordinals[order] = ordinal - first_of_user
    return ordinals


def _item_groups(items: pa.Table, item_category: np.ndarray, attributes: Sequence[str] | None) -> dict[str, np.ndarray]:
    groups = {"category": item_category}
    found = [name.removeprefix("cat_") for name in items.column_names if name.startswith("cat_")]
    for name in found if attributes is None else [name for name in attributes if name != "category"]:
        values = pc.fill_null(items[f"cat_{name}"], "").combine_chunks().dictionary_encode()
        pairs = item_category.astype(np.int64) * len(values.dictionary) + values.indices.to_numpy()
        distinct, codes = np.unique(pairs, return_inverse=True)
        if attributes is not None or len(distinct) > LEAST_SPLIT * len(np.unique(item_category)):
            groups[name] = codes.astype(np.int32)
    return groups
