"""Importance: by the scores that judge, on the same pages, each part dealt where the report says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.rank.evaluation.importance import ALL, PAGES, TEXTS, WITHIN, importance, parts_of
from prectr.rank.evaluation.protocol import Judged
from prectr.rank.evaluation.size import latency, size_of
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.page_sample import sample_pages
from prectr.rank.model.predictor import Predictor
from tests.rank.toy_run import opened


@pytest.fixture(scope="module")
def test_set(home: Path) -> tuple[Predictor, PreparedSet]:
    _, predictor, prepared = opened(home, "test")
    return predictor, prepared


def judged_by(prepared: PreparedSet, predictor: Predictor) -> Judged:
    """Clicks on what the ranker itself puts first, so that whatever it reads is worth something."""
    p = predictor.predict(prepared, 4096)["p_click"]
    best = np.zeros(prepared.num_pages)
    np.maximum.at(best, prepared.page, p)
    return Judged((p == best[prepared.page]).astype(int), np.asarray(prepared.page), prepared.page % 12)


def test_a_sample_of_pages_scores_as_it_does_in_the_whole(test_set: tuple[Predictor, PreparedSet]) -> None:
    predictor, prepared = test_set
    rows, sample = sample_pages(prepared, 60, 0)
    assert 0 < len(rows) <= 60 and sample.num_pages < prepared.num_pages and (np.diff(rows) > 0).all()
    whole = predictor.predict(prepared, 4096)["p_click"]
    assert np.abs(predictor.predict(sample, 4096)["p_click"] - whole[rows]).max() < 1e-5
    assert sample_pages(prepared, 60, 1)[0].tolist() != rows.tolist(), "the seed draws"
    assert len(sample_pages(prepared, 10**9, 0)[0]) == len(prepared)


def test_what_the_ranker_reads_costs_it_its_order(test_set: tuple[Predictor, PreparedSet]) -> None:
    predictor, prepared = test_set
    found = importance(predictor, prepared, judged_by(prepared, predictor), 4096, 20, 0)
    again = importance(predictor, prepared, judged_by(prepared, predictor), 4096, 20, 0)
    assert found == again, "the seed draws, not the clock"
    assert set(found["parts"]) == set(parts_of(predictor.model.config))
    assert max(part["auc"]["loss"] for part in found["parts"].values()) > 0.01
    for part in found["parts"].values():
        low, high = part["gauc_page"]["ci95"]
        assert low <= high and part["dealt"] in (WITHIN, PAGES, ALL)


def test_each_part_is_dealt_where_it_says_and_nothing_else_moves(test_set: tuple[Predictor, PreparedSet]) -> None:
    predictor, prepared = test_set
    parts = parts_of(predictor.model.config)
    changed = {name: deal(prepared, np.random.default_rng(0)) for name, (_, deal) in parts.items()}
    moved = {name: differing(prepared, other) for name, other in changed.items()}
    assert moved[TEXTS] == {"item_text"}
    for page in range(prepared.num_pages):
        rows = prepared.page == page
        assert sorted(changed[TEXTS].item_text[rows]) == sorted(prepared.item_text[rows])
    assert moved["user's past: attention"] <= {"user_rows"}
    assert moved["others' past: attention"] <= {"cross_rows", "cross_depth"}
    assert moved["all of user's past"] <= {"user_rows", "numeric"}
    numbers = [name for name, fields in moved.items() if fields == {"numeric"}]
    columns = [set(np.flatnonzero((changed[name].numeric != prepared.numeric).any(0))) for name in numbers]
    assert len(numbers) >= 4 and sum(map(len, columns)) == len(set.union(*columns)), "no column twice"
    assert set.union(*columns) <= set(predictor.model.config.numeric_columns)


def differing(one: PreparedSet, other: PreparedSet) -> set[str]:
    parts: list[Mapping[str, Any]] = [vars(one), vars(other)]
    return {name for name, array in parts[0].items() if not np.array_equal(array, parts[1][name])}


def test_a_part_that_is_switched_off_is_not_measured(test_set: tuple[Predictor, PreparedSet]) -> None:
    from dataclasses import replace

    config = replace(test_set[0].model.config, user_preference=False, stage_one_features=False)
    names = set(parts_of(config))
    assert not {"user's past: attention", "all of user's past", "stage one's levels, as numbers"} & names
    assert "others' past: attention" in names


def test_size_and_latency_are_those_of_what_scores(test_set: tuple[Predictor, PreparedSet], home: Path) -> None:
    predictor, prepared = test_set
    size = size_of(predictor.model, home / "ranker")
    assert size["encoder_parameters"] + size["network_parameters"] == sum(
        parameter.numel() for parameter in predictor.model.parameters()
    )
    assert size["bytes"] == sum(path.stat().st_size for path in (home / "ranker").rglob("*.safetensors")) > 0
    timed = latency(predictor, prepared, 0, most=40)
    assert 0 < timed["median_ms"] <= timed["p95_ms"] and timed["pages"] * timed["candidates"] <= 40
