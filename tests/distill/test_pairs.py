"""Pairs: items become their texts, and what says nothing new is kept once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.data.contract import write_table
from prectr.distill.pairs import (
    Pairs,
    concatenate,
    pair_key,
    read_pairs,
    remarks,
    require_training_pairs,
    with_random_items,
)
from prectr.shared.errors import PrectrError

ROWS = [
    ("drink", "a", 1, "train"),
    ("drink", "b", 1, "train"),
    ("drink", "c", 0, "train"),
    ("drink", None, 1, "test"),
    ("drink", "a", None, "unlabelled"),
]


def table_of(folder: Path, rows: Sequence[tuple[str, str | None, int | None, str]] = ROWS) -> dict[str, Pairs]:
    """Pairs of (query, item_id, level, split); a row without an item has the text "cola"."""
    items = {"item_id": ["a", "b", "c"], "text": ["milk", "milk", "soda"], "category": ["x"] * 3}
    write_table(folder, "items", items)
    query, item_id, level, split = zip(*rows, strict=True)
    columns = {
        "query": query,
        "item_id": pa.array(item_id, pa.string()),
        "item_text": pa.array([None if item else "cola" for item in item_id], pa.string()),
        "level": pa.array(level, pa.int8()),
        "split": split,
    }
    write_table(folder, "pairs", columns, ["no", "yes"])
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


def test_pairs_come_in_the_order_of_the_table(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 40, (500, 2))
    rows = [(f"query {query}", "abc"[item % 3], None, "unlabelled") for query, item in numbers]
    pairs = table_of(tmp_path, [*rows, ("q", "a", 1, "train"), ("q", "c", 0, "train")])["unlabelled"]
    text = {"a": "milk", "b": "milk", "c": "soda"}
    expected = dict.fromkeys((query, text[item]) for query, item, _, _ in rows)
    assert list(zip(pairs.query, pairs.item_text, strict=True)) == list(expected)


def test_a_text_is_in_memory_once_however_many_pairs_share_it(tmp_path: Path) -> None:
    train = table_of(tmp_path, [("a", "a", 1, "train"), ("b", "a", 0, "train"), ("c", "b", 0, "train")])["train"]
    assert train.item_text[0] is train.item_text[1] is train.item_text[2]


GOOD = [("q", "a", 1, "train"), ("q", "c", 0, "train"), ("r", "a", 1, "validation"), ("r", "c", 0, "validation")]
UNLABELLED = ("q", "b", None, "unlabelled")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD[:2], UNLABELLED], "split: no row is 'validation'"),
        ([*GOOD[2:], UNLABELLED], "split: no row is 'train'"),
        ([("s", "a", 1, "test"), ("s", "c", 0, "test")], "split: no row is 'unlabelled'"),
        ([*GOOD[1:], UNLABELLED], "level: every row of split 'train' is of level 0: judge pairs of other levels too"),
        ([*GOOD[:3], UNLABELLED], "level: every row of split 'validation' is of level 1"),
    ],
)
def test_a_split_too_few_is_said(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(PrectrError, match=f"pairs.parquet: {message}"):
        require_training_pairs(table_of(tmp_path, rows), tmp_path)


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        (GOOD, "no row is 'unlabelled': the teacher judges near misses and random pairs"),
        ([UNLABELLED], "no row of train has a level: the teacher judges as it comes"),
    ],
)
def test_gold_or_unlabelled_pairs_will_do(tmp_path: Path, rows: list, remark: str) -> None:
    pairs = table_of(tmp_path, rows)
    require_training_pairs(pairs, tmp_path)
    assert remark in " ".join(remarks(pairs, tmp_path, ["no", "yes"]))


def test_what_can_be_trained_on_passes_without_a_remark(tmp_path: Path) -> None:
    pairs = table_of(tmp_path, [*GOOD, UNLABELLED, ("s", "a", 1, "test")])
    require_training_pairs(pairs, tmp_path)
    assert remarks(pairs, tmp_path, ["no", "yes"]) == []


@pytest.mark.parametrize(
    ("row", "remark"),
    [
        (("q", "b", 1, "train"), "1 of 6 rows repeat a query, text, level and split: each counts once"),
        (("q", "b", 0, "train"), "1 of 5 gold pairs have the texts of another with another level or split"),
        (("q", "b", 0, "test"), "1 of 1 queries of test are in train or validation or unlabelled too"),
        (("r", "b", 0, "test_types"), "1 of 1 queries of test_types are in train or validation too"),
    ],
)
def test_what_should_be_known_is_said(tmp_path: Path, row: tuple, remark: str) -> None:
    pairs = table_of(tmp_path, [*GOOD, UNLABELLED, row])
    assert any(remark in line for line in remarks(pairs, tmp_path, ["no", "yes"]))


def test_a_level_without_pairs_is_said(tmp_path: Path) -> None:
    found = remarks(table_of(tmp_path, [*GOOD, UNLABELLED]), tmp_path, ["no", "yes", "very"])
    assert found == ["pairs: train has no pair of level very: the student hardly predicts what it never saw."]


def test_the_teacher_may_judge_queries_of_types_without_gold_labels(tmp_path: Path) -> None:
    pairs = table_of(tmp_path, [*GOOD, UNLABELLED, ("u", "c", None, "unlabelled"), ("u", "a", 1, "test_types")])
    assert remarks(pairs, tmp_path, ["no", "yes"]) == []


def asked(queries: int, each: int) -> Pairs:
    query = np.repeat([f"q{number}" for number in range(queries)], each).astype(object)
    text = np.array([f"t{number}" for number in range(queries * each)], dtype=object)
    return Pairs(query, text, np.arange(queries * each) % 3)


@pytest.mark.parametrize("size", [1, 7, 12, 60, 100])
def test_queries_are_drawn_whole(size: int) -> None:
    drawn = asked(12, 5).sample_queries(size, 0, "x")
    assert len(drawn) == min(size, 60)
    _, counts = np.unique(drawn.query, return_counts=True)
    assert (counts < 5).sum() <= 1
    again = asked(12, 5).sample_queries(size, 1, "x")
    assert size >= 60 or set(again.item_text) != set(drawn.item_text)


def test_random_items_are_none_of_the_querys_own() -> None:
    pairs = asked(4, 3)
    texts = [f"t{number}" for number in range(12)]
    found = with_random_items(pairs, texts, 1000, 0, "x")
    own = set(zip(pairs.query, pairs.item_text, strict=True))
    assert 0 < len(found) <= 12 and not own.intersection(zip(found.query, found.item_text, strict=True))
    assert set(found.query) <= set(pairs.query) and (found.level == -1).all()
    assert len(with_random_items(pairs.take(np.array([], int)), texts, 5, 0)) == 0
    assert len(with_random_items(pairs, [], 5, 0)) == 0
