"""Hand-made features: worked examples, and that none of them sees the future or who somebody is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.rank.features.compute import PRIOR_EVENTS, PRIOR_RATE, FeatureMatrix, compute_features
from prectr.shared.errors import PrectrError
from tests.rank.random_shop import (
    CATEGORY_OF_QUERY,
    DAY,
    ITEMS,
    USERS,
    Event,
    in_order,
    level_prob,
    make_log,
    random_events,
    random_impressions,
    with_event,
)

SEEDS = st.integers(0, 10_000)


def features_of(events: list[Event], impressions: pa.Table, pages_kept: int | np.ndarray = -1) -> FeatureMatrix:
    log = make_log(events)
    coded = log.encode(impressions)
    since = log.cut_since(coded.user, coded.before_row, pages_kept)
    prob = level_prob().lookup(impressions["query"], impressions["item_id"])
    return compute_features(log, ITEMS, impressions, prob, since)


def page(items: list[str], day: float, user: str = "U0", query: str = "cola", **columns: list) -> pa.Table:
    size = len(items)
    return pa.table(
        {
            "page_id": [0] * size,
            "user_id": [user] * size,
            "query": [query] * size,
            "query_category": [CATEGORY_OF_QUERY[query]] * size,
            "item_id": items,
            "timestamp": pa.array([round(day * DAY)] * size, pa.timestamp("s")),
            **columns,
        }
    )


def replaced(table: pa.Table, name: str, values: list | np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


# U0 clicks I0 (type sodas, brand own) and skips I1 on days 10 and 24, and buys I2 (teas, own) without a page.
STORY = in_order(
    [
        Event(10, 1, "U0", "cola", "I0", True),
        Event(10, 1, "U0", "cola", "I1", False),
        Event(24, 2, "U0", "cola", "I0", True),
        Event(24, 2, "U0", "cola", "I1", False),
        Event(26, None, "U0", "tea", "I2", True),
        Event(27, 3, "U1", "cola", "I1", True),
        Event(29, 4, "U1", "soap", "I5", True),
    ]
)


def test_a_worked_example_of_the_users_own_past():
    of = features_of(STORY, page(["I0", "I1", "I2"], 30))
    expected = {
        "user_item_clicks": np.log1p([2, 0, 1]),
        "user_item_share": [2 / 4, 0, 1 / 4],
        "user_item_days": np.log1p([6, 182, 4]),
        "user_item_never": [0, 1, 0],
        "user_type_clicks": np.log1p([2, 2, 1]),
        "user_brand_share": [3 / 4, 0, 3 / 4],
        "user_category_clicks": np.log1p([3, 3, 3]),
        "user_category_share": [3 / 4] * 3,
        "user_item_skips": np.log1p([0, 2, 0]),
        "user_item_is_last": [0, 0, 1],
        "user_item_clicks_since": np.log1p([1, 3, 0]),
        "user_all_clicks": np.log1p([3] * 3),
        "user_all_skips": np.log1p([2] * 3),
        "user_all_days": np.log1p([4] * 3),
        "user_all_click_rate": [(3 + PRIOR_EVENTS * PRIOR_RATE) / (5 + PRIOR_EVENTS)] * 3,
        "user_pages": np.log1p([3] * 3),
    }
    for name, values in expected.items():
        assert of.column(name) == pytest.approx(np.array(values), abs=1e-5), name


def test_a_worked_example_of_popularity():
    of = features_of(STORY, page(["I0", "I1", "I2"], 30))
    # The purchase of I2 without a page is popularity, but no showing.
    category = (3 + PRIOR_EVENTS * PRIOR_RATE) / (5 + PRIOR_EVENTS)
    item = (np.array([2, 1, 0]) + PRIOR_EVENTS * category) / (np.array([2, 3, 0]) + PRIOR_EVENTS)
    expected = {
        "item_clicks_1w": np.log1p([1, 1, 1]),
        "item_clicks_4w": np.log1p([2, 1, 1]),
        "item_clicks_gap": np.log([3 / 3, 2 / 3, 2 / 3]),
        "item_clicks_rank": [0, 0.75, 0.75],
        "category_ctr": [category] * 3,
        "item_ctr": item,
        "query_item_ctr": (np.array([2, 1, 0]) + PRIOR_EVENTS * item) / (np.array([2, 3, 0]) + PRIOR_EVENTS),
        "query_item_share": [2 / 4, 1 / 4, 0],
        "query_item_shown": np.log1p([2, 3, 0]),
        "query_shown": np.log1p([5] * 3),
        "page_size": np.log1p([3] * 3),
    }
    for name, values in expected.items():
        assert of.column(name) == pytest.approx(np.array(values), abs=1e-5), name


def test_events_of_other_types_count_as_purchases_do():
    impressions = page(["I0", "I1", "I2"], 30)
    other = [Event(e.day, e.page, e.user, e.query, e.item, e.clicked, "added_to_cart") for e in STORY]
    assert np.array_equal(features_of(other, impressions).values, features_of(STORY, impressions).values)


def test_the_cycle_compares_the_time_since_with_the_items_typical_gap():
    log_gap = (np.log1p(14) + PRIOR_EVENTS * np.log1p(28)) / (1 + PRIOR_EVENTS)
    of = features_of(STORY, page(["I0", "I1"], 30))
    assert of.column("user_item_cycle") == pytest.approx([np.log(6) - np.log(np.expm1(log_gap)), 0], abs=1e-5)
    assert of.column("item_gap_days")[0] == pytest.approx(log_gap, abs=1e-5)


def test_levels_and_prices_are_compared_within_the_page():
    of = features_of(STORY, page(["I0", "I1"], 30, ctx_num_price=[2.0, 4.0], ctx_num_display=[1.0, 0.0]))
    prob = level_prob().lookup(pa.chunked_array([["cola", "cola"]]), pa.chunked_array([["I0", "I1"]]))
    level = prob @ np.arange(3)
    assert of.column("expected_level") == pytest.approx(level, abs=1e-5)
    assert of.column("level_gap") == pytest.approx(level - level.max(), abs=1e-5)
    assert of.column("top_level_ratio") == pytest.approx(prob[:, 2] / prob[:, 2].max(), abs=1e-5)
    assert of.column("ctx_num_price_ratio") == pytest.approx(np.log([2 / 3, 4 / 3]), abs=1e-5)
    assert of.column("ctx_num_display_gap") == pytest.approx([0.5, -0.5])
    assert of.column("num_price") == pytest.approx([1, 2])


def test_every_feature_has_a_name_of_its_own_a_unit_a_source_and_a_meaning():
    of = features_of(STORY, page(["I0"], 30))
    assert len(of.features) >= 40 and len(set(of.names)) == len(of.names) == of.values.shape[1]
    assert all(feature.unit and feature.source and feature.meaning for feature in of.features)
    assert not any("user_id" in name for name in of.names)


@given(SEEDS, st.integers(0, 59), st.sampled_from([0.0, 0.5, 40.0]), st.booleans())
@settings(max_examples=25)
def test_an_event_at_or_after_an_impression_changes_no_feature(seed, day, later, clicked):
    events, impressions = random_events(seed), random_impressions(seed)
    impressions = replaced(impressions, "timestamp", [day * DAY] * 48)
    row = impressions.slice(seed % 48, 1).to_pylist()[0]
    planted = Event(0.0, None if seed % 3 == 0 else 1000, row["user_id"], row["query"], row["item_id"], clicked)
    without = features_of(events, impressions)
    with_planted = features_of(with_event(events, planted, day + later), impressions)
    assert np.array_equal(without.values, with_planted.values)


def test_an_event_before_an_impression_is_felt_by_every_feature_about_the_past():
    impressions = page(["I0", "I1"], 30)
    past = [
        Event(27.5, 10, "U0", "cola", "I0", True),
        Event(28.5, 11, "U0", "cola", "I0", True),
        Event(29, 12, "U0", "cola", "I0", False),
    ]
    without, felt = features_of([], impressions), features_of(past, impressions)
    about_the_past = [f.name for f in felt.features if f.source in ("user history", "all users")]
    unmoved = [name for name in about_the_past if np.array_equal(without.column(name), felt.column(name))]
    assert unmoved == []


@given(SEEDS)
@settings(max_examples=10)
def test_a_history_cut_to_nothing_is_that_of_a_stranger(seed):
    events, impressions = random_events(seed), random_impressions(seed)
    cut = features_of(events, impressions, 0)
    stranger = features_of(events, replaced(impressions, "user_id", ["nobody"] * 48))
    assert np.array_equal(cut.values, stranger.values)


@given(SEEDS, st.integers(0, 4))
@settings(max_examples=10)
def test_a_cut_history_is_the_one_that_begins_there(seed, kept):
    """Cutting gives the user features of a log from which the user's earlier pages were taken away."""
    events = random_events(seed)
    impressions = replaced(replaced(random_impressions(seed), "user_id", ["U1"] * 48), "timestamp", [45 * DAY] * 48)
    cut = features_of(events, impressions, kept)
    pages = sorted({(e.seconds, np.inf if e.page is None else e.page) for e in events if e.user == "U1" and e.day < 45})
    gone = set(pages[: len(pages) - kept])
    left = [e for e in events if e.user != "U1" or (e.seconds, np.inf if e.page is None else e.page) not in gone]
    shortened = features_of(left, impressions)
    # Typical gaps and a category's clicked levels belong to everybody: there the earlier pages still count.
    shared = ("user_item_cycle", "user_level_affinity", "user_level_gap")
    own = [f.name for f in cut.features if f.source == "user history" and f.name not in shared]
    assert all(np.array_equal(cut.column(name), shortened.column(name)) for name in own)


@given(SEEDS)
@settings(max_examples=10)
def test_the_order_of_impressions_and_the_names_of_users_do_not_matter(seed):
    events, impressions = random_events(seed), random_impressions(seed)
    plain = features_of(events, impressions)
    order = np.random.default_rng(seed).permutation(48)
    shuffled = features_of(events, impressions.take(order))
    assert shuffled.values == pytest.approx(plain.values[order], abs=1e-6)
    renamed_users = {user: f"Z{99 - number}" for number, user in enumerate(USERS)}
    renamed = [Event(e.day, e.page, renamed_users[e.user], e.query, e.item, e.clicked) for e in events]
    users = [renamed_users[user] for user in impressions["user_id"].to_pylist()]
    assert np.array_equal(features_of(renamed, replaced(impressions, "user_id", users)).values, plain.values)


def test_clicks_older_than_half_a_year_no_longer_count():
    recent, old = features_of(STORY, page(["I0"], 27 + 181)), features_of(STORY, page(["I0"], 30 + 182))
    assert recent.column("query_shown")[0] == np.float32(np.log1p(1))
    nothing = features_of([], page(["I0"], 30 + 182))
    assert np.array_equal(old.values, nothing.values)


def test_pages_with_one_id_in_two_splits_are_two_pages():
    one = random_impressions(5, num_pages=1)
    both = pa.concat_tables([one, replaced(one, "split", ["open"] * 4)])
    events = random_events(5)
    assert np.array_equal(features_of(events, both).values, np.tile(features_of(events, one).values, (2, 1)))


@given(SEEDS)
@settings(max_examples=10)
def test_values_are_always_finite(seed):
    impressions = replaced(random_impressions(seed), "ctx_num_price", np.zeros(48, np.float32))
    for events in (random_events(seed), []):
        of = features_of(events, impressions)
        assert of.values.dtype == np.float32 and np.isfinite(of.values).all()


def test_a_number_that_is_not_finite_is_named():
    impressions = page(["I0", "I1"], 30, ctx_num_price=[1.0, np.inf])
    with pytest.raises(PrectrError, match="'ctx_num_price', row 1"):
        features_of(STORY, impressions)


def test_without_a_cut_the_whole_history_counts():
    impressions = random_impressions(2)
    log = make_log(random_events(2))
    prob = level_prob().lookup(impressions["query"], impressions["item_id"])
    assert np.array_equal(
        compute_features(log, ITEMS, impressions, prob).values, features_of(random_events(2), impressions).values
    )
