"""Metrics: values worked out by hand, other libraries as witnesses, and what must never change a value."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, log_loss, ndcg_score, roc_auc_score

from prectr.shared import metrics, strict_json
from prectr.shared.errors import PrectrError


def test_auc_by_hand() -> None:
    # Of the 4 pairs of a click and a skip, .35 against .4 is the one in the wrong order.
    assert metrics.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(0.75)
    assert metrics.auc([0, 1], [0.3, 0.3]) == 0.5
    # The wrong pair counts 3 times of 6.
    assert metrics.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], weights=[1, 3, 1, 0]) == pytest.approx(0.25)


def test_gauc_by_hand() -> None:
    # Page a: 1.0 on 2 rows; page b: the click beats one of two skips, .5 on 3 rows; page c has no click.
    value, coverage = metrics.gauc([1, 0, 0, 1, 0, 0, 0], [2, 1, 3, 2, 1, 5, 6], list("aabbbcc"))
    assert value == pytest.approx((2 * 1.0 + 3 * 0.5) / 5)
    assert coverage == pytest.approx(5 / 7)


def test_logloss_by_hand() -> None:
    assert metrics.logloss([1, 0], [0.5, 0.75]) == pytest.approx(1.5 * math.log(2))
    assert metrics.logloss([1, 0], [0.5, 0.75], weights=[0, 2]) == pytest.approx(2 * math.log(2))


def test_logloss_of_a_certain_mistake_is_finite() -> None:
    loss = metrics.logloss([1, 0], [0.0, 0.0])
    assert loss is not None and math.isfinite(loss)


def test_pcoc_by_hand() -> None:
    assert metrics.pcoc([0, 1], [0.2, 0.4]) == pytest.approx(0.6)
    assert metrics.pcoc([0, 1], [0.2, 0.4], weights=[3, 1]) == pytest.approx(1.0)


def test_ece_by_hand() -> None:
    # Two bins: |.3 − 1| and |1.4 − 2| over 4 rows.
    assert metrics.ece([0, 1, 1, 1], [0.1, 0.2, 0.6, 0.8], bins=2) == pytest.approx(1.3 / 4)
    assert metrics.ece([0, 1, 1, 1], [0.1, 0.2, 0.6, 0.8], weights=[1, 1, 0, 0], bins=2) == pytest.approx(0.7 / 2)


def test_ece_does_not_split_equal_predictions() -> None:
    assert metrics.ece([0] * 10 + [1] * 10, [0.5] * 20, bins=4) == pytest.approx(0.0, abs=1e-12)


def test_ece_with_fewer_rows_than_bins() -> None:
    assert metrics.ece([0, 1], [0.25, 0.5]) == pytest.approx((0.25 + 0.5) / 2)


def test_ndcg_by_hand() -> None:
    # Page a: the positive is second; page b: first; page c has none.
    groups, scores, gains = list("aaabbc"), [3, 2, 1, 9, 8, 1], [0, 1, 0, 1, 0, 0]
    assert metrics.ndcg_at_k(groups, scores, gains) == pytest.approx((1 / math.log2(3) + 1) / 2)
    assert metrics.ndcg_at_k(groups, scores, gains, k=1) == pytest.approx(0.5)
    # Two equal scores: the positive is first or second, each half of the time.
    assert metrics.ndcg_at_k([0, 0], [1, 1], [1, 0]) == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_ndcg_by_group_is_what_the_mean_is_of() -> None:
    values, gained = metrics.ndcg_by_group(list("bbcaaa"), [9, 8, 1, 3, 2, 1], [1, 0, 0, 0, 1, 0])
    assert values.tolist() == pytest.approx([1 / math.log2(3), 1, 0]) and gained.tolist() == [True, True, False]


def test_mrr_by_hand() -> None:
    def mrr(groups: list[str] | list[int], scores: list[int], clicked: list[int]) -> float | None:
        return metrics.mrr_of_weights(groups, scores, clicked)(np.ones(len(clicked)))

    # Page a: the first click is second; page b: first; page c has none.
    assert mrr(list("aaabbc"), [3, 2, 1, 9, 8, 1], [0, 1, 1, 1, 0, 0]) == pytest.approx((1 / 2 + 1) / 2)
    assert mrr(list("aa"), [2, 1], [0, 0]) is None
    # One click among three equal scores, below another: second, third or fourth, each as often.
    assert mrr([0] * 4, [9, 1, 1, 1], [0, 1, 0, 0]) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    # Two clicks among three: the first of them is first in two orders of three, else second.
    assert mrr([0] * 3, [1, 1, 1], [1, 1, 0]) == pytest.approx(2 / 3 + 1 / 3 * 1 / 2)


def test_mrr_counts_a_page_as_often_as_it_is_drawn() -> None:
    measure = metrics.mrr_of_weights([0, 0, 1, 1], [2, 1, 2, 1], [1, 0, 0, 1])
    assert measure(np.array([3.0, 3, 1, 1])) == pytest.approx((3 * 1 + 1 / 2) / 4)


def test_excess_low_by_hand() -> None:
    # Page a shows one low item of two and could show none; page b two and must show one; page c has only low ones.
    groups, scores, levels = list("aaaabbbcc"), [4, 3, 2, 1, 3, 2, 1, 2, 1], [3, 0, 2, 1, 0, 1, 3, 0, 0]
    assert metrics.excess_low_at_k(groups, scores, levels, k=2) == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert metrics.excess_low_at_k(groups, scores, levels, low_max=0, k=2) == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert metrics.excess_low_at_k(groups, scores, levels) == 0.0


def test_agreement_by_hand() -> None:
    # One disagreement of squared distance 1; by chance they would add up to 5.
    assert metrics.qwk([0, 1, 2], [0, 2, 2]) == pytest.approx(1 - 1 / 5)
    assert metrics.macro_f1([0, 0, 1], [0, 1, 1]) == pytest.approx(2 / 3)
    assert metrics.spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)


@pytest.mark.filterwarnings("error")
def test_undefined_is_none_and_never_nan() -> None:
    assert metrics.auc([0, 0], [1, 2]) is None
    assert metrics.auc([0, 1], [1, 2], weights=[1, 0]) is None
    assert metrics.auc_of_weights([0, 1], [1, 2])(np.array([1.0, 0.0])) is None
    assert metrics.gauc([1, 0], [1, 2], ["a", "b"]) == (None, 0.0)
    assert metrics.pcoc([0, 0], [0.1, 0.1]) is None
    assert metrics.ndcg_at_k([0, 0], [1, 2], [0, 0]) is None
    assert metrics.qwk([2, 2], [2, 2]) is None
    assert metrics.spearman([1, 1], [1, 2]) is None
    assert metrics.user_bootstrap(["a", "b"], lambda weights: None) is None


@pytest.mark.filterwarnings("error")
def test_no_rows_at_all() -> None:
    assert metrics.auc([], []) is None
    assert metrics.auc_of_weights([], [])(np.zeros(0)) is None
    assert metrics.gauc([], [], []) == (None, 0.0)
    assert metrics.logloss([], []) is None
    assert metrics.pcoc([], []) is None
    assert metrics.ece([], []) is None
    assert metrics.ndcg_at_k([], [], []) is None
    assert metrics.excess_low_at_k([], [], []) is None
    assert metrics.qwk([], []) is None
    assert metrics.macro_f1([], []) is None
    assert metrics.spearman([], []) is None
    assert metrics.user_bootstrap([], lambda weights: 1.0) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.auc([0, 1], [0.5, math.nan]), "score in row 1"),
        (lambda: metrics.auc([0, 1], [0.5]), "one length"),
        (lambda: metrics.auc([0, 2], [0.5, 0.6]), "label in row 1 is neither 0 nor 1"),
        (lambda: metrics.gauc([0, 1], [0.5, 0.6], ["a"]), "1 groups for 2 rows"),
        (lambda: metrics.ndcg_at_k([0, 0], [1, 2], [1, -1]), "gain -1.0 is negative"),
    ],
)
def test_bad_rows_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(PrectrError, match=words):
        call()


rows = st.lists(
    st.tuples(
        st.integers(0, 4),  # group
        st.integers(0, 5).map(lambda tenth: tenth / 10),  # score: many ties
        st.booleans(),  # click
        st.integers(0, 3),  # level
    ),
    min_size=1,
    max_size=40,
)
Row = tuple[int, float, bool, int]


def columns(table: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    groups, scores, clicks, levels = (np.array(column) for column in zip(*table, strict=True))
    return groups, scores, clicks.astype(int), levels


def all_metrics(table: list[Row]) -> dict[str, float | None]:
    groups, scores, clicks, levels = columns(table)
    value, coverage = metrics.gauc(clicks, scores, groups)
    return {
        "auc": metrics.auc(clicks, scores),
        "gauc": value,
        "coverage": coverage,
        "logloss": metrics.logloss(clicks, scores),
        "pcoc": metrics.pcoc(clicks, scores),
        "ece": metrics.ece(clicks, scores, bins=5),
        "ndcg": metrics.ndcg_at_k(groups, scores, levels, k=3),
        "excess_low": metrics.excess_low_at_k(groups, scores, levels, k=3),
        "qwk": metrics.qwk(levels, (scores * 6).astype(int)),
        "macro_f1": metrics.macro_f1(levels, (scores * 6).astype(int)),
        "spearman": metrics.spearman(levels, scores),
    }


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(table: list[Row], random: object) -> None:
    shuffled = list(table)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert all_metrics(shuffled) == pytest.approx(all_metrics(table), abs=1e-12)


@given(rows)
def test_values_lie_in_their_ranges(table: list[Row]) -> None:
    for name, value in all_metrics(table).items():
        if value is not None and name not in ("logloss", "pcoc", "qwk", "spearman"):
            assert -1e-12 <= value <= 1 + 1e-12, name


@given(rows)
def test_gauc_equals_one_auc_per_group(table: list[Row]) -> None:
    groups, scores, clicks, _ = columns(table)
    parts = [(clicks[groups == group], scores[groups == group]) for group in np.unique(groups)]
    parts = [(y, s) for y, s in parts if 0 < y.sum() < len(y)]
    kept = sum(len(y) for y, _ in parts)
    expected = sum(len(y) * roc_auc_score(y, s) for y, s in parts) / kept if parts else None
    assert metrics.gauc(clicks, scores, groups) == pytest.approx((expected, kept / len(table)))


@given(rows)
def test_ndcg_equals_scikit_learn_per_group(table: list[Row]) -> None:
    groups, scores, _, levels = columns(table)
    masks = [groups == group for group in np.unique(groups)]
    parts = [
        # scikit-learn wants two documents at least; a second one of gain 0 and the lowest score changes nothing.
        ndcg_score([[*levels[mask], 0]], [[*scores[mask], -1.0]], k=3)
        for mask in masks
        if levels[mask].sum() > 0
    ]
    expected = pytest.approx(np.mean(parts)) if parts else None
    assert metrics.ndcg_at_k(groups, scores, levels, k=3) == expected


@given(rows, st.data())
def test_weights_count_rows(table: list[Row], data: st.DataObject) -> None:
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(table), max_size=len(table))))
    groups, scores, clicks, levels = columns(table)
    weights = counts.astype(float)
    repeated = [np.repeat(column, counts) for column in (groups, scores, clicks, levels)]
    group_r, score_r, click_r, level_r = repeated
    assert metrics.auc(clicks, scores, weights) == pytest.approx(metrics.auc(click_r, score_r))
    assert metrics.auc_of_weights(clicks, scores)(weights) == pytest.approx(metrics.auc(click_r, score_r))
    assert metrics.logloss(clicks, scores, weights) == pytest.approx(metrics.logloss(click_r, score_r))
    assert metrics.pcoc(clicks, scores, weights) == pytest.approx(metrics.pcoc(click_r, score_r))

    # Drawing a household again adds a page that looks the same, so a group's rows have one weight.
    of_group = np.array(data.draw(st.lists(st.integers(0, 3), min_size=5, max_size=5)))[groups]
    copies = [np.repeat(column, of_group) for column in (scores, clicks, levels)]
    copy_number = np.concatenate([np.arange(count) for count in of_group]) if of_group.sum() else np.zeros(0)
    copied_groups = np.repeat(groups, of_group) * 10 + copy_number
    weights = of_group.astype(float)
    score_c, click_c, level_c = copies
    assert metrics.gauc_of_weights(clicks, scores, groups)(weights) == pytest.approx(
        metrics.gauc(click_c, score_c, copied_groups)[0]
    )
    assert metrics.ndcg_at_k_of_weights(groups, scores, levels, 3)(weights) == pytest.approx(
        metrics.ndcg_at_k(copied_groups, score_c, level_c, 3)
    )
    assert metrics.excess_low_at_k_of_weights(groups, scores, levels, k=3)(weights) == pytest.approx(
        metrics.excess_low_at_k(copied_groups, score_c, level_c, k=3)
    )


def toy_log(rows: int = 4000, households: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    user = random.integers(0, households, rows)
    scores = random.random(rows)
    return user, (random.random(rows) < scores).astype(int), scores


def test_bootstrap_interval_holds_the_value_and_repeats() -> None:
    user, clicks, scores = toy_log()
    value = metrics.auc(clicks, scores)
    interval = metrics.user_bootstrap(user, metrics.auc_of_weights(clicks, scores))
    assert value is not None and interval is not None
    low, high = interval
    assert low < value < high and high - low < 0.1
    assert metrics.user_bootstrap(user, metrics.auc_of_weights(clicks, scores)) == interval
    assert metrics.user_bootstrap(user, metrics.auc_of_weights(clicks, scores), seed=1) != interval


def test_bootstrap_draws_whole_households(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LEAST_USERS", 2)
    user = np.array([0, 0, 1, 1, 1])
    seen: list[np.ndarray] = []
    metrics.user_bootstrap(user, lambda weights: seen.append(weights) or 0.0, resamples=50)  # type: ignore[func-returns-value]
    assert len(seen) == 50
    for weights in seen:
        assert weights[0] == weights[1] and weights[2] == weights[3] == weights[4]
        assert weights[0] + weights[2] == 2
    assert len({tuple(weights) for weights in seen}) > 1


def test_bootstrap_of_copied_rows_is_no_narrower() -> None:
    user, clicks, scores = toy_log()
    once = metrics.user_bootstrap(user, metrics.auc_of_weights(clicks, scores))
    twice = metrics.user_bootstrap(np.tile(user, 2), metrics.auc_of_weights(np.tile(clicks, 2), np.tile(scores, 2)))
    assert once == pytest.approx(twice)


@pytest.mark.parametrize(
    ("gold", "said", "levels"),
    [
        ([0, 1, 3, 3, 0], [1, 1, 3, 0, 0], 4),  # nobody says 2
        ([0, 0, 4], [4, 0, 4], 5),
        ([1, 3, 1], [3, 3, 1], 5),  # neither the lowest nor the highest
        ([0, 2, 2, 0, 2], [2, 0, 2, 0, 2], 3),
        ([3, 3, 0], [0, 3, 0], 7),
        ([0, 1, 2, 3], [3, 2, 1, 0], 4),
    ],
)
def test_qwk_counts_steps_over_levels_that_nobody_says(gold: list[int], said: list[int], levels: int) -> None:
    weight = (np.arange(levels)[:, None] - np.arange(levels)) ** 2 / (levels - 1) ** 2
    seen = np.zeros((levels, levels))
    np.add.at(seen, (gold, said), 1)
    chance = np.outer(seen.sum(1), seen.sum(0)) / len(gold)
    expected = 1 - (weight * seen).sum() / (weight * chance).sum()
    assert metrics.qwk(gold, said) == pytest.approx(expected)
    assert metrics.qwk(gold, said) == pytest.approx(
        cohen_kappa_score(gold, said, labels=np.arange(levels), weights="quadratic")
    )


@pytest.mark.parametrize("users", range(12))
def test_an_interval_needs_ten_users(users: int) -> None:
    draw = np.random.default_rng(users)
    user = np.arange(24 * users) % max(users, 1)
    clicked, score = draw.integers(0, 2, len(user)), draw.random(len(user))
    found = metrics.user_bootstrap(user, metrics.auc_of_weights(clicked, score))
    assert (found is None) == (users < 10)
    assert found is None or found[0] < found[1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("clicked", [[0] * 12, [1] * 12, [0] * 11 + [1], [1, 0] * 6])
@pytest.mark.parametrize("score", [[0.5] * 12, np.linspace(0, 1, 12), [0.0] * 6 + [1.0] * 6])
@pytest.mark.parametrize("group", [["a"] * 12, list("abcdefghijkl"), list("aabbccddeeff")])
def test_degenerate_sets_agree_with_scikit_learn_or_have_no_figure(
    clicked: list[int], score: list[float], group: list[str]
) -> None:
    both = len(set(clicked)) == 2
    assert metrics.auc(clicked, score) == (pytest.approx(roc_auc_score(clicked, score)) if both else None)
    found = [
        metrics.logloss(clicked, score),
        metrics.pcoc(clicked, score),
        metrics.ece(clicked, score),
        metrics.gauc(clicked, score, group)[0],
        metrics.ndcg_at_k(group, score, clicked),
        metrics.spearman(clicked, score),
        metrics.qwk(clicked, np.round(score).astype(int)),
        metrics.macro_f1(clicked, np.round(score).astype(int)),
        *(metrics.user_bootstrap(group, metrics.auc_of_weights(clicked, score)) or ()),
    ]
    assert all(value is None or math.isfinite(value) for value in found)
    assert metrics.logloss(clicked, score) == pytest.approx(log_loss(clicked, score, labels=[0, 1]))
    assert (metrics.pcoc(clicked, score) is None) == (sum(clicked) == 0)
    assert metrics.graded_relevance(clicked, np.column_stack([1 - np.array(score), score]))["n"] == 12


def test_no_number_of_a_file_is_nan() -> None:
    figures = {"auc": math.nan, "ci95": [math.inf, 1.0], "of": {"each": (-math.inf, None, "NaN", True, 3)}}
    assert json.loads(strict_json.dumps(figures), parse_constant=pytest.fail) == {
        "auc": None,
        "ci95": [None, 1.0],
        "of": {"each": [None, None, "NaN", True, 3]},
    }


QUERIES = ["a", "a", "a", "b", "b", "c"]


@pytest.mark.parametrize(
    ("levels", "scores", "value"),
    [
        ([0, 1, 2, 1, 0, 3], [1, 2, 3, 2, 1, 9], 1.0),
        ([0, 1, 2, 1, 0, 3], [3, 2, 1, 1, 2, 9], -1.0),
        ([0, 1, 2, 1, 0, 3], [1, 2, 3, 1, 2, 9], 0.0),  # one query right, one wrong
        ([0, 1, 2, 1, 1, 3], [1, 2, 3, 5, 4, 9], 1.0),  # b has one level: left out
        ([0, 1, 2, 1, 0, 3], [5, 5, 5, 2, 1, 9], 0.5),  # nothing said of a
        ([2, 2, 2, 1, 1, 3], [1, 2, 3, 5, 4, 9], None),
        ([0, 0, 1, 0, 0, 0], [1, 3, 2, 0, 0, 0], 0.0),
    ],
)
def test_within_query_spearman_by_hand(levels: list[int], scores: list[float], value: float | None) -> None:
    assert metrics.within_query_spearman(QUERIES, levels, scores) == (value if value is None else pytest.approx(value))
