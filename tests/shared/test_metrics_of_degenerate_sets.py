"""Every metric on sets that a small shop has: one class, one household, one row, nothing but ties, levels that nobody
has. What it says is what another library, or a few lines of plain arithmetic, say; or there is no figure.
"""

from collections.abc import Sequence
from itertools import permutations
from statistics import fmean

import ir_measures
import numpy as np
import pytest
from ir_measures import RR
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, ndcg_score, roc_auc_score

from prectr.shared import metrics

Columns = tuple[Sequence[str], Sequence[int], Sequence[float]]
"""Group (page, household), click and prediction of each row."""

SETS: dict[str, Columns] = {
    "nothing clicked": ("aabb", [0, 0, 0, 0], [0.1, 0.9, 0.3, 0.2]),
    "everything clicked": ("aabb", [1, 1, 1, 1], [0.1, 0.9, 0.3, 0.2]),
    "one household": ("aaaa", [0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8]),
    "a household per row": ("abcd", [0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8]),
    "one row, clicked": ("a", [1], [0.25]),
    "one row, not clicked": ("a", [0], [0.25]),
    "all predictions equal": ("aabbb", [1, 0, 0, 1, 1], [0.5] * 5),
    "ties between click and skip": ("aaabbb", [1, 0, 0, 0, 1, 1], [0.2, 0.2, 0.1, 0.7, 0.7, 0.3]),
    "one class in each page": ("aabb", [1, 1, 0, 0], [0.4, 0.6, 0.4, 0.6]),
    "one click of many": ("aaaaaa", [0, 0, 0, 0, 0, 1], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
    "certain and right": ("aabb", [1, 0, 1, 0], [1.0, 0.0, 1.0, 0.0]),
    "certain and wrong": ("aabb", [1, 0, 1, 0], [0.0, 1.0, 0.0, 1.0]),
}

cases = pytest.mark.parametrize("columns", SETS.values(), ids=SETS)


def pages(columns: Columns) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clicks and predictions of each group."""
    group, clicked, score = (np.array(list(column)) for column in columns)
    return [(clicked[group == each], score[group == each]) for each in np.unique(group)]


def same(value: float | None) -> object:
    return None if value is None else pytest.approx(value, abs=1e-9)


def weighted(metric: metrics.WeightedMetric, columns: Columns) -> list[float | None]:
    """The metric of the rows as they are, and of three copies of each: one household drawn three times."""
    return [metric(np.full(len(columns[1]), times)) for times in (1.0, 3.0)]


@cases
def test_auc_is_scikit_learns(columns: Columns) -> None:
    group, clicked, score = columns
    expected = roc_auc_score(clicked, score) if len(set(clicked)) == 2 else None
    assert metrics.auc(clicked, score) == same(expected)
    assert weighted(metrics.auc_of_weights(clicked, score), columns) == [same(expected)] * 2


@cases
def test_gauc_is_the_mean_of_scikit_learns_aucs(columns: Columns) -> None:
    group, clicked, score = columns
    mixed = [(y, s) for y, s in pages(columns) if 0 < y.sum() < len(y)]
    rows = sum(len(y) for y, _ in mixed)
    expected = sum(len(y) * roc_auc_score(y, s) for y, s in mixed) / rows if mixed else None
    value, coverage = metrics.gauc(clicked, score, list(group))
    assert value == same(expected) and coverage == rows / len(clicked)
    assert weighted(metrics.gauc_of_weights(clicked, score, list(group)), columns) == [same(expected)] * 2


@cases
def test_ndcg_is_scikit_learns(columns: Columns) -> None:
    group, clicked, score = columns
    # A second row of no gain below the others changes nothing, and scikit-learn wants two.
    found = [ndcg_score([[*y, 0]], [[*s, -1.0]], k=10) for y, s in pages(columns) if y.any()]
    expected = fmean(found) if found else None
    assert metrics.ndcg_at_k(list(group), score, clicked) == same(expected)
    assert weighted(metrics.ndcg_at_k_of_weights(list(group), score, clicked), columns) == [same(expected)] * 2


@cases
def test_mrr_is_that_of_ir_measures(columns: Columns) -> None:
    group, clicked, score = columns
    found = []
    for y, s in pages(columns):
        if not y.any():
            continue
        dealt = []  # trec_eval orders equal scores by name: names are dealt in every way
        for names in permutations(f"d{i}" for i in range(len(y))):
            qrels = {"q": dict(zip(names, y.tolist(), strict=True))}
            run = {"q": dict(zip(names, s.tolist(), strict=True))}
            dealt.append(ir_measures.calc_aggregate([RR], qrels, run)[RR])
        found.append(fmean(dealt))
    expected = fmean(found) if found else None
    measured = weighted(metrics.mrr_of_weights(list(group), score, clicked), columns)
    assert measured == [same(expected)] * 2


@cases
def test_logloss_is_scikit_learns(columns: Columns) -> None:
    _, clicked, score = columns
    assert metrics.logloss(clicked, score) == same(log_loss(clicked, score, labels=[0, 1]))
    thrice = metrics.logloss(clicked, score, [3.0] * len(clicked))
    assert thrice == pytest.approx(metrics.logloss(clicked, score), rel=1e-12)


@cases
def test_pcoc_is_predicted_over_observed(columns: Columns) -> None:
    _, clicked, score = columns
    assert metrics.pcoc(clicked, score) == same(sum(score) / sum(clicked) if any(clicked) else None)


@pytest.mark.parametrize(
    ("name", "two", "fifteen"),
    [  # |Σ prediction − Σ click| of each bin, by hand, over the rows
        ("nothing clicked", (0.3 + 1.2) / 4, 1.5 / 4),
        ("everything clicked", (1.7 + 0.8) / 4, 2.5 / 4),
        ("one household", (abs(0.45 - 0) + abs(1.2 - 2)) / 4, (0.1 + 0.35 + 0.6 + 0.2) / 4),
        ("one row, clicked", 0.75, 0.75),
        ("one row, not clicked", 0.25, 0.25),
        ("all predictions equal", 0.5 / 5, 0.5 / 5),  # every row of the tie has the tie's mean
        # Sorted: .1 | .2 .2 | .3 | .7 .7, so that bins hold .1 .2 .2 with a click and .3 .7 .7 with two.
        ("ties between click and skip", (0.5 + 0.3) / 6, (0.1 + 0.6 + 0.7 + 0.4) / 6),
        ("certain and right", 0.0, 0.0),
        ("certain and wrong", 1.0, 1.0),
    ],
)
def test_ece_by_hand(name: str, two: float, fifteen: float) -> None:
    _, clicked, score = SETS[name]
    assert metrics.ece(clicked, score, bins=2) == same(two)
    assert metrics.ece(clicked, score) == same(fifteen)


LEVELS: dict[str, tuple[list[int], list[int]]] = {
    "one level, hit": ([2, 2, 2], [2, 2, 2]),
    "one level, missed": ([2, 2, 2], [0, 0, 0]),
    "gold of one level": ([1, 1, 1, 1], [0, 1, 2, 3]),
    "guesses of one level": ([0, 1, 2, 3], [1, 1, 1, 1]),
    "levels 1 and 2 do not occur": ([0, 3, 3, 0, 3], [0, 0, 3, 0, 3]),
    "the lowest does not occur": ([1, 2, 3, 3], [2, 2, 3, 1]),
    "one pair, hit": ([3], [3]),
    "one pair, missed": ([3], [0]),
    "upside down": ([0, 1, 2, 3], [3, 2, 1, 0]),
}

graded = pytest.mark.parametrize(("gold", "said"), LEVELS.values(), ids=LEVELS)


@graded
def test_qwk_is_scikit_learns_over_all_levels(gold: list[int], said: list[int]) -> None:
    differ = len({*gold, *said}) > 1
    expected = cohen_kappa_score(gold, said, labels=np.arange(4), weights="quadratic") if differ else None
    assert metrics.qwk(gold, said) == same(expected)


@graded
def test_macro_f1_is_scikit_learns(gold: list[int], said: list[int]) -> None:
    assert metrics.macro_f1(gold, said) == same(f1_score(gold, said, average="macro", zero_division=0))


def plain_spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation of ranks, equal values at the mean of their places."""

    def ranks(values: Sequence[float]) -> np.ndarray:
        return np.array([sum(v < each for v in values) + (sum(v == each for v in values) - 1) / 2 for each in values])

    a, b = (ranks(each) - ranks(each).mean() for each in (x, y))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else None


@graded
def test_spearman_of_levels_by_plain_ranks(gold: list[int], said: list[int]) -> None:
    assert metrics.spearman(gold, said) == same(plain_spearman(gold, said))


@cases
def test_spearman_of_clicks_by_plain_ranks(columns: Columns) -> None:
    _, clicked, score = columns
    assert metrics.spearman(clicked, score) == same(plain_spearman(clicked, score))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("found", [[0], [3], [0, 3], [1, 2], [0, 1, 2, 3]])
@pytest.mark.parametrize("rows", [1, 2, 30])
def test_a_judge_is_measured_where_levels_are_missing(found: list[int], rows: int) -> None:
    rng = np.random.default_rng(rows)
    gold, prob = rng.choice(found, rows), rng.dirichlet(np.ones(4), rows)
    figures = metrics.graded_relevance(gold, prob)
    expected_level = prob @ np.arange(4)
    upper = gold >= 2
    assert figures["auc"] == same(roc_auc_score(upper, expected_level) if 0 < upper.sum() < rows else None)
    assert figures["spearman"] == same(plain_spearman(gold.tolist(), expected_level.tolist()))
    assert figures["n"] == rows


@pytest.mark.filterwarnings("error")
@cases
def test_one_household_has_no_interval(columns: Columns) -> None:
    group, clicked, score = columns
    assert metrics.user_bootstrap(list(group), metrics.auc_of_weights(clicked, score)) is None
