"""An ensemble adds what its members say, asks those that count, and makes nothing up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from prectr.distill.teachers.base import Judgement
from prectr.distill.teachers.ensemble import EnsembleTeacher, fit_weights, read_weights, save_weights
from prectr.shared.errors import PrectrError

RNG = np.random.default_rng(0)
PAIRS = [("q", str(row)) for row in range(5)]


class Member:
    """Judges pair i as row i says."""

    def __init__(self, log_odds: np.ndarray, length: int = 8, width: int = 0, censored: bool = False) -> None:
        self.log_odds, self.length, self.width, self.censored = log_odds, length, width, censored
        self.fingerprint = repr(log_odds.tolist())
        self.calls = 0

    def padded_length(self, pair: tuple[str, str]) -> int:
        return self.length

    def score(self, pairs: list[tuple[str, str]]) -> Judgement:
        self.calls += 1
        rows = [int(text) for _, text in pairs]
        state = np.full((len(rows), self.width), self.width, np.float32) if self.width else None
        censored = np.eye(3, dtype=bool)[[0] * len(rows)] if self.censored else None
        return Judgement(self.log_odds[rows], state, censored)


def some(seed: int) -> np.ndarray:
    return log_softmax(np.random.default_rng(seed).normal(0, 1, (5, 3)), axis=1).astype(np.float32)


def test_log_odds_are_the_weighted_mean_and_probabilities_sum_to_one() -> None:
    judgement = EnsembleTeacher([Member(some(1)), Member(some(2))], [0.25, 0.75]).score(PAIRS)
    np.testing.assert_allclose(judgement.log_odds, log_softmax(0.25 * some(1) + 0.75 * some(2), axis=1), atol=1e-6)
    np.testing.assert_allclose(np.exp(judgement.log_odds).sum(1), 1, atol=1e-5)


def test_the_first_state_there_is_and_the_longest_length() -> None:
    ensemble = EnsembleTeacher([Member(some(1)), Member(some(2), 24, 4), Member(some(3), 16, 6)], [1, 1, 1])
    state = ensemble.score(PAIRS).state
    assert state is not None and state.shape == (5, 4)
    assert ensemble.padded_length(PAIRS[0]) == 24


def test_a_pair_one_member_could_not_judge_is_not_judged() -> None:
    holed = some(1)
    holed[2] = np.nan
    found = EnsembleTeacher([Member(holed), Member(some(2))], [1, 1]).score(PAIRS).log_odds
    assert np.isnan(found[2]).all() and np.isfinite(np.delete(found, 2, 0)).all()


def test_a_level_censored_for_one_that_counts_is_censored() -> None:
    bounded, plain = Member(some(1), censored=True), Member(some(2))
    censored = EnsembleTeacher([plain, bounded], [1, 0.1]).score(PAIRS).censored
    assert censored is not None and censored[:, 0].all() and not censored[:, 1:].any()
    assert EnsembleTeacher([plain, bounded], [1, 0]).score(PAIRS).censored is None


def test_a_member_without_weight_is_not_asked() -> None:
    silent = Member(np.full((5, 3), np.nan, np.float32))
    ensemble = EnsembleTeacher([silent, Member(some(2))], [0, 1])
    np.testing.assert_allclose(ensemble.score(PAIRS).log_odds, some(2), atol=1e-6)
    assert silent.calls == 0


def test_weights_and_members_are_in_the_fingerprint() -> None:
    members = [Member(some(1)), Member(some(2))]
    found = {
        EnsembleTeacher(members, [1, 1]).fingerprint,
        EnsembleTeacher(members, [1, 2]).fingerprint,
        EnsembleTeacher(members[::-1], [1, 2]).fingerprint,
        EnsembleTeacher([members[0], Member(some(3))], [1, 1]).fingerprint,
    }
    assert len(found) == 4


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0]])
def test_impossible_weights(weights: list[float]) -> None:
    with pytest.raises(PrectrError, match="give each one, at least 0, not all 0"):
        EnsembleTeacher([Member(some(1)), Member(some(2))], weights)


LEVEL = RNG.integers(0, 3, 600)
GOOD, ALSO_GOOD = (log_softmax(np.eye(3)[LEVEL] + RNG.normal(0, 1, (600, 3)), axis=1) for _ in range(2))
NOISE = log_softmax(RNG.normal(0, 1, (600, 3)), axis=1)


def loss(log_odds: list[np.ndarray], weights: list[float]) -> float:
    found = log_softmax(np.tensordot(weights, np.stack(log_odds), 1), axis=1)
    return float(-found[np.arange(600), LEVEL].mean())


def test_two_good_judges_together_beat_either_and_noise_counts_for_little() -> None:
    weights = fit_weights([GOOD, NOISE, ALSO_GOOD], LEVEL)
    assert min(weights) >= 0 and 3 * weights[1] < min(weights[0], weights[2])
    together = loss([GOOD, NOISE, ALSO_GOOD], weights)
    assert together < min(loss([one], fit_weights([one], LEVEL)) for one in (GOOD, ALSO_GOOD)) - 0.05


@given(st.integers(0, 20), st.floats(0.3, 3))
def test_fitted_weights_are_the_best_there_are(seed: int, factor: float) -> None:
    others = np.random.default_rng(seed).uniform(0, factor, 2).tolist()
    fitted = fit_weights([GOOD, ALSO_GOOD], LEVEL)
    assert loss([GOOD, ALSO_GOOD], fitted) <= loss([GOOD, ALSO_GOOD], others) + 1e-3


def test_pairs_without_a_judgement_do_not_count(tmp_path: Path) -> None:
    holed = GOOD.copy()
    holed[:100] = np.nan
    weights = fit_weights([holed, NOISE], LEVEL)
    np.testing.assert_allclose(weights, fit_weights([GOOD[100:], NOISE[100:]], LEVEL[100:]), atol=1e-6)
    save_weights(tmp_path / "ensemble.json", ["a", "b"], weights)
    assert read_weights(tmp_path / "ensemble.json") == weights
    with pytest.raises(PrectrError, match="no gold pair was judged by all"):
        fit_weights([np.full_like(GOOD, np.nan), NOISE], LEVEL)


def test_members_that_know_nothing_still_give_an_ensemble() -> None:
    weights = fit_weights([-GOOD, -ALSO_GOOD], LEVEL)
    EnsembleTeacher([Member(some(1)), Member(some(2))], weights)
