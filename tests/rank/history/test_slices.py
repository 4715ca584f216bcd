"""The behaviour log: what an impression may see of the past, against a search written as a loop."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prectr.data.toy as toy
from prectr.data.contract import read_table
from prectr.rank.features.compute import compute_features
from prectr.rank.history.log import UNCUT
from prectr.rank.history.slices import BehaviourLog, Coded, cross_slices, user_slices
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.errors import PrectrError
from tests.rank.history.toy_level_prob import random_level_prob
from tests.rank.random_shop import (
    CATEGORY_OF_QUERY,
    DAY,
    ITEMS,
    LEVELS,
    USERS,
    Event,
    behaviours_table,
    in_order,
    level_prob,
    make_log,
    random_events,
    random_impressions,
    with_event,
)

SEEDS = st.integers(0, 10_000)
PLANTED = st.builds(
    Event,
    day=st.just(0.0),
    page=st.sampled_from([None, 0, 7, 1000]),
    user=st.sampled_from(USERS),
    query=st.sampled_from(list(CATEGORY_OF_QUERY)),
    item=st.sampled_from(ITEMS["item_id"].to_pylist()),
    clicked=st.booleans(),
)
ITEM_ROWS = {row["item_id"]: row for row in ITEMS.to_pylist()}


def lists_of(log: BehaviourLog, name: str, coded: Coded) -> np.ndarray:
    parts = []
    for part in log.specs[name].parts:
        if part.startswith("same_"):
            parts.append(np.where(coded.item < 0, -1, log.item_groups[part.removeprefix("same_")][coded.item]))
        else:
            parts.append(getattr(coded, part))
    return log.index(name).lookup(*parts)


def seen_of(log: BehaviourLog, name: str, coded: Coded, since: np.ndarray) -> list[np.ndarray]:
    """Everything an index tells about impressions."""
    index, lists = log.index(name), lists_of(log, name, coded)
    window = (lists, since, coded.before_row)
    told = [index.count(*window), index.last(*window, 6), index.last_row(*window)]
    return told if index.totals is None else [*told, index.total(*window)]


def belongs(name: str, event: Event, row: dict) -> bool:
    """Whether `event` is in the list that index `name` has for the impression `row`, by the index's name alone."""
    base, _, kind = name.rpartition("_")
    if kind not in ("clicked", "skipped", "purchased"):
        base, kind = name, ""
    if kind and not {"clicked": event.clicked, "skipped": not event.clicked, "purchased": event.page is None}[kind]:
        return False
    user, _, attribute = base.partition("_same_")
    if attribute:
        mine, theirs = ITEM_ROWS[row["item_id"]], ITEM_ROWS[event.item]
        column = "category" if attribute == "category" else f"cat_{attribute}"
        return event.user == row["user_id"] and all(mine[name] == theirs[name] for name in ("category", column))
    query = None if event.page is None else event.query
    of_event = {"user": event.user, "query": query, "category": event.category, "item": event.item}
    of_row = {
        "user": row["user_id"], "query": row["query"], "category": row["query_category"], "item": row["item_id"]
    }  # fmt: skip
    return all(of_event[part] == of_row[part] for part in user.split("_"))


@given(SEEDS)
@settings(max_examples=10)
def test_every_index_agrees_with_a_loop_over_the_events(seed):
    events, impressions = random_events(seed), random_impressions(seed)
    log = make_log(events)
    coded = log.encode(impressions)
    since = np.random.default_rng(seed).integers(0, len(events) // 2, len(coded.user))
    assert set(log.item_groups) == {"category", "type", "brand"}
    for name in log.specs.keys() - {"user_page", "item_repeat"}:
        count, last, last_row = seen_of(log, name, coded, since)[:3]
        for number, row in enumerate(impressions.to_pylist()):
            before = int(row["timestamp"].timestamp())
            rows = [
                place
                for place, event in enumerate(events)
                if place >= since[number] and event.seconds < before and belongs(name, event, row)
            ]
            assert count[number] == len(rows), name
            assert last_row[number] == (rows[-1] if rows else -1)
            assert last[number].tolist() == (rows[::-1] + [-1] * 6)[:6]


def test_level_sums_are_those_of_the_clicked_events():
    events = random_events(3)
    log = make_log(events)
    coded = log.encode(random_impressions(3))
    since = np.zeros(len(coded.user), np.int64)
    total = log.index("user_clicked").total(lists_of(log, "user_clicked", coded), since, coded.before_row)
    for number, (user, before) in enumerate(zip(coded.user, coded.before_row, strict=True)):
        rows = [row for row in range(before) if log.user[row] == user and log.clicked[row]]
        assert np.array_equal(total[number], log.level_prob[rows].astype(np.float64).sum(0))


def test_repeats_are_clicks_within_eight_weeks_of_the_users_last_click_on_the_item():
    def click(day: float, user: str = "U0") -> Event:
        return Event(day, round(day * 10), user, "cola", "I0", True)

    # The second of two on one day, and a return after more than 8 weeks, are no repeats.
    log = make_log(in_order([click(1), click(1.5), click(8.5), click(9, "U1"), click(80), click(90)]))
    index = log.index("item_repeat")
    assert [log.seconds[row] / DAY for row in index.rows] == [8.5, 90]
    whole = (index.lookup(np.array([0])), np.array([0]), np.array([len(log)]))
    assert index.total(*whole)[0, 0] == pytest.approx(np.log1p(7) + np.log1p(10), abs=1e-6)


@given(SEEDS, PLANTED, st.integers(0, 59), st.sampled_from([0.0, 0.5, 30.0]))
@settings(max_examples=25)
def test_an_event_at_or_after_an_impression_changes_nothing_it_sees(seed, planted, day, later):
    events, impressions = random_events(seed), random_impressions(seed)
    impressions = impressions.set_column(
        impressions.column_names.index("timestamp"), "timestamp", pa.array([day * DAY] * 48, pa.timestamp("s"))
    )
    told = []
    for past in (events, with_event(events, planted, day + later)):
        log = make_log(past)
        coded = log.encode(impressions)
        since = log.cut_since(coded.user, coded.before_row, np.arange(48) % 5 - 1)
        seen = [array for name in log.specs for array in seen_of(log, name, coded, since)]
        seen.append(user_slices(log, coded.user, coded.category, since, coded.before_row, 4, 6))
        seen += cross_slices(log, coded.user, coded.query, coded.category, coded.before_row, 6)
        told.append([coded.before_row, since, *seen])
    without, with_planted = told
    assert all(np.array_equal(one, other) for one, other in zip(without, with_planted, strict=True))


@pytest.mark.parametrize("name", make_log(random_events(0)).specs)
def test_an_event_before_an_impression_is_seen_by_every_index(name):
    planted = Event(50.0, 1000, "U0", "cola", "I0", name.rpartition("_")[2] != "skipped")
    if name.endswith("purchased"):
        planted = Event(50.0, None, "U0", "cola", "I0", True)
    events = [*random_events(0, days=50), Event(48.0, 999, "U0", "cola", "I0", True)]
    impressions = pa.table(
        {
            "user_id": ["U0"],
            "query": ["cola"],
            "query_category": ["drinks"],
            "item_id": ["I0"],
            "timestamp": pa.array([51 * DAY], pa.timestamp("s")),
        }
    )
    counts = []
    for past in (in_order(events), in_order([*events, planted])):
        log = make_log(past)
        counts.append(seen_of(log, name, log.encode(impressions), np.array([0]))[0][0])
    assert counts[1] == counts[0] + 1


@given(SEEDS)
@settings(max_examples=10)
def test_a_cut_leaves_exactly_the_last_pages(seed):
    events = random_events(seed)
    log = make_log(events)
    coded = log.encode(random_impressions(seed))
    # A purchase without a page belongs to what its user bought without a page at that time.
    page_of = [(event.seconds, np.inf if event.page is None else event.page) for event in events]
    for kept in (0, 1, 2, 5, 1000):
        since = log.cut_since(coded.user, coded.before_row, kept)
        for user, begin, before in zip(coded.user, since, coded.before_row, strict=True):
            every, left = (
                sorted({page_of[row] for row in range(first, before) if log.user[row] == user}) for first in (0, begin)
            )
            assert left == (every[-kept:] if kept else [])
    assert not log.cut_since(coded.user, coded.before_row, UNCUT).any()
    assert np.array_equal(log.cut_since(coded.user, coded.before_row, 0), coded.before_row)


@given(SEEDS)
@settings(max_examples=10)
def test_user_slices_hold_the_last_clicks_and_skips_in_the_category_and_then_the_last_others(seed):
    events = random_events(seed, num_pages=80)
    log = make_log(events)
    coded = log.encode(random_impressions(seed))
    since = log.cut_since(coded.user, coded.before_row, 12)
    slices = user_slices(log, coded.user, coded.category, since, coded.before_row, 4, 6, clicked_share=0.5)
    asked = (coded.user, coded.category, since, coded.before_row)
    for user, category, begin, before, rows in zip(*asked, slices, strict=True):
        own = [row for row in range(before - 1, begin - 1, -1) if log.user[row] == user]
        near: list[int] = []
        for clicked in (0, 1):
            near += [row for row in own if log.category[row] == category and log.clicked[row] == clicked][:2]
        others: list[int] = []
        for clicked in (0, 1):
            others += [row for row in own if row not in near and log.clicked[row] == clicked][:3]
        assert [row for row in rows[:4] if row >= 0] == sorted(near, reverse=True)
        assert [row for row in rows[4:] if row >= 0] == sorted(others, reverse=True)


@given(SEEDS)
@settings(max_examples=10)
def test_cross_slices_hold_other_users_events_of_the_query_and_then_of_its_category(seed):
    log = make_log(random_events(seed, num_pages=5 + seed % 40))
    coded = log.encode(random_impressions(seed))
    slices, depth = cross_slices(log, coded.user, coded.query, coded.category, coded.before_row, 6)
    for number, rows in enumerate(slices):
        others = [row for row in range(coded.before_row[number] - 1, -1, -1) if log.user[row] != coded.user[number]]
        query = [row for row in others if log.query[row] == coded.query[number] >= 0]
        category = [row for row in others if log.category[row] == coded.category[number] and row not in query]
        of_query, of_category = [], []
        for clicked in (0, 1):
            of_query += [row for row in query if log.clicked[row] == clicked][:3]
            room = 3 - sum(log.clicked[row] == clicked for row in of_query)
            of_category += [row for row in category if log.clicked[row] == clicked][:room]
        expected = sorted(of_query, reverse=True) + sorted(of_category, reverse=True)
        assert [row for row in rows if row >= 0] == expected
        assert depth[number] == (2 if not expected else int(bool(of_category)))


def test_a_query_that_only_the_user_searches_backs_off_however_long_their_history():
    own = [Event(day, day, "U0", "cola", "I0", day % 2 == 0) for day in range(500)]
    others = [Event(1.0, 1000, "U1", "cola", "I1", True), Event(2.0, 1001, "U1", "tea", "I2", True)]
    log = make_log(in_order([*own, *others]))
    names = ((log.users, "U0"), (log.queries, "cola"), (log.categories, "drinks"))
    asked = [np.array([vocabulary.index(name).as_py()]) for vocabulary, name in names]
    rows, depth = cross_slices(log, *asked, np.array([len(log)]), 6)
    assert [log.items[int(log.item[row])].as_py() for row in rows[0] if row >= 0] == ["I1", "I2"]
    assert depth.tolist() == [1]


def test_unknown_users_queries_and_items_have_no_past():
    log = make_log(random_events(1))
    unknown, before = np.array([-1]), np.array([len(log)])
    assert (user_slices(log, unknown, unknown, np.array([0]), before) == -1).all()
    rows, depth = cross_slices(log, unknown, unknown, unknown, before)
    assert (rows == -1).all() and depth.tolist() == [2]
    assert (
        log.index("user_item").count(log.index("user_item").lookup(np.array([0]), unknown), np.array([0]), before) == 0
    )


def test_an_empty_log_gives_empty_slices():
    log = make_log([])
    coded = log.encode(random_impressions(0))
    since = log.cut_since(coded.user, coded.before_row, 3)
    assert (user_slices(log, coded.user, coded.category, since, coded.before_row) == -1).all()
    assert set(cross_slices(log, coded.user, coded.query, coded.category, coded.before_row)[1]) == {2}


def test_level_prob_is_the_pairs_own_and_zero_without_a_query():
    events = random_events(4)
    log = make_log(events)
    queries, items = list(CATEGORY_OF_QUERY), ITEMS["item_id"].to_pylist()
    for event, stored in zip(events, log.level_prob, strict=True):
        expected = LEVELS[queries.index(event.query), items.index(event.item)] if event.page is not None else 0
        assert stored == pytest.approx(np.broadcast_to(expected, 3), abs=1e-3)


def test_a_log_on_disk_is_the_log_in_memory(tmp_path):
    toy.build(tmp_path, 1, num_users=12, pages_per_user=20, train_pages=40)
    items, behaviours, impressions = (read_table(tmp_path, name) for name in ("items", "behaviours", "impressions"))
    pairs = random_level_prob(impressions, behaviours)
    pq.write_table(pairs, tmp_path / "level_prob.parquet")
    stored = BehaviourLog.build(
        tmp_path, LevelProb.build(tmp_path / "level_prob.parquet", tmp_path / "pairs"), tmp_path / "log"
    )
    memory = BehaviourLog.from_tables(items, behaviours, LevelProb(pairs))
    coded, same = stored.encode(impressions), memory.encode(impressions)
    assert all(np.array_equal(one, other) for one, other in zip(coded, same, strict=True))
    since = np.zeros(len(coded.user), np.int64)
    assert stored.event_types == memory.event_types
    for name in stored.specs:
        for one, other in zip(seen_of(stored, name, coded, since), seen_of(memory, name, coded, since), strict=True):
            assert np.array_equal(one, other)


def test_any_type_of_event_is_kept_by_name_and_counts_as_a_click_without_a_showing(tmp_path):
    events = in_order(
        [
            Event(1, 0, "U0", "cola", "I0", True),
            Event(2, None, "U0", "cola", "I0", True, "wished_for"),
            Event(3, None, "U0", "cola", "I0", True, "added_to_cart"),
            Event(4, None, "U0", "cola", "I0", True),
        ]
    )
    log = make_log(events)
    assert log.event_types == ("search", "purchase", "added_to_cart", "wished_for")
    assert [log.event_types[code] for code in log.event] == ["search", "wished_for", "added_to_cart", "purchase"]
    whole = (np.array([0]), np.array([len(log)]))
    counts = {
        name: log.index(name).count(log.index(name).lookup(np.array([0])), *whole)[0]
        for name in ("item", "item_clicked", "item_purchased", "user_skipped")
    }
    assert counts == {"item": 4, "item_clicked": 4, "item_purchased": 3, "user_skipped": 0}
    assert log.event_types_before(3 * DAY) == ["search", "purchase", "wished_for"]
    assert log.event_types_before(0) == ["search", "purchase"]


def test_more_types_of_event_than_a_byte_holds_are_refused():
    with pytest.raises(PrectrError, match="there are 301 of them"):
        make_log([Event(day, None, "U0", "cola", "I0", True, f"type {day}") for day in range(299)])


def test_unsorted_events_are_refused_by_row():
    events = random_events(0)
    with pytest.raises(PrectrError, match="timestamp, row 1"):
        BehaviourLog.from_tables(ITEMS, behaviours_table([events[-1], *events[:-1]]), level_prob())


def test_an_unscored_pair_is_named():
    table = behaviours_table([Event(0.0, 0, "U0", "cola", "I0", True)])
    table = table.set_column(1, "query", pa.array(["never scored"]))
    with pytest.raises(PrectrError, match="'never scored' and item 'I0'"):
        BehaviourLog.from_tables(ITEMS, table, level_prob())


def test_a_folder_without_a_log_says_how_to_make_one(tmp_path):
    with pytest.raises(PrectrError, match="python -m rank run"):
        BehaviourLog.open(tmp_path)


def test_anonymous_shoppers_share_no_history_and_are_others_to_one_another() -> None:
    """Nobody's own events are nobody's; every one of them counts for the query."""
    named = random_events(3)
    nameless = behaviours_table(named)
    nameless = nameless.set_column(0, "user_id", pa.nulls(len(nameless), pa.string()))
    log = BehaviourLog.from_tables(ITEMS, nameless, level_prob())
    coded = log.encode(random_impressions(3).set_column(1, "user_id", pa.nulls(48, pa.string())))
    since = log.cut_since(coded.user, coded.before_row, -1)
    assert (coded.user == -1).all()
    assert (user_slices(log, coded.user, coded.category, since, coded.before_row) == -1).all()
    rows, depth = cross_slices(log, coded.user, coded.query, coded.category, coded.before_row, 10)
    for place in range(len(coded.user)):
        before = np.arange(coded.before_row[place])
        of_query = before[(log.query[before] == coded.query[place]) & (coded.query[place] >= 0)]
        of_category = before[log.category[before] == coded.category[place]]
        assert (rows[place] >= 0).any() == (len(of_query) + len(of_category) > 0)
        assert depth[place] == 2 or (rows[place] >= 0).any()


def test_a_category_that_nobody_knows_is_shared_by_nothing() -> None:
    events = behaviours_table(random_events(4))
    events = events.set_column(2, "query_category", pa.nulls(len(events), pa.string()))
    items = ITEMS.set_column(2, "category", pa.nulls(len(ITEMS), pa.string()))
    log = BehaviourLog.from_tables(items, events, level_prob())
    page = random_impressions(4)
    page = page.set_column(page.column_names.index("query_category"), "query_category", pa.nulls(48, pa.string()))
    coded = log.encode(page)
    rows, depth = cross_slices(log, coded.user, coded.query, coded.category, coded.before_row, 10)
    assert set(depth.tolist()) <= {0, 2} and (depth == 0).any()
    same_query = log.query[np.maximum(rows, 0)] == coded.query[:, None]
    assert (same_query | (rows < 0)).all()
    found = compute_features(log, items, page, np.full((len(page), 3), 1 / 3))
    assert np.isfinite(found.values).all() and (found.column("user_category_clicks") == 0).all()
