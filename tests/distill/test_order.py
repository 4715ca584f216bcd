"""What judges are chosen by: the order within queries, and relevant against random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.distill.order import _order_of_weights, expected_of_logits, leads, order
from prectr.distill.pairs import Pairs

PAIRS = Pairs(np.array(["a", "a", "b", "b"], object), np.array(list("wxyz"), object), np.array([0, 1, 2, 3]))


def test_knowing_which_query_is_easy_is_worth_nothing() -> None:
    by_query, within = np.array([0.0, 0, 9, 9]), np.array([5.0, 6, 5, 6])
    assert order(PAIRS, by_query, np.zeros(0)) == 0.0
    assert order(PAIRS, within, np.zeros(0)) == pytest.approx(1.0)


def test_a_judge_that_likes_random_items_loses() -> None:
    score = np.array([5.0, 6, 5, 6])
    assert order(PAIRS, score, np.array([1.0, 2])) == pytest.approx(2.0)
    assert order(PAIRS, score, np.array([9.0, 8])) == pytest.approx(1.0)


def test_who_knows_that_a_candidate_is_irrelevant_loses_nothing() -> None:
    pairs = Pairs(PAIRS.query, PAIRS.item_text, np.array([0, 1, 0, 3]))
    grades, random = pairs.level.astype(float), np.zeros(8)
    assert order(pairs, grades, random) == pytest.approx(2.0)
    # Level 0 above what was never a candidate: as good, and no better.
    assert order(pairs, grades + 0.5, random) == pytest.approx(2.0)


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(0, 5), st.data())
def test_of_weights_that_are_all_one_it_is_the_same(levels: list[int], others: int, data: st.DataObject) -> None:
    number = st.integers(0, 3)
    query = np.array([f"q{data.draw(number)}" for _ in levels], object)
    pairs = Pairs(query, query, np.array(levels, int))
    scores = np.array([data.draw(number) for _ in range(len(levels) + others)], float)
    random = scores[len(levels) :]
    by_weights = _order_of_weights(pairs, scores)(np.ones(len(scores)))
    assert by_weights == pytest.approx(order(pairs, scores[: len(levels)], random))


def test_of_queries_of_one_level_each_the_order_is_of_all_pairs() -> None:
    pairs = Pairs(np.array(list("abcd"), object), PAIRS.item_text, PAIRS.level)
    assert order(pairs, np.arange(4.0), np.zeros(0)) == pytest.approx(1.0)


def test_of_queries_of_one_pair_each_the_better_judge_leads() -> None:
    queries = np.array([f"q{number}" for number in range(60)], object)
    pairs, nobody = Pairs(queries, queries, np.arange(60) % 4), np.zeros(0)
    good, bad = (pairs.level.astype(float), nobody), (np.arange(60.0) * 7 % 60, nobody)
    assert leads(pairs, np.array([], object), good, bad, 0) and not leads(pairs, np.array([], object), bad, good, 0)


def test_the_expected_level_of_logits() -> None:
    assert expected_of_logits(np.log([[0.5, 0.25, 0.25]])) == pytest.approx([0.75])
