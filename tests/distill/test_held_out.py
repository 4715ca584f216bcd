"""Without gold a student is validated on the teacher's labels of queries it does not see."""

import numpy as np
import pytest

from prectr.distill.config import StudentArguments
from prectr.distill.pairs import Pairs
from prectr.distill.student.recipe import Recipe
from prectr.distill.teachers.base import Judgement

NOTHING = Pairs(np.array([], object), np.array([], object), np.array([], int))


def recipe(seed: int) -> Recipe:
    return Recipe("random", StudentArguments(), ["no", "yes"], [], NOTHING, NOTHING, seed)


@pytest.mark.parametrize(("queries", "expected"), [(50, 5), (12, 1), (3, 1), (2, 1)])
def test_a_tenth_of_the_queries_is_held_out_with_all_their_pairs(queries: int, expected: int) -> None:
    names = np.array([f"q{number}" for number in range(queries)] * 4, object)
    pairs = Pairs(names, np.full(len(names), "text", object), np.full(len(names), -1))
    held = recipe(0).held_out(pairs)
    assert len(set(names[held])) == expected and not set(names[held]) & set(names[~held])
    assert (held == recipe(0).held_out(pairs)).all()
    assert queries < 10 or (held != recipe(1).held_out(pairs)).any()


def test_a_judgement_is_taken_row_by_row() -> None:
    judgement = Judgement(np.arange(6.0).reshape(3, 2), np.arange(3.0)[:, None], np.eye(3, 2) > 0)
    taken = judgement.take(np.array([2, 0]))
    assert taken.log_odds.tolist() == [[4, 5], [0, 1]] and taken.state.ravel().tolist() == [2, 0]
    assert taken.censored.tolist() == [[False, False], [True, False]]
    assert Judgement(np.zeros((2, 2))).take(np.array([1])).state is None


def test_one_query_cannot_be_held_out_of_itself() -> None:
    pairs = Pairs(np.array(["q"] * 3, object), np.array(["a", "b", "c"], object), np.full(3, -1))
    assert not recipe(0).held_out(pairs).any()
