"""What is replayed: gold levels of `train`, and the encoder's own opinion of pairs that nobody judged."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from prectr.data.contract import write_table
from prectr.rank.inputs.replayed_pairs import pairs_to_replay
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from tests.shared.encoder.tiny_encoder import tiny_encoder

NAMES = ["irrelevant", "related", "substitute", "exact"]
GOLD = [("milk", "1", None, 3, "train"), ("lamp", None, "red shirt", 0, "train"), ("hat", "2", None, 1, "test")]
OPEN = [("red", None, word, None, "unlabelled") for word in ("lamp", "soda", "bread", "shoe", "table")]


@pytest.fixture
def encoder(tmp_path: Path) -> LevelEncoder:
    return tiny_encoder(tmp_path / "words", NAMES)


def write(data: Path, rows: list[tuple[str, str | None, str | None, int | None, str]]) -> Path:
    data.mkdir(exist_ok=True)
    write_table(data, "items", {"item_id": ["1", "2", "3"], "text": ["red milk", "blue hat", "red milk"]})
    columns = dict(zip(("query", "item_id", "item_text", "level", "split"), zip(*rows, strict=True), strict=True))
    write_table(data, "pairs", columns, NAMES)
    return data


def replayed(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["query"].to_pylist(), table["item_text"].to_pylist(), strict=True))


def test_gold_comes_first_and_the_rest_is_as_the_encoder_itself_judges_it(encoder: LevelEncoder, tmp_path: Path):
    again = ("milk", "3", None, 3, "train")  # another item of the same text says nothing new
    table = pairs_to_replay(encoder, write(tmp_path / "data", [*OPEN, *GOLD, again]), 99, tmp_path)
    pairs, level_prob = replayed(table), np.array(table["level_prob"].to_pylist())
    assert pairs[:2] == [("milk", "red milk"), ("lamp", "red shirt")]
    np.testing.assert_array_equal(level_prob[:2], [[0, 0, 0, 1], [1, 0, 0, 0]])
    assert sorted(pairs[2:]) == sorted((query, text) for query, _, text, *_ in OPEN)
    np.testing.assert_allclose(level_prob[2:], encoder.score_pairs(*zip(*pairs[2:], strict=True)), atol=1e-6)


def test_fewer_are_the_first_of_more_and_none_has_a_gold_level(encoder: LevelEncoder, tmp_path: Path):
    known = ("hat", None, "blue hat", None, "unlabelled")
    data = write(tmp_path / "data", [*GOLD, *OPEN, known])
    two, all_of_them = (replayed(pairs_to_replay(encoder, data, size, tmp_path))[2:] for size in (2, 99))
    assert len(two) == 2 and two == all_of_them[:2] and len(all_of_them) == len(OPEN)


def test_an_encoder_that_knows_nothing_is_replayed_gold_alone(encoder: LevelEncoder, tmp_path: Path):
    assert len(pairs_to_replay(encoder, write(tmp_path / "data", [*GOLD, *OPEN]), 0, tmp_path)) == 2
    with pytest.raises(PrectrError, match="nothing to replay: no pair of the split train has a level"):
        pairs_to_replay(encoder, write(tmp_path / "data", OPEN), 0, tmp_path)


def test_where_nothing_is_unlabelled_the_log_gives_the_pairs(encoder: LevelEncoder, tmp_path: Path):
    data = write(tmp_path / "data", GOLD)
    shown = {"query": ["red", "blue", "hat", "lamp"], "item_id": ["1", "2", "2", "1"]}
    rows = {
        "split": ["train", "train", "train", "test"],
        "timestamp": pa.array([1] * 4, pa.timestamp("s")),
        "position": [0] * 4,
    }
    rows |= {"impression_id": [0, 1, 2, 3], "page_id": [0, 1, 2, 3], "clicked": [False, True, False, True]}
    write_table(data, "impressions", shown | rows)
    pairs = replayed(pairs_to_replay(encoder, data, 99, tmp_path))[2:]
    assert 1 <= len(pairs) == len(set(pairs)) <= 3
    assert {query for query, _ in pairs} <= {"red", "blue", "hat"} and {text for _, text in pairs} <= {
        "red milk",
        "blue hat",
    }
    assert ("hat", "blue hat") not in pairs, "it has a gold level"
