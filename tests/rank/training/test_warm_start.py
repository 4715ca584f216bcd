"""Going on from a trained ranker: the same scores before the first step, and no silent misfit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prectr.rank.features.feature_map import CategoricalColumn, FeatureMap
from prectr.rank.features.kept_map import kept_feature_map
from prectr.rank.features.prepare import prepare
from prectr.rank.serving.ranker import Ranker
from prectr.rank.training.warm_start import _embeddings, carry_over
from prectr.shared.errors import PrectrError
from tests.rank.toy_run import LEVEL_NAMES, split_of, untrained, whole_shop


@pytest.fixture(scope="module")
def source(home: Path) -> Ranker:
    return Ranker.from_pretrained(home / "ranker")


def fitted(home: Path) -> FeatureMap:
    """What would be fitted on half of the training pages."""
    shop, table = whole_shop(home), split_of(home, "train")
    table = table.filter(np.asarray(table["page_id"]) % 2 == 0)
    raw = prepare(table, shop, Ranker.from_pretrained(home / "ranker").history)
    return FeatureMap.fit(shop.items, raw.impressions, raw.features)


def fresh(home: Path, feature_map: FeatureMap, source: Ranker, **network: object) -> Ranker:
    return untrained(feature_map, home, source.columns, seed=7, **network)


def with_vocabulary(feature_map: FeatureMap, column: str, vocabulary: list[str]) -> FeatureMap:
    changed = [
        replace(each, vocabulary=vocabulary) if each.name == column else each for each in feature_map.categorical
    ]
    return replace(feature_map, categorical=tuple(changed))


def test_with_the_kept_map_it_begins_where_the_other_ended(home: Path, source: Ranker) -> None:
    feature_map = kept_feature_map(source.feature_map, source.level_names, fitted(home), LEVEL_NAMES)
    assert feature_map == source.feature_map
    started = fresh(home, feature_map, source)
    page = [{"item_id": "I1", "text": "red shirt", "category": "clothing"}, {"text": "cheap lamp", "item_id": "new"}]
    now = {"timestamp": 1_481_000_000}
    expected = source.score("red shirt", page, context=now)
    assert np.abs(started.score("red shirt", page, context=now)["p_click"] - expected["p_click"]).max() > 1e-4
    assert set(carry_over(started.model, feature_map, source).values()) == {1.0}
    for name, values in started.score("red shirt", page, context=now).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_other_vocabularies_carry_over_what_both_have(home: Path, source: Ranker) -> None:
    old = next(column for column in source.feature_map.categorical if column.name == "item_id").vocabulary
    feature_map = with_vocabulary(source.feature_map, "item_id", ["a new id", *reversed(old[:10])])
    started = fresh(home, feature_map, source)
    carried = carry_over(started.model, feature_map, source)
    assert carried["item_id"] == pytest.approx(10 / 11) and carried["category"] == 1.0
    place = feature_map.categorical_names.index("item_id")
    theirs, ours = (each.model.embeddings[place].weight for each in (source, started))
    assert ours.shape[0] == 12
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[0])  # a new id begins as the unknown one
    torch.testing.assert_close(ours[2:], theirs[1:11].flip(0))


def test_other_levels_are_refused(home: Path, source: Ranker) -> None:
    with pytest.raises(PrectrError, match="the levels here are bad, good, the ranker's irrelevant"):
        kept_feature_map(source.feature_map, source.level_names, source.feature_map, ["bad", "good"])


def test_other_columns_are_refused(source: Ranker) -> None:
    feature_map = source.feature_map
    renamed = (replace(feature_map.numeric[0], name="moon_phase"), *feature_map.numeric[1:])
    for changed, message in (
        (replace(feature_map, numeric=renamed), "the number columns .* 'moon_phase' is new"),
        (
            replace(feature_map, numeric=feature_map.numeric[1:]),
            f"number .* '{feature_map.numeric[0].name}' is missing",
        ),
        (replace(feature_map, categorical=feature_map.categorical[1:]), "categorical .* 'item_id' is missing"),
        (replace(feature_map, numeric=feature_map.numeric[::-1]), "their order is another"),
    ):
        with pytest.raises(PrectrError, match=message):
            kept_feature_map(source.feature_map, source.level_names, changed, LEVEL_NAMES)
        with pytest.raises(PrectrError, match=message):
            carry_over(source.model, changed, source)


def test_numbers_in_other_units_are_refused(home: Path, source: Ranker) -> None:
    feature_map = fitted(home)
    assert feature_map.numeric != source.feature_map.numeric
    with pytest.raises(PrectrError, match="standardised"):
        carry_over(fresh(home, feature_map, source).model, feature_map, source)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"hidden_sizes": [8]}, r"hidden_sizes is \[8\] here and \[16\] in the ranker; use the same"),
        ({"incentive": "none"}, "incentive is none here and inside in the ranker"),
        ({"cross_preference": False}, "cross_preference is False here"),
    ],
)
def test_another_network_is_refused(home: Path, source: Ranker, network: dict, message: str) -> None:
    started = fresh(home, source.feature_map, source, **network)
    with pytest.raises(PrectrError, match=message):
        carry_over(started.model, source.feature_map, source)


def test_buckets_are_carried_over_among_as_many_and_begin_unknown_among_others():
    weight = torch.arange(6.0)[:, None]  # unknown, a, b, and three buckets
    then = CategoricalColumn("store", False, ["a", "b"], buckets=3)
    same, share = _embeddings(weight, CategoricalColumn("store", False, ["b", "new", "a"], buckets=3), then)
    assert same.flatten().tolist() == [0, 2, 0, 1, 3, 4, 5] and share == pytest.approx(2 / 3)
    other, _ = _embeddings(weight, CategoricalColumn("store", False, ["a"], buckets=2), then)
    assert other.flatten().tolist() == [0, 1, 0, 0]
