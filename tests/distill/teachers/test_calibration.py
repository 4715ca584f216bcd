"""A calibration says what the gold pairs say, and keeps the order of a judge that gives one score."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from prectr.distill.teachers.base import Judgement
from prectr.distill.teachers.calibration import CalibratedTeacher, Calibration
from prectr.shared.errors import PrectrError

RNG = np.random.default_rng(0)
LEVEL = RNG.integers(0, 4, 400)
SCORE = (LEVEL + RNG.normal(0, 1, 400))[:, None].astype(np.float32)
LOG_ODDS = log_softmax(2 * np.eye(4)[LEVEL] + RNG.normal(0, 1, (400, 4)), axis=1).astype(np.float32)


def loss(log_odds: np.ndarray, level: np.ndarray = LEVEL) -> float:
    return float(-log_odds[np.arange(len(level)), level].mean())


@pytest.mark.parametrize("shift, factor", [(0.0, 1.0), (-3.0, 5.0)])
def test_log_odds_that_are_off_are_put_right(shift: float, factor: float) -> None:
    spoilt = log_softmax(factor * LOG_ODDS + shift * np.arange(4), axis=1)
    calibrated = Calibration.fit(spoilt, LEVEL, 4)(spoilt)
    assert loss(calibrated) <= loss(LOG_ODDS) + 1e-3
    np.testing.assert_allclose(calibrated, Calibration.fit(LOG_ODDS, LEVEL, 4)(LOG_ODDS), atol=0.02)
    np.testing.assert_allclose(np.exp(calibrated).mean(0), np.bincount(LEVEL) / len(LEVEL), atol=0.01)


def test_a_single_score_becomes_the_ordinal_model_of_its_levels() -> None:
    calibrated = Calibration.fit(SCORE, LEVEL, 4)(SCORE)
    assert calibrated.shape == (400, 4)
    assert loss(calibrated) < loss(np.log(np.full((400, 4), 0.25))) - 0.4
    np.testing.assert_allclose(np.exp(calibrated).mean(0), np.bincount(LEVEL) / len(LEVEL), atol=0.01)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20), st.floats(0.1, 1000), st.floats(-1000, 1000))
def test_a_single_scores_order_survives_in_any_unit(scores: list[float], factor: float, shift: float) -> None:
    calibration = Calibration.fit(factor * SCORE + shift, LEVEL, 4)
    asked = np.sort(np.array(scores))[:, None] / 10
    expected = np.exp(calibration(factor * asked + shift)) @ np.arange(4)
    assert (np.diff(expected) >= -1e-5).all()


def test_a_distance_counts_backwards() -> None:
    np.testing.assert_allclose(
        Calibration.fit(-SCORE, LEVEL, 4)(-SCORE), Calibration.fit(SCORE, LEVEL, 4)(SCORE), atol=1e-3
    )


def test_a_judge_worse_than_chance_is_not_turned_round() -> None:
    assert Calibration.fit(-LOG_ODDS, LEVEL, 4).scale == 0


def test_a_level_without_gold_pairs_stays_possible_but_rare() -> None:
    seen = LEVEL < 3
    prob = np.exp(Calibration.fit(LOG_ODDS[seen], LEVEL[seen], 4)(LOG_ODDS[seen]))
    assert 0 < prob[:, 3].mean() < 0.01


def test_pairs_that_could_not_be_judged_are_left_out_and_stay_unjudged() -> None:
    spoilt = np.concatenate([LOG_ODDS, np.full((50, 4), np.nan, np.float32)])
    calibration = Calibration.fit(spoilt, np.concatenate([LEVEL, np.zeros(50, int)]), 4)
    assert calibration == Calibration.fit(LOG_ODDS, LEVEL, 4)
    assert np.isnan(calibration(spoilt)[400:]).all() and np.isfinite(calibration(spoilt)[:400]).all()


def test_what_cannot_be_calibrated_is_one_sentence() -> None:
    with pytest.raises(PrectrError, match="3 outputs, the data 4 levels"):
        Calibration.fit(LOG_ODDS[:, :3], LEVEL, 4)
    with pytest.raises(PrectrError, match="judged none of the gold pairs"):
        Calibration.fit(np.full((5, 4), np.nan), LEVEL[:5], 4)


class Fixed:
    """Says the same of every pair."""

    fingerprint = "fixed"
    batch_size = 7

    def padded_length(self, pair: tuple[str, str]) -> int:
        return 8

    def score(self, pairs: list[tuple[str, str]]) -> Judgement:
        n = len(pairs)
        return Judgement(LOG_ODDS[:n], np.ones((n, 2), np.float32), np.eye(4, dtype=bool)[np.zeros(n, int)])


def test_a_calibrated_teacher_changes_the_log_odds_and_nothing_else(tmp_path: Path) -> None:
    calibration = Calibration(0.5, (0.0, 0.1, 0.2, 0.3))
    calibration.save(tmp_path / "calibration.json")
    teacher = CalibratedTeacher(Fixed(), Calibration.load(tmp_path / "calibration.json"))
    judgement = teacher.score([("a", "b")] * 3)
    np.testing.assert_allclose(
        judgement.log_odds, log_softmax(LOG_ODDS[:3] / 2 + np.array([0, 0.1, 0.2, 0.3]), axis=1), rtol=1e-5
    )
    assert judgement.state is not None and judgement.censored is not None and judgement.censored.sum() == 3
    assert teacher.padded_length(("a", "b")) == 8 and teacher.batch_size == 7
    assert (
        len({Fixed.fingerprint, teacher.fingerprint, CalibratedTeacher(Fixed(), Calibration(1, (0,) * 4)).fingerprint})
        == 3
    )
