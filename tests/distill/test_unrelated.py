"""Unrelated pairs: of the lowest level, none that may be relevant, the same for a seed."""

import numpy as np
import pytest

from prectr.distill.pairs import Pairs, no_pairs
from prectr.distill.unrelated import LIKE_RELEVANT, draw_unrelated, how_many, with_unrelated

SHELVES = {"red paint": ["paint red 1 liter", "bright red paint"], "oak door": ["door of oak", "oak panel"]}
SHELVES |= {"lamp": ["lamp with shade"], "hammer": ["claw tool steel", "steel claw tool 20 oz"], "sofa": ["couch grey"]}


def gold() -> Pairs:
    rows = [(query, text, 3) for query, texts in SHELVES.items() for text in texts]
    rows += [("red paint", "couch grey", 0), ("lamp", "claw tool steel", 1)]
    query, text, level = zip(*rows, strict=True)
    return Pairs(np.array(query, object), np.array(text, object), np.array(level))


def test_none_is_graded_or_like_what_is_relevant_and_all_are_of_the_lowest_level() -> None:
    pairs = gold()
    found = draw_unrelated(pairs, 30, 4, seed=0)
    drawn = list(zip(found.query, found.item_text, strict=True))
    assert len(set(drawn)) == len(drawn) >= 10 and (found.level == 0).all()
    assert not set(drawn) & set(zip(pairs.query, pairs.item_text, strict=True))
    # "steel claw tool 20 oz" shares no letters' run with "hammer", but is like the tool that is graded 3 for it.
    assert not [text for query, text in drawn if query == "hammer" and "claw" in text]
    assert not [text for query, text in drawn if query == "red paint" and "red" in text.split()]


def test_without_the_check_false_negatives_would_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("hammer", "claw tool steel", 3), ("lamp", "steel claw tool 20 oz", 3)]
    pairs = Pairs(*(np.array(part, object) for part in list(zip(*rows, strict=True))[:2]), np.array([3, 3]))
    assert len(draw_unrelated(pairs, 10, 4, seed=0)) == 0 < LIKE_RELEVANT
    monkeypatch.setattr("prectr.distill.unrelated.LIKE_RELEVANT", 2.0)
    assert len(draw_unrelated(pairs, 10, 4, seed=0)) == 2


def test_a_seed_decides_them() -> None:
    first, again, other = (draw_unrelated(gold(), 8, 4, seed) for seed in (0, 0, 1))
    assert first.item_text.tolist() == again.item_text.tolist() and first.query.tolist() == again.query.tolist()
    assert list(zip(first.query, first.item_text, strict=True)) != list(zip(other.query, other.item_text, strict=True))


def test_few_pairs_are_compared_at_once_for_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_unrelated(gold(), 8, 4, 0)
    monkeypatch.setattr("prectr.distill.unrelated.COMPARED_AT_ONCE", 3)
    in_parts = draw_unrelated(gold(), 8, 4, 0)
    assert in_parts.item_text.tolist() == whole.item_text.tolist() and in_parts.query.tolist() == whole.query.tolist()


@pytest.mark.parametrize(("budget", "expected"), [(None, (9, 3)), (8, (6, 2)), (100, (9, 3))])
def test_a_share_is_of_all_and_a_budget_of_both(budget: int | None, expected: tuple[int, int]) -> None:
    pairs = gold().take(np.arange(9))
    unrelated = Pairs(np.full(5, "x", object), np.full(5, "y", object), np.zeros(5, int))
    found = with_unrelated(pairs, unrelated, 0.25, budget)
    assert ((found.query != "x").sum(), (found.query == "x").sum()) == expected
    assert how_many(9, 0.25) == 3 and how_many(9, 0.0) == 0


def test_where_there_are_none_the_whole_budget_is_gold() -> None:
    assert len(with_unrelated(gold(), no_pairs(), 0.25, 8)) == 8
    assert len(draw_unrelated(no_pairs(), 5, 4, 0)) == 0 == len(draw_unrelated(gold(), 0, 4, 0))
