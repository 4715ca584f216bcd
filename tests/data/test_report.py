import json
from pathlib import Path

import numpy as np
import pytest

from prectr.data import report
from prectr.data.contract import write_table
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console

USERS = ("a", "b")


def day(number: int) -> np.datetime64:
    return np.datetime64("2020-01-01", "s") + np.timedelta64(number, "D")


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """Earlier searches for tea and jam, and a test page of user a for each: coverage, twins and means are known."""
    write_table(tmp_path, "items", {
        "item_id": ["1", "2", "3"], "text": ["tea", "tea", "jam"], "category": ["c", "c", "d"],
        "num_price": [1.0, 2.0, 6.0],
    })  # fmt: skip
    write_table(tmp_path, "pairs", {
        "query": ["tea", "tea"], "item_id": ["1", "3"], "item_text": np.array([None, None], object), "level": [1, 0],
        "split": ["train", "train"],
    }, ["no", "yes"])  # fmt: skip
    searches = [
        ("b", "tea", "c", 1),
        ("b", "tea", "c", 2),
        ("a", "tea", "c", 3),
        ("b", "jam", "c", 4),
        ("b", "tea", "c", 9),
    ]
    write_table(tmp_path, "behaviours", {
        "user_id": [user for user, *_ in searches], "query": [query for _, query, *_ in searches],
        "query_category": [category for _, _, category, _ in searches], "item_id": ["1"] * 5,
        "clicked": [True, False, False, False, True], "timestamp": np.array([day(when) for *_, when in searches]),
        "event_type": ["search"] * 5, "page_id": list(range(5)),
    })  # fmt: skip
    rows = [
        (0, "b", "tea", "1", 1, "train"),
        (1, "b", "tea", "2", 1, "train"),
        (2, "a", "tea", "1", 9, "test"),
        (3, "a", "jam", "3", 9, "test"),
    ]
    write_table(tmp_path, "impressions", {
        "impression_id": [row[0] for row in rows], "page_id": [0, 0, 8, 9], "user_id": [row[1] for row in rows],
        "query": [row[2] for row in rows], "query_category": ["c"] * 4, "item_id": [row[3] for row in rows],
        "position": [0, 1, 0, 0], "timestamp": np.array([day(row[4]) for row in rows]),
        "clicked": [True, False, False, False], "split": [row[5] for row in rows],
    })  # fmt: skip
    write_table(tmp_path, "gold", {"query": ["tea", "jam"], "item_id": ["1", "3"], "level": [1, 1]})
    return tmp_path


def test_the_summary_by_hand(by_hand: Path) -> None:
    summary = report.write_summary(by_hand)
    assert summary["text_twin_rate"] == pytest.approx(2 / 3)
    assert summary["rows"] == {"items": 3, "pairs": 2, "impressions": 4, "behaviours": 5, "gold": 2}
    # User b searched tea twice and jam once before day 9; a's own search and b's on day 9 itself do not count.
    assert summary["cross_user_coverage"] == {
        "query": {"1": 1.0, "5": 0.0, "20": 0.0},
        "category": {"1": 1.0, "5": 0.0, "20": 0.0},
    }
    assert summary["mean_shift"] == {"num_price": {"train": 1.5, "test": 3.5, "shift": pytest.approx(4.0)}}
    assert summary["impressions"]["train"]["ctr"] == 0.5
    assert summary["impressions"]["train"]["level_mix"] is None
    assert summary["impressions"]["test"]["level_mix"] == [0.0, 1.0]
    assert summary["pairs"]["train"]["level_mix"] == [0.5, 0.5]
    assert summary["behaviours"]["query_item_pairs"] == 2
    assert json.loads((by_hand / "summary.json").read_text()) == summary | {
        "mean_shift": {"num_price": {"train": 1.5, "test": 3.5, "shift": 4.0}}
    }


def test_coverage_counts_searches_by_depth(by_hand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "DEPTHS", (1, 2, 3))
    coverage = report.write_summary(by_hand)["cross_user_coverage"]
    assert coverage["query"] == {"1": 1.0, "2": 0.5, "3": 0.0}
    assert coverage["category"] == {"1": 1.0, "2": 1.0, "3": 1.0}


def test_a_builders_level_mix_is_taken(by_hand: Path) -> None:
    summary = report.write_summary(by_hand, {"train": [0.25, 0.75]})
    assert summary["impressions"]["train"]["level_mix"] == [0.25, 0.75]


def test_what_is_reconstructed_is_said_when_shown(by_hand: Path) -> None:
    report.write_summary(by_hand)
    with console.capture() as capture:
        report.show(by_hand)
    printed = capture.get()
    assert "econstructed" in printed and f"Next: make rank DATA={by_hand.parent.name} PROFILE=smoke" in printed
    assert "66.7% of the items" in " ".join(printed.split())


def test_a_data_set_without_summary_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="build the data set with `make data`"):
        report.show(tmp_path)
