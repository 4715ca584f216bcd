"""Dates and sizes of the splits, counted from the table."""

from pathlib import Path

import numpy as np

from prectr.data.contract import write_table
from prectr.rank.evaluation.splits import describe_splits


def test_every_split_is_counted_in_the_order_of_a_report(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_table(data, "impressions", {
        "impression_id": np.arange(5),
        "page_id": [1, 1, 2, 3, 3],
        "user_id": ["ann", "ann", None, "bob", "bob"],
        "query": ["tea", "tea", "tea", "milk", "milk"],
        "query_category": ["drinks"] * 5,
        "item_id": list("abcab"),
        "position": [0, 1, 0, 0, 1],
        "timestamp": np.array(["2024-03-01T23:00", "2024-03-01T23:00", "2024-03-04", "2024-05-01", "2024-05-01"],
                              dtype="datetime64[s]"),
        "clicked": [True, False, True, False, False],
        "split": ["train"] * 3 + ["test"] * 2,
        "label_bought": [False, False, True, True, True],
    })  # fmt: skip
    found = describe_splits(data, "clicked", tmp_path)
    assert list(found) == ["train", "test"]
    assert found["train"] == {
        **{"first": "2024-03-01", "last": "2024-03-04", "pages": 2, "users": 1, "queries": 1},
        **{"impressions": 3, "clicks": 2},
    }
    assert found["test"]["clicks"] == 0 and found["test"]["queries"] == 1
    assert describe_splits(data, "label_bought", tmp_path)["test"]["clicks"] == 2
