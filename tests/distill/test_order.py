"""What judges are chosen by: the order within queries, and graded against random."""

import numpy as np
import pytest

from prectr.distill.order import expected_of_logits, order
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


def test_of_queries_of_one_level_each_the_order_is_of_all_pairs() -> None:
    pairs = Pairs(np.array(list("abcd"), object), PAIRS.item_text, PAIRS.level)
    assert order(pairs, np.arange(4.0), np.zeros(0)) == pytest.approx(1.0)


def test_the_expected_level_of_logits() -> None:
    assert expected_of_logits(np.log([[0.5, 0.25, 0.25]])) == pytest.approx([0.75])
