"""The feature map: fitted on training rows, the same after a round trip, and nothing private in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from prectr.rank.config import HistoryArguments
from prectr.rank.features.compute import Feature, FeatureMatrix, compute_features
from prectr.rank.features.feature_map import MAX_DEVIATIONS, UNKNOWN, FeatureMap, FeatureMapFit
from prectr.rank.features.groups import NEVER_SHOWN, is_of_slice, unlike_anything
from prectr.rank.features.prepare import prepare
from prectr.rank.features.shop import Shop
from prectr.rank.training.exposure_bias import never_shown
from prectr.shared.errors import PrectrError
from tests.rank.random_shop import (
    CATEGORY_OF_QUERY,
    ITEMS,
    USERS,
    level_prob,
    make_log,
    random_events,
    random_impressions,
)


@pytest.fixture(scope="module")
def impressions():
    return random_impressions(0, num_pages=30)


@pytest.fixture(scope="module")
def features(impressions):
    prob = level_prob().lookup(impressions["query"], impressions["item_id"])
    return compute_features(make_log(random_events(0)), ITEMS, impressions, prob)


@pytest.fixture(scope="module")
def feature_map(impressions, features):
    return FeatureMap.fit(ITEMS, impressions, features)


def numbers(*columns: list[float]) -> FeatureMatrix:
    described = tuple(Feature(f"x{place}", "", "", "") for place in range(len(columns)))
    return FeatureMatrix(described, np.array(columns, np.float32).T)


def replaced(table: pa.Table, name: str, values: list) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_inputs_of_the_training_rows_are_standardised(feature_map, impressions, features):
    inputs = feature_map.transform(ITEMS, impressions, features)
    assert inputs.numeric.dtype == np.float32 and inputs.categorical.dtype == np.int64
    assert inputs.numeric.shape == (120, len(feature_map.numeric_names))
    varying = np.ptp(features.values, axis=0) > 0
    assert varying.sum() > 30
    assert np.abs(inputs.numeric).max() <= MAX_DEVIATIONS
    rare = (np.abs(inputs.numeric) == MAX_DEVIATIONS).any(0)
    assert inputs.numeric[:, varying & ~rare].mean(0) == pytest.approx(0, abs=1e-4)
    assert inputs.numeric[:, varying & ~rare].std(0) == pytest.approx(1, abs=1e-3)


def test_an_item_the_query_never_showed_stays_as_it_is_and_others_become_like_one(feature_map, impressions, features):
    numeric = feature_map.transform(ITEMS, impressions, features).numeric
    found = never_shown(feature_map, numeric)
    names = feature_map.numeric_names
    raw = dict(zip(features.names, features.values.T, strict=True))
    shown = raw["query_item_shown"] > 0
    assert 0.2 < shown.mean() < 0.95
    for name in ("query_item_shown", "query_item_share", "query_item_ctr"):
        column = names.index(name)
        np.testing.assert_allclose(found[~shown, column], numeric[~shown, column], atol=1e-4)
        assert (np.abs(found[shown, column] - numeric[shown, column]) > 1e-3).mean() > 0.3
    kept = [place for place, name in enumerate(names) if name not in NEVER_SHOWN]
    np.testing.assert_array_equal(found[:, kept], numeric[:, kept])
    assert found.dtype == numeric.dtype and not np.array_equal(found, numeric)


def test_to_a_hard_negative_no_other_user_did_anything(impressions):
    shop = Shop(ITEMS, make_log(random_events(0)), level_prob(), sorted(CATEGORY_OF_QUERY))
    raw = prepare(random_impressions(0), shop, HistoryArguments())
    feature_map = FeatureMap.fit(ITEMS, raw.impressions, raw.features)
    names, before = raw.features.names, feature_map.transform(ITEMS, raw.impressions, raw.features).numeric
    after = never_shown(feature_map, before)
    moved = {name for name, one, other in zip(names, before.T, after.T, strict=True) if not np.array_equal(one, other)}
    assert not [name for name in moved if not is_of_slice(name, "cross") and name not in NEVER_SHOWN]
    counted = [place for place, name in enumerate(names) if is_of_slice(name, "cross")]
    assert len(moved) > 20 and (after[:, counted] == after[:1, counted]).all()
    for name in ("cross_match_cat_brand_clicks", "cross_match_cat_brand_rate"):
        column = feature_map.numeric[names.index(name)]
        expected = (np.clip(unlike_anything(name), column.low, column.high) - column.mean) / column.std
        np.testing.assert_allclose(after[:, names.index(name)], expected, rtol=1e-5)


def test_numbers_outside_the_training_range_are_drawn_to_its_edge(impressions):
    few = impressions.slice(0, 4)
    feature_map = FeatureMap.fit(ITEMS, few, numbers([0, 1, 2, 3], [5, 5, 5, 5]))
    later = feature_map.transform(ITEMS, few, numbers([-100, 1.5, 3, 1e9], [5, 6, -1e9, 5])).numeric
    edge = 1.5 / np.std([0, 1, 2, 3])
    assert later[:, 0] == pytest.approx([-edge, 0, edge, edge])
    # What is constant in training says nothing, whatever it is later.
    assert (later[:, 1] == 0).all()


def test_one_far_number_is_clipped(impressions):
    many = impressions.take(np.zeros(1000, np.int64))
    feature_map = FeatureMap.fit(ITEMS, many, numbers([0] * 999 + [1]))
    assert feature_map.transform(ITEMS, many, numbers([0] * 999 + [1])).numeric.max() == MAX_DEVIATIONS


def test_values_that_are_rare_in_training_are_unknown():
    shown = random_impressions(1, num_pages=3)
    shown = replaced(shown, "ctx_cat_store", ["north"] * 7 + ["south"] * 4 + ["west"])
    feature_map = FeatureMap.fit(ITEMS, shown, numbers([0.0] * 12))
    place = feature_map.categorical_names.index("ctx_cat_store")
    assert feature_map.cardinalities[place] == 2
    codes = feature_map.transform(ITEMS, shown, numbers([0.0] * 12)).categorical[:, place]
    assert codes.tolist() == [1] * 7 + [UNKNOWN] * 5
    lower = FeatureMap.fit(ITEMS, shown, numbers([0.0] * 12), min_count=4)
    assert lower.categorical[place].vocabulary == ["north", "south"]


def test_unknown_items_and_values_are_unknown_and_not_an_error(feature_map, impressions, features):
    strange = replaced(impressions, "item_id", ["never seen"] * 120)
    strange = replaced(strange, "ctx_cat_store", ["elsewhere"] * 120)
    codes = feature_map.transform(ITEMS, strange, features).categorical
    store = feature_map.categorical_names.index("ctx_cat_store")
    assert (codes[:, [*feature_map.item_columns, store]] == UNKNOWN).all()
    assert (codes[:, feature_map.categorical_names.index("query_category")] != UNKNOWN).any()


def test_item_columns_come_first_and_serve_past_events(feature_map, impressions, features):
    assert feature_map.item_columns == [0, 1, 2, 3, 4]
    assert feature_map.categorical_names[:5] == ["item_id", "category", "cat_type", "cat_brand", "cat_department"]
    of_items = feature_map.transform_items(ITEMS)
    assert of_items.shape == (ITEMS.num_rows, 5)
    row = [ITEMS["item_id"].to_pylist().index(item) for item in impressions["item_id"].to_pylist()]
    assert np.array_equal(feature_map.transform(ITEMS, impressions, features).categorical[:, :5], of_items[row])


def test_codes_stay_below_the_cardinalities(feature_map, impressions, features):
    codes = feature_map.transform(ITEMS, impressions, features).categorical
    assert (codes.max(0) < feature_map.cardinalities).all() and codes.min() >= 0


def stored(text: str, folder: Path) -> FeatureMap:
    (folder / "feature_map.json").write_text(text)
    return FeatureMap.read(folder / "feature_map.json")


def test_a_round_trip_through_json_changes_nothing(feature_map, impressions, features, tmp_path):
    again = stored(feature_map.to_json(), tmp_path)
    assert again == feature_map
    for one, other in zip(
        feature_map.transform(ITEMS, impressions, features), again.transform(ITEMS, impressions, features), strict=True
    ):
        assert np.array_equal(one, other)


def test_types_of_event_are_kept_and_older_maps_know_the_usual_two(feature_map, impressions, features, tmp_path):
    assert feature_map.event_types == ("search", "purchase")
    named = FeatureMap.fit(ITEMS, impressions, features, event_types=["search", "purchase", "added_to_cart"])
    assert stored(named.to_json(), tmp_path) == named
    older = {name: value for name, value in json.loads(feature_map.to_json()).items() if name != "event_types"}
    assert stored(json.dumps(older), tmp_path) == feature_map


def test_a_map_holds_no_user_ids_and_no_queries_unless_asked(feature_map, impressions, features):
    stored = feature_map.to_json()
    assert not [text for text in (*USERS, *CATEGORY_OF_QUERY) if f'"{text}"' in stored]
    named = FeatureMap.fit(ITEMS, impressions, features, user_id=True, item_id=False)
    assert named.categorical_names[-1] == "user_id" and "item_id" not in named.categorical_names
    assert set(named.categorical[-1].vocabulary) <= set(USERS)


def test_only_training_rows_may_be_fitted_on(impressions, features):
    leaked = replaced(impressions, "split", ["train"] * 119 + ["test"])
    with pytest.raises(PrectrError, match="found train, test"):
        FeatureMap.fit(ITEMS, leaked, features)


def test_other_features_than_the_fitted_ones_are_refused(feature_map, impressions, features):
    fewer = FeatureMatrix(features.features[1:], features.values[:, 1:])
    with pytest.raises(PrectrError, match="user_item_clicks"):
        feature_map.transform(ITEMS, impressions, fewer)


def test_a_missing_column_is_named(feature_map, impressions, features):
    with pytest.raises(PrectrError, match="impressions: column 'ctx_cat_store' is missing"):
        feature_map.transform(ITEMS, impressions.drop_columns(["ctx_cat_store"]), features)


def test_a_map_fitted_part_by_part_is_the_one_fitted_at_once(feature_map, impressions, features):
    for size in (1, 7, 50):
        fit = FeatureMapFit(ITEMS)
        for start in range(0, impressions.num_rows, size):
            part = FeatureMatrix(features.features, features.values[start : start + size])
            fit.add(impressions.slice(start, size), part)
        fit.add(impressions.slice(0, 0), FeatureMatrix(features.features, features.values[:0]))
        found = fit.finish()
        assert found.categorical == feature_map.categorical
        for one, other in zip(found.numeric, feature_map.numeric, strict=True):
            assert (one.name, one.low, one.high) == (other.name, other.low, other.high)
            assert one.mean == pytest.approx(other.mean, abs=1e-12) and one.std == pytest.approx(other.std, abs=1e-9)
    with pytest.raises(PrectrError, match="found no rows"):
        FeatureMapFit(ITEMS).finish()


def test_a_vocabulary_that_would_be_too_large_keeps_the_most_frequent_and_hashes_the_rest(tmp_path):
    shown = random_impressions(1, num_pages=5)
    shops = ["a"] * 6 + ["b"] * 5 + ["c"] * 4 + ["d"] * 3 + ["e"] * 2
    shown = replaced(shown, "ctx_cat_store", shops)
    feature_map = FeatureMap.fit(ITEMS, shown, numbers([0.0] * 20), min_count=2, max_vocabulary=2, hash_buckets=3)
    place = feature_map.categorical_names.index("ctx_cat_store")
    column = feature_map.categorical[place]
    assert (column.vocabulary, column.buckets) == (["a", "b"], 3)
    assert feature_map.cardinalities[place] == 1 + 2 + 3
    codes = column.encode(pa.chunked_array([["b", "a", "c", "d", None], ["e", "never seen", "c"]]))
    assert codes[:2].tolist() == [2, 1] and codes[4] == UNKNOWN
    rare = codes[[2, 3, 5, 6, 7]]
    # zlib.crc32 of the value, by hand: the same on every machine and in every version.
    assert rare.tolist() == [
        3 + checksum % 3 for checksum in (112844655, 2564639436, 4024072794, 2346464705, 112844655)
    ]
    inputs = feature_map.transform(ITEMS, shown, numbers([0.0] * 20))
    assert (inputs.categorical.max(0) < feature_map.cardinalities).all()
    assert stored(feature_map.to_json(), tmp_path) == feature_map


def test_few_values_need_no_buckets(feature_map, impressions, features):
    assert {column.buckets for column in feature_map.categorical} == {0}
    most = max(len(column.vocabulary) for column in feature_map.categorical)
    just = FeatureMap.fit(ITEMS, impressions, features, max_vocabulary=most, hash_buckets=7)
    assert just == feature_map
    without = FeatureMap.fit(ITEMS, impressions, features, max_vocabulary=1, hash_buckets=0)
    assert {column.cardinality for column in without.categorical} <= {1, 2}
    assert without.transform(ITEMS, impressions, features).categorical.max() == 1
