"""All judges are asked the same, and what they said is kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from prectr.distill.pairs import Pairs
from prectr.distill.sheet import Sheet, read_said, save_said
from prectr.distill.teachers.base import Judgement, Pair

QUERIES = [f"q{number}" for number in range(10)]
GOLD = Pairs(np.repeat(QUERIES, 3).astype(object), np.array([f"t{n}" for n in range(30)], object), np.arange(30) % 3)
TRAIN = Pairs(np.array(["x", "y"], object), np.array(["lamp", "roof"], object), np.array([0, 1]))


class Knows:
    """A judge with one number: what gold says, random items below all; it cannot judge one pair."""

    fingerprint = "knows"

    def padded_length(self, pair: Pair) -> int:
        return 1

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        level = dict(zip(zip(GOLD.query, GOLD.item_text, strict=True), GOLD.level, strict=True))
        found = np.array([[level.get(pair, -1)] for pair in pairs], np.float32)
        found[[pair[1] == "t4" for pair in pairs]] = np.nan
        return Judgement(found)


def test_whole_queries_and_the_same_with_random_items_of_the_training_texts() -> None:
    sheet = Sheet.draw(TRAIN, GOLD, 12, seed=0)
    assert len(sheet) == 12 and len(set(sheet.graded.query)) == 4
    assert set(sheet.random.item_text) <= {"lamp", "roof"} and set(sheet.random.query) <= set(sheet.graded.query)
    assert len(sheet.random) == 3
    assert Sheet.draw(TRAIN, GOLD, 12, seed=1).graded.query.tolist() != sheet.graded.query.tolist()


def test_a_perfect_judge_is_told_to_be_one_and_what_it_left_out_is_not_counted() -> None:
    sheet = Sheet.draw(TRAIN, GOLD, 30, seed=0)
    figures = sheet.figures(Knows().score(sheet.asked).log_odds)
    assert figures["n"] == 29
    assert figures["within_query_spearman"] == figures["auc_random"] == pytest.approx(1.0)
    assert figures["order"] == pytest.approx(2.0)
    assert "qwk" not in figures, "one number says no level"
    nothing = sheet.figures(np.full((len(sheet) + len(sheet.random), 3), np.nan))
    assert nothing["order"] is None and nothing["n"] == 0


def test_what_was_said_is_read_again(tmp_path: Path) -> None:
    said = {"the taught teacher": np.eye(3, dtype=np.float32), "untaught a/b c": np.zeros((3, 1), np.float32)}
    save_said(tmp_path / "said.npz", said)
    found = read_said(tmp_path / "said.npz")
    assert list(found) == list(said) and all((found[name] == said[name]).all() for name in said)
