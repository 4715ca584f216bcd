"""The behaviour log with recent events behind it: what a memory-mapped log is while a shop is open.

Events come one batch after another, in about the order of time. A row's place says when it became known: an event that
comes late is known from when the latest event before it happened, so that no window of rows ever holds what is not
strictly before it. [O]

A page is shown before it is clicked. Its rows are skipped ones until a click comes; then the row becomes a clicked one
where it stands, as it stands in a log that is written afterwards. `as_of` takes back, for as long as one looks from an
earlier time, the clicks that had not happened then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from prectr.data.contract import EVENT_TYPES, SEARCH
from prectr.rank.history.codes import Grown
from prectr.rank.history.event import CLICK, Event
from prectr.rank.history.index import TOTAL_SCALE, BehaviourIndex
from prectr.rank.history.key_table import KeyTable
from prectr.rank.history.latest import LatestRows
from prectr.rank.history.log import DAY, REPEAT_DAYS, BehaviourLog
from prectr.rank.history.names import GrownNames
from prectr.rank.history.recent import Behind, Growing, JoinedIndex, packed
from prectr.rank.history.recent_lists import RecentLists, Values
from prectr.rank.history.rows import COLUMN_TYPES, MOST_EVENT_TYPES, NO_PAGE
from prectr.shared.errors import PrectrError

_SEARCH_CODE = EVENT_TYPES.index(SEARCH)
MOST_SHOWN = 1 << 18  # latest showings that a click may still come for
_REPEATS, _CLICKS = "item_repeat", "user_item_clicked"


class ItemsMark(NamedTuple):
    """How many items a log had, and how they were grouped."""

    size: int
    groups: dict[str, np.ndarray]
    group_codes: dict[str, dict[tuple[int, str], int]]


class LiveLog(BehaviourLog):
    """A log that grows. Whoever changes it, or looks from an earlier time, must be alone with it.

    Args:
        base: read, never changed. event_types: further names that may be told apart (`FeatureMap.event_types`).
        groups: of each of `base.item_groups` but the category, what value each item of the base has.
    """

    def __init__(self, base: BehaviourLog, event_types: Sequence[str], groups: Mapping[str, pa.Array]) -> None:
        vocabularies: dict[str, Grown] = {
            name: GrownNames(getattr(base, name)) for name in ("users", "queries", "categories")
        }
        vocabularies["items"] = Grown(base.items)
        types = [*base.event_types, *(name for name in event_types if name not in base.event_types)]
        columns = {name: Behind(getattr(base, name)) for name in COLUMN_TYPES}
        super().__init__(vocabularies, columns, base.item_groups, types)  # type: ignore[arg-type]
        self.base = base
        self._columns = columns
        self._known_from = Growing(np.int64)
        self._values = dict(groups)
        self._group_codes: dict[str, dict[tuple[int, str], int]] = {}
        self._lists: dict[str, RecentLists] = {}
        for name, spec in self.specs.items():
            of_base = base.index(name)
            self._lists[name] = RecentLists(len(base), self._values_of(name))
            if spec.sums_level_prob and of_base.totals is None:
                raise ValueError(f"index {name} of the base has no sums")
            self._indices[name] = JoinedIndex(of_base, self._lists[name])
        self._days: dict[int, int] = {}  # what `item_repeat` sums, by row
        self._last_page = KeyTable()  # by user, whose last page these three are of
        self._page_second, self._page_number, self._page_ordinal = array("q"), array("q"), array("q")
        self._starts = bytearray()  # whether a recent row is the first of a page
        self._shown = LatestRows(MOST_SHOWN)
        self._clicked_later = (Growing(np.int64), Growing(np.int64))  # rows, and when they were clicked

    def rows_before(self, seconds: np.ndarray) -> np.ndarray:
        return self.base.rows_before(seconds) + np.searchsorted(self._known_from.values, seconds, "left")

    @property
    def last_second(self) -> int:
        """When the latest event was, as far as it is known."""
        for seconds in (self._known_from.values, self.base.seconds):
            if len(seconds):
                return int(seconds[-1])
        return 0

    def mark_items(self) -> ItemsMark:
        """What `keep_items` goes back to."""
        codes = {name: dict(known) for name, known in self._group_codes.items()}
        return ItemsMark(len(self.items), dict(self.item_groups), codes)

    def keep_items(self, mark: ItemsMark) -> None:
        """Take back all items that were added since, of which there must be no event."""
        self.items.keep(mark.size)
        self.item_groups, self._group_codes = dict(mark.groups), {k: dict(v) for k, v in mark.group_codes.items()}

    def add_items(
        self,
        item_ids: Sequence[str],
        categories: Sequence[str | None],
        values: Sequence[Mapping],
        for_now: bool = False,
    ) -> np.ndarray:
        """Codes int [n] of items; of one that is known, what is said now counts from here on.

        Args:
            values: by attribute of `item_groups`, of each item. for_now: they will be taken back, so that a category
                which nobody knows does not become one.
        """
        codes = np.array([self.items.add(item_id) for item_id in item_ids], np.int64)
        if for_now:
            of_category = self.categories.encode(pa.array(categories, pa.string())).tolist()
        else:
            of_category = [-1 if category is None else self.categories.add(category) for category in categories]
        for name, groups in self.item_groups.items():
            grown = np.full(len(self.items), -1, np.int32)
            grown[: len(groups)] = groups
            if name == "category":
                grown[codes] = of_category
            else:
                known = self._groups_of(name)
                for code, category, given in zip(codes, of_category, values, strict=True):
                    key = category, given.get(name) or ""
                    grown[code] = known.setdefault(key, len(known))
            self.item_groups[name] = grown
        return codes

    def _groups_of(self, name: str) -> dict[tuple[int, str], int]:
        """The group of each (category, value) of an attribute; read off the base when first asked for."""
        if name not in self._group_codes:
            groups, first = np.unique(self.base.item_groups[name], return_index=True)
            values, category = self._values[name], self.base.item_groups["category"]
            self._group_codes[name] = {
                (int(category[item]), values[int(item)].as_py() or ""): int(group)
                for group, item in zip(groups, first, strict=True)
            }
        return self._group_codes[name]

    def append(self, events: Sequence[Event], level_prob: np.ndarray) -> None:
        """Add events of known items, in the order in which they are to stand.

        Args:
            level_prob: [n, K], stage one's of each event's query and item; zeros without a query.

        Raises:
            PrectrError: there are more than 256 types of event.
        """
        first_row = len(self)
        codes = {
            "user": self.users.add_all([e.user_id for e in events]),
            "query": self.queries.add_all([e.query for e in events]),
            "category": self.categories.add_all([e.query_category for e in events]),
            "event": [self._type(e.event_type) for e in events],
        }
        arrays = {name: np.array(values, np.int64) for name, values in codes.items()}
        arrays["item"] = self.items.encode(pa.array([e.item_id for e in events], pa.string())).astype(np.int64)
        kept: list[int] = []
        clicked = np.array([event.is_clicked for event in events], bool)
        later: dict[int, int] = {}  # clicks on what was shown: row, and when
        for place, event in enumerate(events):
            if event.page != NO_PAGE:
                key = event.page, int(arrays["item"][place])
                if event.kind == CLICK and (row := self._shown.get(*key)) >= 0:
                    if row < first_row:
                        is_new = not self.clicked[row]
                    else:
                        # It is of this very batch, and becomes a clicked one before it is added.
                        is_new = not clicked[kept[row - first_row]]
                        clicked[kept[row - first_row]] = True
                    if is_new:
                        later.setdefault(row, event.timestamp)
                    continue
                self._shown.put(*key, first_row + len(kept))
            kept.append(place)
        if kept:
            columns = {name: values[kept] for name, values in {**arrays, "clicked": clicked}.items()}
            self._add_rows([events[place] for place in kept], columns, level_prob[kept])
        rows, seconds = (np.array(list(each), np.int64) for each in (later.keys(), later.values()))
        self._set_clicked(np.sort(rows[rows < first_row]), 1)
        # Nobody can look from between a showing and a click of its second.
        after = seconds > self.seconds[rows]
        for column, values in zip(self._clicked_later, (rows, seconds), strict=True):
            column.append(values[after])

    def _add_rows(self, events: Sequence[Event], columns: dict[str, np.ndarray], level_prob: np.ndarray) -> None:
        rows = len(self) + np.arange(len(events))
        columns["seconds"] = np.array([e.timestamp for e in events], np.int64)
        columns["level_prob"] = level_prob
        self._starts.extend(bytes(len(rows)))
        pages = zip(rows.tolist(), columns["user"].tolist(), events, strict=True)
        columns["page"] = np.array([self._page(*each) for each in pages])
        self._known_from.append(np.maximum.accumulate(np.append(self.last_second, columns["seconds"]))[1:])
        for name, column in self._columns.items():
            column.recent.append(columns[name])
        for name in sorted(self.specs, key=lambda each: each == _REPEATS):  # the clicks that it goes by come first
            self._put(name, rows)

    def _type(self, name: str) -> int:
        if name not in self.event_types:
            if len(self.event_types) == MOST_EVENT_TYPES:
                raise PrectrError(
                    f"event type {name!r} is one too many: name at most {MOST_EVENT_TYPES} types of event."
                )
            self.event_types = (*self.event_types, name)
        return self.event_types.index(name)

    def _page(self, row: int, user: int, event: Event) -> int:
        """Which of its user's pages an event belongs to; notes the row where it is the page's first."""
        place = self._last_page.add(user + 1)  # whoever is anonymous is one user, of code -1
        if place == len(self._page_ordinal):
            for column, value in zip(self._last_pages, (-1, -1, self._last_in_base(user)), strict=True):
                column.append(value)
        seconds, numbers, ordinals = self._last_pages
        if (seconds[place], numbers[place]) != (event.timestamp, event.page):
            seconds[place], numbers[place] = event.timestamp, event.page
            ordinals[place] += 1
            self._starts[row - len(self.base)] = True
        return ordinals[place]

    @property
    def _last_pages(self) -> tuple[array[int], array[int], array[int]]:
        return self._page_second, self._page_number, self._page_ordinal

    def _last_in_base(self, user: int) -> int:
        """The ordinal of a user's last page in the base; -1: there is none."""
        if not 0 <= user < len(self.base.users):
            return -1
        index: BehaviourIndex = self.base.index("user")
        last = index.last_row(*(np.array([value]) for value in (self._in_base(user), 0, len(self.base))))[0]
        return int(self.base.page[last]) if last >= 0 else -1

    def _in_base(self, user: int) -> int:
        index = self.base.index("user")
        return int(index.lookup(np.array([user if user < len(self.base.users) else -1]))[0])

    def _put(self, name: str, rows: np.ndarray) -> None:
        """Put those of the rows into an index that belong there."""
        kind, lists = self.specs[name].rows, self._lists[name]
        if kind == "page_start":
            rows = rows[np.frombuffer(self._starts, bool)[rows - len(self.base)]]
        elif kind == "purchased":
            rows = rows[self.event[rows] != _SEARCH_CODE]
        elif kind in ("clicked", "skipped"):
            rows = rows[self.clicked[rows] == (kind == "clicked")]
        if kind == "repeated":
            rows, days = self._recent_repeats(rows)
            self._days.update(zip(rows.tolist(), days.tolist(), strict=True))
        if len(rows):
            keys = self._keys(name, rows)
            lists.add(keys[keys >= 0], rows[keys >= 0])

    def _keys(self, name: str, rows: np.ndarray) -> np.ndarray:
        return packed([self._codes(part, rows) for part in self.specs[name].parts])

    def _values_of(self, name: str) -> Values | None:
        """What an index sums of recent rows."""
        if self.specs[name].sums_level_prob:
            return lambda rows: _scaled(self.level_prob[rows])
        if name == _REPEATS:
            return lambda rows: np.array([self._days[row] for row in rows.tolist()], np.int64)[:, None]
        return None

    def _recent_repeats(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those of the rows that click on an item again, and what is summed of each, int64 [n], as in `_repeats`."""
        rows = rows[(self.clicked[rows] == 1) & (self.user[rows] >= 0)]
        index = self.index(_CLICKS)
        lists = index.lookup(self.user[rows], self.item[rows])
        previous = index.last_row(lists, np.zeros_like(rows), rows)
        rows, previous = rows[previous >= 0], previous[previous >= 0]
        if not len(rows):
            return rows, np.zeros(0, np.int64)
        days = (self.seconds[rows] - self.seconds[previous]) / DAY
        repeats = (days >= REPEAT_DAYS[0]) & (days <= REPEAT_DAYS[1])
        return rows[repeats], _scaled(np.log1p(days[repeats]))

    def _set_clicked(self, rows: np.ndarray, clicked: int) -> None:
        """Turn recent rows [n], ascending, into clicks, or back."""
        if not len(rows):
            return
        # What comes after them may be a click again, or no longer.
        of_users, index = rows[self.user[rows] >= 0], self.index(_CLICKS)
        again = rows
        if len(of_users):
            lists = index.lookup(self.user[of_users], self.item[of_users])
            begin, end = index.bounds(lists, of_users + 1, np.full(len(of_users), len(self)))
            begin = begin[end > begin]
            again = np.union1d(rows, index.take_back(begin, begin + 1, 1)[:, 0])
        changed = [name for name, spec in self.specs.items() if spec.rows in ("clicked", "skipped")]
        for name in changed:
            self._take_out(name, rows)
        self._take_out(_REPEATS, again)
        self._columns["clicked"].recent.values[rows - len(self.base)] = clicked
        for name in changed:
            self._put(name, rows)
        self._put(_REPEATS, again)

    def _take_out(self, name: str, rows: np.ndarray) -> None:
        for key, row in zip(self._keys(name, rows).tolist(), rows.tolist(), strict=True):
            self._lists[name].remove(key, row)
            if name == _REPEATS:
                self._days.pop(row, None)

    @contextmanager
    def as_of(self, second: int) -> Iterator[None]:
        """Within, clicks of this second and later ones on what was shown before it have not happened."""
        rows, clicked_at = (column.values for column in self._clicked_later)
        rows = rows[clicked_at >= second]
        taken = np.sort(rows[self.seconds[rows] < second])
        self._set_clicked(taken, 0)
        try:
            yield
        finally:
            self._set_clicked(taken, 1)

    def erase_user(self, user_id: str) -> None:
        """Forget a user: recent rows are gone from every list; those of the base are nobody's."""
        user = int(self.users.encode(pa.array([user_id], pa.string()))[0])
        self.users.drop(user_id)
        number = self._lists["user"].numbers.get(user) if user >= 0 else -1
        rows = self._lists["user"].rows(number) if number >= 0 else np.zeros(0, np.int64)
        for name in self.specs:
            self._take_out(name, rows)
        for name, column in self._columns.items():
            column.recent.values[rows - len(self.base)] = -1 if name in ("user", "query") else 0
        later, seconds = (column.values for column in self._clicked_later)
        kept = ~np.isin(later, rows)
        self._clicked_later = (Growing(np.int64), Growing(np.int64))
        for times, values in zip(self._clicked_later, (later, seconds), strict=True):
            times.append(values[kept])
        for row in rows:
            self._starts[row - len(self.base)] = False
        self._shown.forget(rows)


def _scaled(values: np.ndarray) -> np.ndarray:
    """Values in the units of an index's sums."""
    return np.rint(values.astype(np.float64) * TOTAL_SCALE).astype(np.int64)
