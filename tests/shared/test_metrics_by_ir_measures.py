"""NDCG@k against ir-measures (trec_eval), degenerate sets included.

trec_eval orders equal scores by the documents' names; ours is the mean over all orders of what is equal. So the names
are dealt in every way there is, and the mean of what trec_eval says of each is the value.
"""

from itertools import permutations
from statistics import fmean

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import nDCG

from prectr.shared import metrics

Group = list[tuple[float, int]]
"""(score, gain) of each row."""


def by_trec_eval(groups: dict[str, Group], k: int) -> float | None:
    """Mean over the groups with a gain, as `ndcg_at_k` leaves the others out."""
    values = []
    for name, rows in groups.items():
        if not any(gain for _, gain in rows):
            continue
        dealt = []
        for names in permutations(f"d{i}" for i in range(len(rows))):
            qrels = {name: {doc: gain for doc, (_, gain) in zip(names, rows, strict=True)}}
            run = {name: {doc: score for doc, (score, _) in zip(names, rows, strict=True)}}
            dealt.append(ir_measures.calc_aggregate([nDCG @ k], qrels, run)[nDCG @ k])
        values.append(fmean(dealt))
    return fmean(values) if values else None


def ours(groups: dict[str, Group], k: int) -> float | None:
    rows = [(name, score, gain) for name, members in groups.items() for score, gain in members]
    names, scores, gains = (list(column) for column in zip(*rows, strict=True))
    return metrics.ndcg_at_k(names, scores, gains, k)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize(
    "groups",
    [
        {"a": [(0.5, 0), (0.4, 0)]},  # nothing is relevant
        {"a": [(0.5, 2), (0.4, 2), (0.3, 2)]},  # everything is, equally
        {"a": [(0.5, 0), (0.5, 1), (0.5, 3), (0.5, 0)]},  # all scores are equal
        {"a": [(0.9, 0), (0.2, 3), (0.2, 0), (0.1, 3)]},  # levels 1 and 2 do not occur, and a tie across the cut
        {"a": [(0.1, 1)]},  # a page of one
        {"a": [(0.3, 1), (0.2, 0)], "b": [(0.1, 0)], "c": [(0.2, 0), (0.2, 2), (0.1, 1)]},  # b has none
        {"a": [(-2.0, 1), (-1.0, 0), (0.0, 2)]},  # scores below zero, in the wrong order
    ],
)
def test_degenerate_sets(groups: dict[str, Group], k: int) -> None:
    expected = by_trec_eval(groups, k)
    assert ours(groups, k) == (None if expected is None else pytest.approx(expected, abs=1e-9))


rows = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 3)), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from("abc"), rows, min_size=1), st.integers(1, 5))
def test_any_small_set(groups: dict[str, Group], k: int) -> None:
    expected = by_trec_eval(groups, k)
    assert ours(groups, k) == (None if expected is None else pytest.approx(expected, abs=1e-9))
