"""The order of a query's items, and what was never a candidate: figures by hand."""

import pytest

from prectr.shared import metrics


def test_within_query_order_is_blind_to_which_queries_are_easy() -> None:
    # Pooled this judge looks good: it knows that b is the easy query, and has every order wrong.
    queries, levels, scores = ["a", "a", "b", "b"], [0, 1, 2, 3], [2, 1, 9, 8]
    pooled = metrics.spearman(levels, scores)
    assert pooled is not None and pooled > 0.5
    assert metrics.query_order(queries, levels, scores)["within_query_spearman"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("random", "value"),
    [([0.0, 0.5], 1.0), ([9.0], 0.0), ([1.0], 0.75), ([2.0, 0.0], 0.625), ([], None)],
)
def test_graded_against_random_by_hand(random: list[float], value: float | None) -> None:
    found = metrics.query_order(["a", "a"], [0, 1], [1.0, 2.0], random)
    assert found["auc_random"] == value and found["within_query_ndcg"] == 1.0


def test_who_knows_that_a_graded_pair_is_irrelevant_loses_nothing_among_relevant_ones() -> None:
    found = metrics.query_order(["a"] * 3, [0, 1, 2], [0.0, 2.0, 3.0], [1.0, 1.5])
    assert found["auc_random"] == pytest.approx(2 / 3) and found["auc_relevant_random"] == 1.0
    assert metrics.query_order(["a"], [0], [1.0], [0.0])["auc_relevant_random"] is None


def test_the_order_of_no_pairs_is_undefined() -> None:
    assert set(metrics.query_order([], [], []).values()) == {None}
