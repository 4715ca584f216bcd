"""Judging, against figures worked out by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.rank.evaluation.protocol import (
    Judged,
    exposed_slices,
    judge_exposed,
    judge_new_users,
    judge_open,
    judge_slices,
    users_of,
)
from prectr.shared import metrics

pytestmark = pytest.mark.usefixtures("few_users")

# Three pages of two users; the last one has no click.
JUDGED = Judged(
    clicked=np.array([1, 0, 0, 0, 1, 0, 0]),
    page=np.array([0, 0, 0, 1, 1, 2, 2]),
    user=np.array(["ann", "ann", "ann", "bob", "bob", "bob", "bob"]),
)
P_CLICK = np.array([0.6, 0.2, 0.2, 0.5, 0.4, 0.1, 0.3])
COUNTS = {"pages": 3, "users": 2, "impressions": 7, "clicks": 2}
METRICS = {"auc", "gauc_page", "gauc_user", "ndcg@10", "mrr", "logloss", "pcoc", "ece"}

# Open candidates of two pages: one of three rows; one of twelve, of which the best two by score are of a low level.
OPEN = Judged(
    clicked=np.array([0, 1, 0, *[0, 0, 1], *[0] * 9]),
    page=np.array([7] * 3 + [3] * 12),
    user=np.array(["ann"] * 3 + ["bob"] * 12),
    gold_level=np.array([0, 3, 1, *[0, 1, 2], *[3] * 9]),
)
OPEN_SCORE = np.array([3, 2, 1, *range(12, 0, -1)])


def flat(part: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested figures as one mapping, so that they can be compared approximately."""
    result: dict[str, Any] = {}
    for key, value in part.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{path}{key}/")
        elif isinstance(value, list):
            result |= {f"{path}{key}/{index}": bound for index, bound in enumerate(value)}
        else:
            result[f"{path}{key}"] = value
    return result


def permuted(judged: Judged, order: np.ndarray) -> Judged:
    gold = None if judged.gold_level is None else judged.gold_level[order]
    return Judged(judged.clicked[order], judged.page[order], judged.user[order], gold)


def test_weights_stand_for_rows_that_were_left_out() -> None:
    times = np.array([1, 3, 3, 3, 1, 3, 3])
    rows = np.repeat(np.arange(7), times)
    full = Judged(JUDGED.clicked[rows], JUDGED.page[rows], JUDGED.user[rows])
    thinned = replace(JUDGED, weight=times.astype(float))
    whole = judge_exposed(full, P_CLICK[rows], resamples=50, seed=0)
    found = judge_exposed(thinned, P_CLICK, resamples=50, seed=0)
    for name in ("auc", "logloss", "pcoc"):
        assert found[name] == pytest.approx(whole[name])
        assert found["ci95"][name] == pytest.approx(whole["ci95"][name])
    assert found["ece"] == pytest.approx(metrics.ece(JUDGED.clicked, P_CLICK, times))
    assert found["gauc_page"] == judge_exposed(JUDGED, P_CLICK, resamples=50, seed=0)["gauc_page"]
    first = {"first": JUDGED.page == 0}
    assert judge_slices(thinned, P_CLICK, first, 10, 0)["first"]["pcoc"] == pytest.approx((0.6 + 3 * 0.2 + 3 * 0.2) / 1)
    ladder = judge_new_users(thinned, {0: P_CLICK}, resamples=50, seed=0)
    assert ladder["new_users"]["0"] == pytest.approx(whole["auc"])


def test_exposed_by_hand() -> None:
    exposed = judge_exposed(JUDGED, P_CLICK, resamples=200, seed=0)
    assert set(exposed) == METRICS | {"n", "ci95", "coverage"}
    assert exposed["auc"] == pytest.approx(9 / 10)  # .6 beats all five, .4 all but .5
    assert exposed["gauc_page"] == pytest.approx((3 * 1 + 2 * 0) / 5)
    assert exposed["gauc_user"] == pytest.approx((3 * 1 + 4 * 2 / 3) / 7)
    assert exposed["coverage"] == {"gauc_page": pytest.approx(5 / 7), "gauc_user": 1.0}
    # The click stands first on one page, second on the other; the third has none.
    assert exposed["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert exposed["mrr"] == pytest.approx((1 + 1 / 2) / 2)
    chances = (0.6, 0.8, 0.8, 0.5, 0.4, 0.9, 0.7)
    assert exposed["logloss"] == pytest.approx(-sum(map(math.log, chances)) / 7)
    assert exposed["pcoc"] == pytest.approx(2.3 / 2)
    # Fewer rows than bins: every row is a bin. The gaps are .4 .2 .2 .5 .6 .1 .3.
    assert exposed["ece"] == pytest.approx(2.3 / 7)
    assert exposed["n"] == COUNTS


def test_the_intervals_of_two_users_reach_from_one_to_the_other() -> None:
    interval = judge_exposed(JUDGED, P_CLICK, resamples=200, seed=0)["ci95"]
    assert set(interval) == METRICS - {"ece"}
    assert interval["auc"] == pytest.approx([2 / 3, 1])  # bob twice, ann twice
    assert interval["gauc_page"] == pytest.approx([0, 1])
    assert interval["gauc_user"] == pytest.approx([2 / 3, 1])
    assert interval["pcoc"] == pytest.approx([1.0, 1.3])
    ann, bob = (-sum(map(math.log, chances)) / len(chances) for chances in [(0.6, 0.8, 0.8), (0.5, 0.4, 0.9, 0.7)])
    assert interval["logloss"] == pytest.approx([ann, bob])


def test_open_by_hand() -> None:
    result = judge_open(OPEN, OPEN_SCORE, resamples=200, seed=0)
    assert set(result) == {"ndcg@10", "auc", "excess_low@10", "n", "ci95"}
    # The purchase stands second on one page, third on the other.
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    assert result["ndcg@10"] == pytest.approx((second + third) / 2)
    # 10 beats all negatives but 12 and 11; 2 beats both ones and ties with a two.
    assert result["auc"] == pytest.approx((11 + 2.5) / 26)
    # The short page must show its low items; the long one has ten better ones, level 2 among them.
    assert result["excess_low@10"] == pytest.approx((0 + 2 / 10) / 2)
    assert result["n"] == {"pages": 2, "users": 2, "impressions": 15, "clicks": 2}
    assert result["ci95"]["ndcg@10"] == pytest.approx([third, second])
    assert result["ci95"]["excess_low@10"] == pytest.approx([0, 0.2])


def test_the_ladder_judges_every_rung_on_the_same_pages() -> None:
    ladder = {0: np.full(7, 0.2), 10: P_CLICK}
    result = judge_new_users(JUDGED, ladder, resamples=200, seed=0)
    assert set(result) == {"new_users", "new_users_ci95", "new_users_n"}
    assert result["new_users"] == {"0": 0.5, "10": pytest.approx(0.9)}
    assert result["new_users_ci95"] == {"0": [0.5, 0.5], "10": pytest.approx([2 / 3, 1])}
    assert result["new_users_n"] == COUNTS


def test_figures_that_are_undefined_are_none() -> None:
    silent = Judged(np.zeros(7, int), JUDGED.page, JUDGED.user)
    exposed = judge_exposed(silent, P_CLICK, resamples=10, seed=0)
    undefined = {name for name in METRICS if exposed[name] is None}
    assert undefined == {"auc", "gauc_page", "gauc_user", "ndcg@10", "mrr", "pcoc"}
    assert {name for name, interval in exposed["ci95"].items() if interval is None} == undefined
    assert exposed["coverage"] == {"gauc_page": 0.0, "gauc_user": 0.0}


def test_slices_are_judged_on_their_own_rows() -> None:
    masks = {"ann": JUDGED.user == "ann", "no click": JUDGED.page == 2, "all": np.ones(7, bool)}
    result = judge_slices(JUDGED, P_CLICK, masks, 20, 0)
    assert list(result) == list(masks)
    n = {"pages": 1, "users": 1, "impressions": 3, "clicks": 1}
    assert result["ann"] == {
        "auc": 1.0,
        "gauc_page": 1.0,
        "pcoc": pytest.approx(1.0),
        "n": n,
        "ci95": {"auc": [1.0, 1.0]},
    }
    n = {"pages": 1, "users": 1, "impressions": 2, "clicks": 0}
    assert result["no click"] == {"auc": None, "gauc_page": None, "pcoc": None, "n": n, "ci95": {"auc": None}}
    whole = judge_exposed(JUDGED, P_CLICK, resamples=1, seed=0)
    assert result["all"].pop("ci95") == {"auc": judge_exposed(JUDGED, P_CLICK, resamples=20, seed=0)["ci95"]["auc"]}
    assert result["all"] == {name: whole[name] for name in ("auc", "gauc_page", "pcoc", "n")}


def test_head_torso_and_tail_by_hand() -> None:
    # Shares of the training impressions before a query, from the most frequent: milk 0, bread .5, eggs .8, tea .9.
    training = np.array(["milk"] * 5 + ["bread"] * 3 + ["eggs"] + ["tea"])
    query = np.array(["tea", "milk", "bread", "unheard of", "eggs", "milk"])
    slices = exposed_slices(query, training, None, None, np.zeros(6, int))
    assert list(slices) == ["query head", "query torso", "query tail", "cross-user: same query"]
    assert slices["query head"].tolist() == [False, True, False, False, False, True]
    assert slices["query torso"].tolist() == [False, False, True, False, True, False]
    assert slices["query tail"].tolist() == [True, False, False, True, False, False]
    assert slices["cross-user: same query"].all()


def test_what_the_data_set_says_of_a_query_makes_slices_and_empty_ones_are_left_out() -> None:
    query, depth = np.array(["tea", "milk", "tea"]), np.array([2, 1, 0])
    seen, gold = np.array([True, False, True]), np.array([True, True, True])
    slices = exposed_slices(query, np.array(["tea"]), seen, gold, depth)
    assert {name: mask.tolist() for name, mask in slices.items()} == {
        "query head": [True, False, True],
        "query tail": [False, True, False],
        "query seen": [True, False, True],
        "query unseen": [False, True, False],
        "type with gold labels": [True, True, True],
        "cross-user: same query": [False, False, True],
        "cross-user: category": [False, True, False],
        "cross-user: none": [True, False, False],
    }


@settings(max_examples=20)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3)), min_size=1),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_order_of_the_rows_changes_nothing(rows: list[tuple[bool, int, int, int]], shuffle: Any) -> None:
    clicked, tenths, page, level = (np.array(column) for column in zip(*rows, strict=True))
    judged, score = Judged(clicked.astype(int), page, page % 2, level), tenths / 10
    order = np.array(shuffle.sample(range(len(rows)), len(rows)))
    again = permuted(judged, order)
    for judge in (judge_exposed, judge_open):
        before, after = flat(judge(judged, score, 3, 0)), flat(judge(again, score[order], 3, 0))
        assert after == pytest.approx(before, abs=1e-9)
    masks = {"low": score < 0.5}
    before = flat(judge_slices(judged, score, masks, 20, 0))
    assert flat(judge_slices(again, score[order], {"low": masks["low"][order]}, 20, 0)) == pytest.approx(
        before, abs=1e-9
    )


def test_an_anonymous_page_stands_for_itself() -> None:
    users, pages = pa.chunked_array([["ann", None, None, "ann"]]), pa.chunked_array([[1, 2, 3, 1]])
    found = users_of(users, pages)
    assert len(set(found.tolist())) == 3 and found[0] == found[3] == "ann"
    known = np.array([True] * 3 + [False] * 4)
    judged = replace(JUDGED, known=known)
    exposed = judge_exposed(judged, P_CLICK, resamples=50, seed=0)
    assert exposed["n"]["users"] == 1 and exposed["auc"] == pytest.approx(9 / 10)
    assert exposed["gauc_user"] == 1 and exposed["coverage"]["gauc_user"] == pytest.approx(3 / 7)
    nobody = judge_exposed(replace(JUDGED, known=np.zeros(7, bool)), P_CLICK, resamples=50, seed=0)
    assert nobody["gauc_user"] is None and nobody["ci95"]["gauc_user"] is None and nobody["n"]["users"] == 0


def test_open_candidates_without_gold_are_ranked_but_not_called_low() -> None:
    found = judge_open(replace(OPEN, gold_level=None), OPEN_SCORE, resamples=20, seed=0)
    assert found["excess_low@10"] is None and found["ci95"]["excess_low@10"] is None
    assert found["ndcg@10"] == judge_open(OPEN, OPEN_SCORE, resamples=20, seed=0)["ndcg@10"]
