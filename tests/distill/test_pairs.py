"""Pairs: items become their texts, and what says nothing new is kept once."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from data.contract import write_table
from distill.pairs import Pairs, concatenate, pair_key, read_pairs


def table_of(folder: Path) -> dict[str, Pairs]:
    items = {"item_id": ["a", "b", "c"], "text": ["milk", "milk", "soda"], "category": ["x"] * 3}
    write_table(folder, "items", items)
    rows = {
        "query": ["drink", "drink", "drink", "drink", "drink"],
        "item_id": ["a", "b", "c", None, "a"],
        "item_text": pa.array([None, None, None, "cola", None], pa.string()),
        "level": pa.array([1, 1, 0, 1, None], pa.int8()),
        "split": ["train", "train", "train", "test", "unlabelled"],
    }
    write_table(folder, "pairs", rows, ["no", "yes"])
    return read_pairs(folder)


def test_items_of_one_text_are_one_pair(tmp_path: Path) -> None:
    train = table_of(tmp_path)["train"]
    assert list(zip(train.query, train.item_text, train.level, strict=True)) == [
        ("drink", "milk", 1),
        ("drink", "soda", 0),
    ]


def test_a_text_may_stand_in_for_an_item(tmp_path: Path) -> None:
    assert table_of(tmp_path)["test"].item_text.tolist() == ["cola"]


def test_what_nobody_labelled_has_level_minus_one(tmp_path: Path) -> None:
    assert table_of(tmp_path)["unlabelled"].level.tolist() == [-1]


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    pairs = Pairs(np.arange(50).astype(str).astype(object), np.full(50, "x", object), np.zeros(50, int))
    small, large = pairs.sample(10, 3, "label"), pairs.sample(30, 3, "label")
    assert small.query.tolist() == large.query[:10].tolist()
    assert pairs.sample(10, 4, "label").query.tolist() != small.query.tolist()
    assert len(pairs.sample(99, 3)) == 50


@given(st.text(), st.text(), st.text(), st.text())
def test_keys_are_equal_exactly_for_equal_texts(a: str, b: str, c: str, d: str) -> None:
    assert (pair_key(a, b) == pair_key(c, d)) == ((a, b) == (c, d))


def test_concatenation_keeps_the_order() -> None:
    one = Pairs(np.array(["a"], object), np.array(["x"], object), np.array([1]))
    two = Pairs(np.array(["b"], object), np.array(["y"], object), np.array([0]))
    assert concatenate([one, two]).query.tolist() == ["a", "b"]
