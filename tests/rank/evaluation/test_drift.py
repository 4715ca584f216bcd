"""`python -m rank validate`: what drifted is found, what did not is not, and only errors are errors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prectr.data.contract import read_table
from prectr.rank.__main__ import main
from prectr.rank.evaluation.drift import compare_inputs, judge, reference_of
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.reference import DECILES, REFERENCE, Bins, Reference, count
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.validate import begins_later, next_command, observe
from prectr.shared.errors import PrectrError
from tests.rank.toy_run import split_of

FIGURES: dict[str, dict[str, Any]] = {
    "auc": {"then": 0.70, "now": 0.70, "now_ci95": (0.68, 0.72)},
    "pcoc": {"then": 1.0, "now": 1.0, "now_ci95": (0.9, 1.1)},
}


@pytest.fixture(scope="module")
def reference(home: Path, scorer: Scorer) -> Reference:
    return reference_of(scorer.ranker, home / "ranker", 1.0)


def newer_log(home: Path, folder: Path, **columns: Any) -> Path:
    """The shop's own past with the training pages as a new log, some columns replaced."""
    folder.mkdir()
    for name in ("items", "behaviours"):
        pq.write_table(read_table(home / "data", name), folder / f"{name}.parquet")
    table = split_of(home, "train")
    for name, change in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(change(table[name].to_numpy(zero_copy_only=False))))
    pq.write_table(table, folder / "impressions.parquet")
    return folder


def test_the_training_rows_have_not_drifted(home: Path, scorer: Scorer, reference: Reference) -> None:
    observed = observe(scorer, home / "data", reference, "train", "clicked", 1.0)
    inputs = compare_inputs(reference, observed)
    assert len(inputs) == len(scorer.ranker.feature_map.numeric) + len(scorer.ranker.feature_map.categorical)
    assert max(row["psi"] for row in inputs) < 1e-9
    assert max(abs(row.get("shift", 0)) + row.get("outside", 0) for row in inputs) < 1e-5
    assert all(row.get("unknown_now") == row.get("unknown_then") for row in inputs)
    np.testing.assert_allclose(observed.level_prob, reference.level_prob, atol=1e-6)
    assert observed.clicked.mean() == pytest.approx(reference.ctr)
    assert not judge(inputs, FIGURES).retrain


def test_a_planted_change_is_found_and_named(
    home: Path, reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = newer_log(
        home,
        tmp_path / "log",
        ctx_num_price=lambda price: (price * 10).astype(np.float32),
        ctx_cat_weekday=lambda day: np.where(np.arange(len(day)) % 2, day, "a new day"),
    )
    main(["validate", "--profile", "smoke", "--ranker", str(home / "ranker"), "--log", str(log)])
    report = json.loads((home / "drift.json").read_text())
    assert (report["ranker"], report["log"]) == ("ranker", "log"), "not where they lie on this machine"
    found = {row["input"]: row for row in report["inputs"]}
    assert report["inputs"][0]["input"].startswith("ctx_num_price")
    assert found["ctx_num_price"]["shift"] > 0.5 and found["ctx_num_price"]["outside"] > 0.5
    assert found["ctx_cat_weekday"]["unknown_now"] == pytest.approx(0.5, abs=0.01)
    assert found["ctx_cat_weekday"]["unknown_then"] == 0
    assert found["item_ctr"]["psi"] < 1e-9
    assert report["verdict"]["retrain"] and "ctx_cat_weekday is unknown" in report["verdict"]["sentence"]
    assert "Retraining is due" in capsys.readouterr().out
    for figure in ("ctr", "auc", "pcoc", "ece"):
        low, high = report["figures"][figure]["now_ci95"]
        assert low <= high and report["figures"][figure]["now"] is not None


def test_a_log_without_the_split_and_the_trained_log_are_refused(home: Path) -> None:
    flags = ["validate", "--profile", "smoke", "--ranker", str(home / "ranker"), "--log", str(home / "data")]
    with pytest.raises(PrectrError, match="name a later split of it with --split test"):
        main(flags)
    with pytest.raises(PrectrError, match="split 'summer' has no rows"):
        main([*flags, "--split", "summer"])


@pytest.mark.parametrize(
    ("changes", "retrain", "recalibrate", "said"),
    [
        ({}, False, False, "Neither"),
        ({"auc": {"then": 0.70, "now": 0.66, "now_ci95": (0.64, 0.68)}}, True, False, "AUC fell from 0.7000 to 0.6600"),
        ({"auc": {"then": 0.70, "now": 0.66, "now_ci95": (0.60, 0.72)}}, False, False, "Neither"),
        ({"auc": {"then": 0.70, "now": 0.695, "now_ci95": (0.69, 0.699)}}, False, False, "Neither"),
        ({"auc": {"then": None, "now": 0.5, "now_ci95": (0.4, 0.6)}}, False, False, "Neither"),
        ({"pcoc": {"then": 1.0, "now": 1.2, "now_ci95": (1.1, 1.3)}}, False, True, "Recalibration is due: PCOC is 1.2"),
        ({"pcoc": {"then": 1.0, "now": 1.2, "now_ci95": (0.9, 1.5)}}, False, False, "Neither"),
        ({"pcoc": {"then": 1.0, "now": 1.04, "now_ci95": (1.03, 1.05)}}, False, False, "Neither"),
        ({"pcoc": {"then": 1.0, "now": None, "now_ci95": None}}, False, False, "Neither"),
    ],
)
def test_the_verdict_follows_its_thresholds(changes: Any, retrain: bool, recalibrate: bool, said: str) -> None:
    inputs = [{"input": "price", "psi": 0.4, "shift": 1.0, "outside": 0.0}]
    verdict = judge(inputs, FIGURES | changes)
    assert (verdict.retrain, verdict.recalibrate) == (retrain, recalibrate)
    assert said in verdict.sentence and "1 of 1 inputs drifted much" in verdict.sentence and "price" in verdict.sentence


def test_a_reference_comes_back_and_names_nobody(home: Path, reference: Reference, tmp_path: Path) -> None:
    reference.save(tmp_path)
    assert Reference.read(tmp_path / REFERENCE) == reference
    text = (tmp_path / REFERENCE).read_text()
    for column in ("user_id", "query", "item_id"):
        values = set(split_of(home, "train")[column].to_pylist())
        assert not [value for value in values if f'"{value}"' in text]


def test_training_pages_with_cut_histories_are_left_out(home: Path, scorer: Scorer) -> None:
    prepared = PreparedSet.open(home / "features" / "train")
    history = replace(scorer.ranker.history, cold_share=0.5)
    some = Reference.of(prepared, scorer.ranker.feature_map, history, 3, 1.0)
    kept = cold_cuts(prepared.num_pages, 0.5, history.cold_lengths, 3)[prepared.page] == -1
    assert 0 < some.rows == kept.sum() < len(prepared)
    assert some.ctr == pytest.approx(prepared.clicked[kept].mean())


def test_a_ranker_that_says_nothing_of_its_training_is_refused(home: Path, scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="train it again"):
        reference_of(scorer.ranker, tmp_path / "ranker", 1.0)


values = hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([-1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 7.0]))


@given(values, values)
def test_psi_is_a_distance_of_distributions(then: np.ndarray, now: np.ndarray) -> None:
    bins = Bins.of(then, np.unique(np.quantile(then, DECILES, method="inverted_cdf")))
    assert sum(bins.shares) == pytest.approx(1) and len(bins.shares) == len(bins.edges) + 1
    assert bins.psi(count(then, bins.edges)) == pytest.approx(0, abs=1e-12)
    assert bins.psi(count(now, bins.edges)) >= -1e-12
    doubled = np.concatenate([now, now])
    assert bins.psi(count(doubled, bins.edges)) == pytest.approx(bins.psi(count(now, bins.edges)))


def test_psi_by_hand() -> None:
    bins = Bins(edges=[0.0], shares=[0.5, 0.5], mean=0.0)
    expected = (0.75 - 0.5) * np.log(0.75 / 0.5) + (0.25 - 0.5) * np.log(0.25 / 0.5)
    assert bins.psi(np.array([3, 1])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("artifacts/newer/data", "rank run --name newer --warm_start artifacts/old/ranker"),
        ("runs/newer/data", "rank run --name newer --artifacts runs --warm_start artifacts/old/ranker"),
        ("artifacts/old/data", "write the newer days as a data set, then python -m rank run --name NEWER"),
    ],
)
def test_the_next_command_runs_as_printed(log: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["rank"])
    assert expected in next_command(Path("artifacts/old/ranker"), Path(log), due=True)
    assert next_command(Path("artifacts/old/ranker"), Path(log), due=False).startswith("nothing")


def test_a_log_that_begins_later_is_told_from_drift(tmp_path: Path) -> None:
    day = 86_400
    assert begins_later(np.array([40 * day]), tmp_path) == "", "a ranker that does not say when"
    (tmp_path / "metrics.json").write_text(json.dumps({"data": {"train": {"first": "1970-01-31"}}}))
    assert begins_later(np.array([30 * day, 90 * day]), tmp_path) == "" == begins_later(np.array([], int), tmp_path)
    assert "begins on 1970-02-10, the ranker's training on 1970-01-31" in begins_later(np.array([40 * day]), tmp_path)
