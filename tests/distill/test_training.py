"""Rows on disk: as they were, to the last bit, made once; and the figures on validation while a model is trained."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from transformers import EvalPrediction, Trainer

from prectr.distill.student.model import PairDataset, StudentModel
from prectr.distill.student.train import Schedule, train_student
from prectr.distill.training import (
    ROWS_TOGETHER,
    LikeLengthSampler,
    LikeLengthTrainer,
    MappedColumn,
    QuerySampler,
    fixed_lists,
    lengths_of,
    level_metrics,
    rows_on_disk,
)
from prectr.shared.metrics import graded_relevance
from tests.distill.student.test_model import matches, student

RANDOM = np.random.default_rng(0)
COLUMNS = {
    "half": RANDOM.normal(size=(50, 3)).astype(np.float16),
    "single": RANDOM.normal(size=(50, 4)).astype(np.float32),
    "known": RANDOM.integers(0, 2, (50, 2)).astype(bool),
    "code": RANDOM.integers(0, 9, 50),
}


def make(rows: np.ndarray) -> pa.Table:
    chosen = {name: values[rows] for name, values in COLUMNS.items()}
    return pa.table({name: v if v.ndim == 1 else fixed_lists(v) for name, v in chosen.items()})


@pytest.mark.parametrize("at_once", [7, 50, 1000])
def test_rows_come_back_to_the_last_bit_in_any_order(tmp_path: Path, at_once: int) -> None:
    stored = rows_on_disk(tmp_path / "new" / "rows.arrow", np.arange(50), make, at_once)
    assert [Path(file["filename"]) for file in stored.cache_files] == [tmp_path / "new" / "rows.arrow"]
    rows = np.array([49, 0, 7, 6, 7, 31])
    for name, values in COLUMNS.items():
        taken = MappedColumn(stored, name).take(rows)
        assert taken.dtype == values.dtype and taken.flags.writeable
        np.testing.assert_array_equal(taken, values[rows])


def test_they_are_made_once_and_nothing_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    file = tmp_path / "rows" / "rows.arrow"
    first = rows_on_disk(file, np.arange(50), make, 20)
    again = rows_on_disk(file, np.arange(50), lambda rows: pytest.fail("made twice"), 20)
    assert again.to_list() == first.to_list()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["rows.arrow"]
    assert capfd.readouterr() == ("", "") and not datasets.are_progress_bars_disabled()


def test_a_killed_making_leaves_no_file_and_is_done_again(tmp_path: Path) -> None:
    def die(rows: np.ndarray) -> pa.Table:
        if rows[0] > 0:
            raise KeyboardInterrupt
        return make(rows)

    file = tmp_path / "rows.arrow"
    with pytest.raises(KeyboardInterrupt):
        rows_on_disk(file, np.arange(50), die, 20)
    assert not file.exists()
    assert len(rows_on_disk(file, np.arange(50), make, 20)) == 50


def test_lengths_are_those_of_the_rows_also_in_another_order(tmp_path: Path) -> None:
    ids = [[1] * length for length in (3, 1, 4, 1, 5)]
    stored = rows_on_disk(
        tmp_path / "a.arrow", np.arange(5), lambda rows: pa.table({"input_ids": [ids[r] for r in rows]})
    )
    assert lengths_of(stored).tolist() == [3, 1, 4, 1, 5]
    assert lengths_of(stored.select([4, 0])).tolist() == [5, 3]
    sampler = LikeLengthTrainer._get_train_sampler(
        type("T", (), {"train_dataset": stored, "_train_batch_size": 2, "args": type("A", (), {"seed": 0})})()  # type: ignore[arg-type]
    )
    assert sorted(sampler) == list(range(5))


def test_figures_are_those_of_the_reports() -> None:
    logits, level = RANDOM.normal(size=(30, 4)), RANDOM.integers(0, 4, 30)
    found = level_metrics(EvalPrediction(predictions=logits, label_ids=level))
    odds = np.exp(logits)
    expected = graded_relevance(level, odds / odds.sum(1, keepdims=True))
    assert found == pytest.approx({name: expected[name] for name in ("auc", "macro_f1", "qwk", "spearman")})
    one_level = level_metrics(EvalPrediction(predictions=logits[:3], label_ids=np.zeros(3, int)))
    assert "auc" not in one_level and "spearman" not in one_level


@pytest.mark.parametrize("has_gold", [True, False])
def test_validation_is_told_in_figures_where_it_has_gold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_gold: bool
) -> None:
    logged: list[dict[str, Any]] = []
    log = Trainer.log

    def keep(self: Trainer, logs: dict[str, float], *rest: Any) -> None:
        logged.append(logs)
        log(self, logs, *rest)

    monkeypatch.setattr(Trainer, "log", keep)
    encoder, pairs = student(tmp_path), matches(32, 1)
    data = PairDataset(encoder, pairs, tmp_path / "rows")
    data.has_gold = has_gold
    train_student(StudentModel(encoder), data, data, Schedule(1, 1e-3, 1e-2, 16, False, True, 0), tmp_path / "work")
    told = [logs for logs in logged if "eval_loss" in logs]
    assert len(told) == 2 and all(("eval_qwk" in logs) == has_gold for logs in told)


def runs(query: np.ndarray) -> list[int]:
    """Lengths of the runs of one query."""
    ends = np.flatnonzero(np.append(query[1:] != query[:-1], True))
    return np.diff(np.append(-1, ends)).tolist()


def test_rows_of_a_query_stay_together_and_no_row_is_lost() -> None:
    query = np.repeat(np.arange(20), 6)
    sampler = QuerySampler(query, 0)
    first = np.array(list(sampler))
    assert sorted(first) == list(range(120)) and min(runs(query[first])) == 6
    sampler.set_epoch(1)
    assert list(sampler) != first.tolist() and list(QuerySampler(query, 0)) == first.tolist()
    many = np.zeros(100, int)
    assert sorted(QuerySampler(many, 0)) == list(range(100)) and ROWS_TOGETHER < 100


def test_batches_of_like_length_can_keep_queries_together_too() -> None:
    query, lengths = np.repeat(np.arange(50), 4), np.random.default_rng(0).integers(1, 9, 200)
    order = np.array(list(LikeLengthSampler(lengths, 8, 0, query)))
    assert sorted(order) == list(range(200))
    assert np.mean([size == 4 for size in runs(query[order])]) > 0.8
    apart = np.array(list(LikeLengthSampler(lengths, 8, 0)))
    assert np.mean(runs(query[apart])) < 1.5
