"""Figures of a data set, counted by hand over drawn tables, and in memory that does not grow with the rows."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from prectr.data.contract import write_table
from prectr.data.summary import figures

SPLITS = ("train", "validation", "test")


def drawn(folder: Path, seed: int, rows: int = 120) -> dict[str, list[dict[str, Any]]]:
    """Tables of a few users (some unknown), queries and categories (some unknown), written and as rows."""
    draw = np.random.default_rng(seed)

    def of(*values: Any) -> list[Any]:
        return [values[place] for place in draw.integers(0, len(values), rows)]

    when = np.datetime64("2024-01-01", "s") + draw.integers(0, 12, rows).astype("timedelta64[D]")
    asked = {"user_id": of("a", "b", "c", None), "query": of("tea", "jam", "cup"), "query_category": of("x", "y", None)}
    log = {**asked, "item_id": of("1", "2"), "clicked": of(True, False), "timestamp": when}
    seen = {**log, "event_type": ["search"] * rows, "page_id": of(*range(30))}
    shown = {
        **{name: values[::-1] for name, values in log.items()},
        "impression_id": list(range(rows)), "page_id": of(*range(9)), "position": of(0, 1), "split": of(*SPLITS),
        "ctx_num_size": draw.normal(1e6, 1, rows).astype(np.float32),
    }  # fmt: skip
    items = {"item_id": ["1", "2"], "text": ["one", "two"], "num_price": [1.0, 4.0]}
    pairs = {"query": ["tea"] * 3, "item_id": ["1", None, "2"], "item_text": [None, "1", None], "level": [0, 1, None],
             "split": ["train", "train", "unlabelled"]}  # fmt: skip
    tables: dict[str, dict[str, Any]] = {"items": items, "pairs": pairs, "behaviours": seen, "impressions": shown}
    for name, columns in tables.items():
        write_table(folder, name, columns, ["no", "yes"] if name == "pairs" else None)
    return {
        name: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for name, columns in tables.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_coverage_is_that_of_counting(tmp_path: Path, seed: int) -> None:
    tables = drawn(tmp_path, seed)
    names = ("user_id", "query", "query_category", "page_id", "timestamp")
    searches = {tuple(row[name] for name in names) for row in tables["behaviours"]}
    asked = Counter(tuple(row[name] for name in names) for row in tables["impressions"] if row["split"] == "test")
    found = figures(tmp_path, {}, (1, 3, 9))["cross_user_coverage"]
    for label, place in (("query", 1), ("category", 2)):
        for depth in (1, 3, 9):
            deep = 0
            for page, rows in asked.items():
                same = [each for each in searches if page[place] is not None and each[place] == page[place]]
                other = [each for each in same if each[0] is None or page[0] is None or each[0] != page[0]]
                deep += rows * (sum(each[4] < page[4] for each in other) >= depth)
            assert found[label][str(depth)] == deep / asked.total()


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_means_are_those_of_the_rows(tmp_path: Path, seed: int) -> None:
    tables = drawn(tmp_path, seed)
    found = figures(tmp_path, {}, (1,))
    price = {"1": 1.0, "2": 4.0}
    of = {split: [row for row in tables["impressions"] if row["split"] == split] for split in SPLITS}
    for split, rows in of.items():
        assert found["impressions"][split] == {
            "pages": len({row["page_id"] for row in rows}),
            "users": len({row["user_id"] for row in rows} - {None}),
            "queries": len({row["query"] for row in rows}),
            "rows": len(rows),
            "ctr": pytest.approx(np.mean([row["clicked"] for row in rows])),
            "level_mix": None,
        }
    numbers = {"ctx_num_size": lambda row: float(row["ctx_num_size"]), "num_price": lambda row: price[row["item_id"]]}
    for name, value in numbers.items():
        train, test = (np.array([value(row) for row in of[split]]) for split in ("train", "test"))
        shift = (test.mean() - train.mean()) / train.std()
        means = {"train": train.mean(), "test": test.mean(), "shift": shift}
        assert found["mean_shift"][name] == pytest.approx(means, rel=1e-6)
    assert found["pairs"]["train"] == {"queries": 1, "items": 1, "rows": 2, "level_mix": [0.5, 0.5]}
    assert found["impressions"]["open"] == {
        "pages": 0, "users": 0, "queries": 0, "rows": 0, "ctr": None, "level_mix": None
    }  # fmt: skip
    behaviours = tables["behaviours"]
    pairs = {(row["query"], row["item_id"]) for row in behaviours}
    assert found["behaviours"]["query_item_pairs"] == len(pairs) and found["behaviours"]["rows"] == len(behaviours)


def test_no_table_is_read_into_memory(tmp_path: Path) -> None:
    rows = 400_000
    drawn(tmp_path, 0)
    where = np.arange(rows)
    users = pa.array([f"visitor-of-the-shop-{user}" for user in range(1000)]).take(pa.array(where % 1000))
    log = {"user_id": users, "query": users, "item_id": pa.array(["1"] * rows), "clicked": where % 10 == 0}
    log |= {"timestamp": np.datetime64("2024-01-01", "s") + (where // 10).astype("timedelta64[s]")}
    write_table(tmp_path, "behaviours", {**log, "event_type": pa.array(["search"] * rows), "page_id": where // 10})
    split = pa.array(np.where(where < rows // 2, "train", "test"))
    write_table(
        tmp_path,
        "impressions",
        {**log, "impression_id": where, "page_id": where // 10, "position": where % 10, "split": split},
    )
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        assert figures(tmp_path, {}, (1,))["impressions"]["train"]["rows"] == rows // 2
    finally:
        pa.set_memory_pool(before)
    assert 0 < pool.max_memory() < 4 << 20, pool.max_memory()
