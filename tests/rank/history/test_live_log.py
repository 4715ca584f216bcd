"""A log with recent rows behind it: whatever is asked of it, it says what a log written afterwards says."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from prectr.data.contract import EVENT_TYPES, read_table
from prectr.data.toy import build
from prectr.rank.history.event import Event, in_order
from prectr.rank.history.live_log import LiveLog
from prectr.rank.history.log import DAY, BehaviourLog
from prectr.rank.history.rows import seconds_of
from prectr.rank.history.slices import cross_slices, user_slices
from prectr.rank.history.stage_one import LevelProb
from tests.rank.history.toy_level_prob import random_level_prob

WEEK = 7 * DAY


class World:
    """A toy shop's log, whole and in two halves."""

    def __init__(self, folder: Path) -> None:
        build(folder, 3)
        self.items, self.behaviours = read_table(folder, "items"), read_table(folder, "behaviours")
        self.impressions = read_table(folder, "impressions")
        self.pairs = LevelProb(random_level_prob(self.impressions, self.behaviours))
        self.whole = BehaviourLog.from_tables(self.items, self.behaviours, self.pairs)
        self.seconds = seconds_of(self.behaviours["timestamp"])
        self.middle = int(self.seconds[len(self.seconds) * 2 // 3])

    def live(self, until: int | None = None) -> LiveLog:
        """The first part as the base; the second, up to a time, as events."""
        first = int(np.searchsorted(self.seconds, self.middle))
        base = BehaviourLog.from_tables(
            self.items, self.behaviours.slice(0, first), self.pairs, list(self.whole.item_groups)
        )
        groups = {name: self.items[f"cat_{name}"].combine_chunks() for name in base.item_groups if name != "category"}
        log = LiveLog(base, EVENT_TYPES, groups)
        last = None if until is None else int(np.searchsorted(self.seconds, until)) - first
        self.feed(log, self.behaviours.slice(first, last))
        return log

    def feed(self, log: LiveLog, behaviours: pa.Table, at_once: int = 60) -> None:
        starts = np.flatnonzero(np.diff(seconds_of(behaviours["timestamp"]), prepend=-1))[::at_once]
        for start, end in pairwise([*starts.tolist(), behaviours.num_rows]):
            rows = behaviours.slice(start, end - start)
            columns = ("user_id", "query", "query_category", "item_id", "page_id")
            events = [
                Event(str(number), "impression" if kind == "search" else kind, *values, second, clicked)
                for number, (kind, second, clicked, *values) in enumerate(
                    zip(
                        rows["event_type"].to_pylist(),
                        seconds_of(rows["timestamp"]).tolist(),
                        rows["clicked"].to_pylist(),
                        *(rows[name].to_pylist() for name in columns),
                        strict=True,
                    )
                )
            ]
            self.append(log, events)

    def append(self, log: LiveLog, events: list[Event]) -> None:
        events = in_order(events)
        queries, ids = ([getattr(e, name) for e in events] for name in ("query", "item_id"))
        chunks = (pa.chunked_array([pa.array(values, pa.string())]) for values in (queries, ids))
        log.append(events, self.pairs.lookup(*chunks))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def live(world: World) -> LiveLog:
    return world.live()


def keys(world: World, log: BehaviourLog) -> Iterator[tuple[str, list[np.ndarray], np.ndarray]]:
    """Of every index what 200 pages ask of it: its name, the keys' codes in a log, and the pages' times."""
    pages = world.impressions.take(np.random.default_rng(1).permutation(world.impressions.num_rows)[:200])
    coded = log.encode(pages)
    for name, spec in log.specs.items():
        parts = []
        for part in spec.parts:
            groups = log.item_groups.get(part.removeprefix("same_"))
            parts.append(getattr(coded, part) if groups is None or part in ("category",) else groups[coded.item])
        yield name, parts, coded.seconds


def test_every_index_counts_sums_and_lists_what_the_whole_log_does(world: World, live: LiveLog) -> None:
    assert len(live) == len(world.whole) and len(live.base) < len(live)
    np.testing.assert_array_equal(live.seconds[np.arange(len(live))], world.whole.seconds)
    for (name, ours, seconds), (_, theirs, _) in zip(keys(world, live), keys(world, world.whole), strict=True):
        found, expected = live.index(name), world.whole.index(name)
        lists, whole_lists = found.lookup(*ours), expected.lookup(*theirs)
        for weeks in (1, 8, 60):
            window = live.rows_before(seconds - weeks * WEEK), live.rows_before(seconds)
            np.testing.assert_array_equal(window[1], world.whole.rows_before(seconds))
            np.testing.assert_array_equal(found.count(lists, *window), expected.count(whole_lists, *window), name)
            np.testing.assert_array_equal(found.last(lists, *window, 7), expected.last(whole_lists, *window, 7), name)
            if expected.totals is not None:
                np.testing.assert_array_equal(found.total(lists, *window), expected.total(whole_lists, *window), name)


def test_slices_and_cut_histories_are_those_of_the_whole_log(world: World, live: LiveLog) -> None:
    pages = world.impressions.take(np.arange(0, world.impressions.num_rows, 37))
    found = []
    for log in (live, world.whole):
        coded = log.encode(pages)
        since = log.cut_since(coded.user, coded.before_row, np.arange(pages.num_rows) % 5 - 1)
        rows, depth = cross_slices(log, coded.user, coded.query, coded.category, coded.before_row)
        found.append((since, user_slices(log, coded.user, coded.category, since, coded.before_row), rows, depth))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def counts(log: BehaviourLog, event: Event, second: int) -> dict[str, int]:
    """How many events of the event's keys each index has before a time."""
    table = pa.table(
        {
            **{
                name: pa.array([getattr(event, name)], pa.string())
                for name in ("user_id", "query", "query_category", "item_id")
            },
            "timestamp": pa.array([second], pa.timestamp("s")),
        }
    )
    coded, found = log.encode(table), {}
    for name, spec in log.specs.items():
        parts = []
        for part in spec.parts:
            parts.append(log.item_groups[part[5:]][coded.item] if part.startswith("same_") else getattr(coded, part))
        index = log.index(name)
        found[name] = int(index.count(index.lookup(*parts), np.array([0]), coded.before_row)[0])
    return found


def shown(world: World, second: int, clicked: bool = False, page: int = 10**9) -> Event:
    row = world.behaviours.slice(0, 1).to_pylist()[0]
    return Event(
        f"{second} {page}",
        "impression",
        "a new user",
        row["query"],
        row["query_category"],
        row["item_id"],
        page,
        second,
        clicked,
    )


def test_a_click_that_comes_later_makes_the_showing_a_clicked_one(world: World) -> None:
    log, expected = world.live(), world.live()
    second = int(world.seconds[-1]) + 100
    event = shown(world, second)
    world.append(log, [event])
    skipped = counts(log, event, second + 10)
    assert skipped["user_skipped"] == 1 and skipped["user_clicked"] == 0
    world.append(log, [event._replace(event_id="c", kind="click", timestamp=second + 60)])
    world.append(expected, [event._replace(clicked=True)])
    assert len(log) == len(expected)
    assert counts(log, event, second + 100) == counts(expected, event, second + 100)
    with log.as_of(second + 60):
        assert counts(log, event, second + 60) == skipped
    assert counts(log, event, second + 61)["user_clicked"] == 1


def test_clicks_again_are_repeats_whenever_they_become_known(world: World) -> None:
    log, expected = world.live(), world.live()
    second = int(world.seconds[-1]) + 100
    events = [shown(world, second + 3 * place * DAY, page=10**9 + place) for place in range(4)]
    world.append(log, events)
    for place in (2, 0, 3, 1):
        world.append(log, [events[place]._replace(event_id=f"c{place}", kind="click", timestamp=second + 20 * DAY)])
    world.append(expected, [event._replace(clicked=True) for event in events])
    late = second + 30 * DAY
    assert counts(log, events[0], late) == counts(expected, events[0], late)
    for name in ("item_repeat", "query_clicked", "user_clicked"):
        ours, theirs = log._lists[name], expected._lists[name]
        assert ours.contents() == theirs.contents()


def test_a_late_event_is_not_known_before_what_was_known_when_it_came(world: World) -> None:
    log = world.live()
    last = log.last_second
    before = counts(log, shown(world, last), last)
    event = shown(world, last - DAY)
    world.append(log, [event])
    assert counts(log, event, last) == before
    assert counts(log, event, last + 1)["user"] == 1
    assert log.seconds[len(log) - 1] == last - DAY


def test_an_erased_user_leaves_no_recent_row_and_no_name(world: World) -> None:
    log, untouched = world.live(), world.live()
    second = int(world.seconds[-1]) + 100
    event = shown(world, second)
    old = world.behaviours.slice(0, 1)["user_id"][0].as_py()
    before = counts(log, event._replace(user_id=None), second + 10)
    world.append(log, [event, event._replace(event_id="x", kind="click", timestamp=second + 1)])
    log.erase_user("a new user")
    assert counts(log, event._replace(user_id=None), second + 10) == before
    assert not any(counts(log, event, second + 10)[name] for name in log.specs if name.startswith("user"))
    assert untouched.users.encode(pa.array([old]))[0] >= 0
    log.erase_user(old)
    assert log.users.encode(pa.array([old]))[0] == -1
    world.append(log, [event._replace(user_id=old, event_id="y")])
    assert counts(log, event._replace(user_id=old), second + 10)["user"] == 1
