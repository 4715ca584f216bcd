"""Differences of two systems: the same users for both, and the sign that the measure has."""

import numpy as np
import pytest

from prectr.rank.evaluation.paired import differences
from prectr.rank.evaluation.protocol import Judged
from prectr.shared import metrics

USERS, PER_USER = 40, 30


def some(seed: int = 0, gold: bool = False) -> Judged:
    rng = np.random.default_rng(seed)
    rows = USERS * PER_USER
    user = np.repeat([f"u{number}" for number in range(USERS)], PER_USER)
    clicked = (rng.random(rows) < 0.3).astype(int)
    return Judged(clicked, np.arange(rows) // 10, user, rng.integers(0, 4, rows) if gold else None)


def scored(judged: Judged, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(0.3 + 0.2 * (judged.clicked - 0.3) + noise * rng.normal(size=len(judged.clicked)), 0.01, 0.99)


def test_a_gap_is_the_difference_of_the_plain_measures() -> None:
    shown, offered, new = some(0), some(1, gold=True), some(2)
    judged = {"test": shown, "open": offered, "new_users_0": new, "new_users_10": new}
    ours, theirs = (
        {name: scored(part, noise, number) for number, (name, part) in enumerate(judged.items())}
        for noise in (0.1, 0.3)
    )
    found = differences(judged, ours, theirs, 50, 0)
    assert set(found["exposed"]) == {"auc", "gauc_page", "ndcg@10", "mrr", "logloss"}
    assert set(found["open"]) == {"ndcg@10", "auc", "excess_low@10"} and list(found["new_users"]) == ["0", "10"]
    auc = metrics.auc(shown.clicked, ours["test"]) - metrics.auc(shown.clicked, theirs["test"])  # type: ignore[operator]
    assert found["exposed"]["auc"]["gap"] == pytest.approx(auc)
    low, high = found["exposed"]["auc"]["ci95"]
    assert 0 < low < auc < high, "less noise is better, for nearly all users"
    assert found["exposed"]["logloss"]["ci95"][1] < 0


def test_what_both_share_cancels() -> None:
    """Users differ widely; the systems differ by the same small thing for each of them."""
    judged = some(3)
    theirs = scored(judged, 0.3, 0)
    ours = theirs + 1e-3 * (judged.clicked - 0.3)
    found = differences({"test": judged}, {"test": ours}, {"test": theirs}, 100, 0)["exposed"]["auc"]
    alone = metrics.user_bootstrap(judged.user, metrics.auc_of_weights(judged.clicked, ours), resamples=100)
    assert alone is not None and found["ci95"][1] - found["ci95"][0] < (alone[1] - alone[0]) / 5


def test_few_users_have_no_interval_and_no_gold_no_excess() -> None:
    judged = Judged(np.array([1, 0, 0, 1]), np.array([0, 0, 1, 1]), np.array(list("aabb")))
    score = {"test": np.array([0.6, 0.2, 0.3, 0.5]), "open": np.array([0.6, 0.2, 0.3, 0.5])}
    found = differences({"test": judged, "open": judged}, score, score, 10, 0)
    assert found["exposed"]["auc"] == {"gap": 0.0, "ci95": None}
    assert "excess_low@10" not in found["open"] and "new_users" not in found
