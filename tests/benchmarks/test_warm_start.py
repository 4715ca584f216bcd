"""The exports of a toy shop before and after its last days, and the difference of two runs; no training."""

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.warm_start import ITEMS, LOG, NEWER, RATINGS, WarmStartArguments, difference, mean_of, write_exports
from prectr.data.contract import write_table
from prectr.shared.errors import PrectrError


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_last_days_are_a_file_of_their_own(tmp_path: Path) -> None:
    write_exports(tmp_path, seed=0, users=12, days=10)
    log, newer = rows_of(tmp_path / LOG), rows_of(tmp_path / NEWER)
    times = [[datetime.fromisoformat(row["timestamp"]) for row in rows] for rows in (log, newer)]
    assert max(times[0]) < min(times[1]) and (max(times[1]) - min(times[1])).days < 10 and len(newer) > 8
    assert len(log) + len(newer) == 12 * 42 * 8, "every page that was shown, and nothing else"
    assert {row["position"] for row in newer} == set("01234567")
    assert len({row["page_id"] for row in log} & {row["page_id"] for row in newer}) == 0
    items = {row["item_id"] for row in rows_of(tmp_path / ITEMS)}
    assert {row["item_id"] for row in rows_of(tmp_path / RATINGS)} <= items
    assert {row["level"] for row in rows_of(tmp_path / RATINGS)} == {"irrelevant", "related", "substitute", "exact"}


def run(folder: Path, score: np.ndarray, clicked: np.ndarray) -> Path:
    """A run's tables and predictions, in another order."""
    number = np.arange(len(score))
    write_table(folder / "data", "impressions", {
        "impression_id": number, "page_id": number // 4, "user_id": [f"u{n}" for n in number // 8],
        "query": ["q"] * len(score),
        "item_id": ["i"] * len(score), "position": number % 4, "timestamp": pa.array(number, pa.timestamp("s")),
        "clicked": clicked, "split": ["test"] * len(score),
    })  # fmt: skip
    (folder / "ranker").mkdir(parents=True)
    found = pa.table({"impression_id": number[::-1], "split": ["test"] * len(score), "p_click": score[::-1]})
    pq.write_table(found, folder / "ranker" / "predictions.parquet")
    return folder


def test_the_difference_is_paired_by_impression(tmp_path: Path) -> None:
    clicked = np.arange(400) % 4 == 0
    right = run(tmp_path / "right", np.where(clicked, 0.9, 0.1), clicked)
    wrong = run(tmp_path / "wrong", np.where(clicked, 0.1, 0.9), clicked)
    assert difference(right, wrong)["auc"] == 1.0 == -difference(wrong, right)["auc"]
    assert difference(right, right) == {"auc": 0.0, "ci95": [0.0, 0.0]}


def test_means_and_refusals() -> None:
    def seed(auc: float, seconds: float) -> dict[str, Any]:
        spent = {"warm_start": {"rank": 1.0, "all": 1.0}, "anew": {"rank": seconds, "all": seconds}}
        return {"auc": {"before": auc}, "difference": {"auc": auc - 0.5}, "cpu_seconds": spent}

    mean = mean_of([seed(0.6, 2.0), seed(0.7, 4.0)])
    assert mean["auc"]["before"] == pytest.approx(0.65) and mean["difference"] == pytest.approx(0.15)
    assert mean["share_of_seconds"] == pytest.approx(1 / 3)
    with pytest.raises(PrectrError, match="give 1 to 100 of the shop's 364 days"):
        WarmStartArguments(days=365)
