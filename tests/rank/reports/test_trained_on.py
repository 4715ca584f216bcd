"""Data, settings, size and idle parts: what is known is told, what is not is left out."""

import json
from pathlib import Path

import numpy as np

from prectr.rank.reports.trained_on import data_table, idle, settings_of, settings_table, size_facts

LOG = [{"loss": 1.0, "consistency": 0.1, "debias": 0.2, "relevance": 1.0, "step": 1}] + [
    {"loss": 0.5, "consistency": 0.0, "debias": 0.1, "relevance": 1.0, "step": step} for step in (2, 3, 4)
]
SETTINGS = {"consistency_weight": 0.05, "debias_weight": 0.05, "relevance_weight": 0.5, "cross_preference": True}
SLICES = ("cross-user: same query", "cross-user: category", "cross-user: none")


def test_settings_are_those_of_the_steps_records_the_changed_ones_first(tmp_path: Path) -> None:
    for step, inputs in {
        "trained": {"epochs": 7.0, "dropout": 0.1, "features": "f00"},
        "ranker": {"calibrate": False},
    }.items():
        (tmp_path / step).mkdir()
        record = {"name": step, "fingerprint": "f", "inputs": inputs, "seconds": 1, "finished": "", "git_commit": None}
        (tmp_path / step / "step.json").write_text(json.dumps(record), encoding="utf-8")
    settings = settings_of(tmp_path)
    assert settings == {"dropout": 0.1, "epochs": 7.0, "calibrate": False}, "no fingerprints"
    table = settings_table(settings)
    assert table is not None and table.folded and "2 of 3 differ" in table.title
    assert [row[:3] for row in table.rows] == [
        ["epochs", "7", "3"], ["calibrate", "false", "true"], ["dropout", "0.1", "0.1"]
    ]  # fmt: skip
    assert settings_of(tmp_path / "nothing") == {} and settings_table({}) is None


def test_splits_have_their_days_and_sizes() -> None:
    counts = {"pages": 3, "users": 2, "queries": 1, "impressions": 1200, "clicks": 40}
    table = data_table({"data": {"train": {"first": "2024-01-01", "last": "2024-02-01", **counts}}})
    assert table is not None
    assert table.rows == [["train", "2024-01-01 – 2024-02-01", "1,200", "40", "3", "2", "1"]]
    assert data_table({}) is None


def test_a_loss_without_weight_or_value_is_idle_and_one_that_works_is_not() -> None:
    said = " ".join(idle({}, SETTINGS, LOG, np.ones(3)))
    assert "Semantic consistency: 0.0000" in said and "debias" not in said.lower() and "Relevance" not in said
    absent = idle({}, SETTINGS | {"debias_weight": 0}, LOG, None)
    assert any("debias_weight" in sentence and "absent" in sentence for sentence in absent)
    assert idle({}, {}, LOG, None) == [], "settings that are not known"
    assert idle({}, SETTINGS, [], None) == []


def test_empty_slices_switches_and_what_was_not_measured_are_told() -> None:
    slices = dict.fromkeys(SLICES[:2], {})
    said = idle({"slices": slices, "not_measured": {"open": "open candidates: none"}}, SETTINGS, [], np.zeros(3))
    assert said == [
        "Slice “cross-user: none”: no test page is in it.",
        "The incentive τ is 0 on every test page.",
        "Not measured: open candidates: none.",
    ]
    assert idle({"slices": dict.fromkeys(SLICES, {})}, SETTINGS, [], np.ones(1)) == []
    off = " ".join(idle({}, {"user_preference": False, "incentive": "none", "engagement_weight": 0.0}, [], None))
    assert "user_preference" in off and "incentive: none" in off and "engagement_weight" in off


def test_size_and_latency_are_told_where_they_were_measured() -> None:
    assert size_facts({}) == {}
    timed = {"median_ms": 3.21, "p95_ms": 5.0, "pages": 50, "candidates": 12.0, "threads": 2}
    size = {"encoder_parameters": 22_700_000, "network_parameters": 1_500_000, "bytes": 97_000_000}
    facts = size_facts({"latency": timed, "size": size})
    assert "3.2 ms" in facts["Latency"] and "97.0 MB" in facts["Size"] and "22.7 M" in facts["Size"]
