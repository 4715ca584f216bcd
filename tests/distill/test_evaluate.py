"""The judges' figures, and the temperature."""

import numpy as np
import pytest

from distill.evaluate import TfidfJudge, fit_temperature, judge
from distill.pairs import Pairs


def pairs(*rows: tuple[str, str, int]) -> Pairs:
    query, text, level = zip(*rows, strict=True)
    return Pairs(np.array(query, object), np.array(text, object), np.array(level))


def test_a_perfect_judge_has_perfect_figures() -> None:
    level = np.array([0, 1, 2, 3])
    found = judge(level, np.eye(4)[level])
    assert found == {"auc": 1.0, "macro_f1": 1.0, "qwk": 1.0, "spearman": pytest.approx(1.0), "n": 4}


def test_auc_splits_the_scale_in_the_middle() -> None:
    # Levels 2 and 3 of four are the upper half; the score puts level 1 above level 2.
    level, score = np.array([0, 1, 2, 3]), np.array([0.0, 2.0, 1.0, 3.0])
    assert judge(level, np.eye(4)[level], score)["auc"] == pytest.approx(3 / 4)


def test_tfidf_likes_the_text_that_shares_letters() -> None:
    train = pairs(("red shirt", "red shirts", 1), ("red shirt", "milk", 0), ("milk", "milk", 1), ("milk", "lamp", 0))
    tfidf = TfidfJudge([*train.query, *train.item_text], train)
    close, far = tfidf.cosine(pairs(("red shirt", "red shirts", 1), ("red shirt", "lamp", 0)))
    assert close > far
    assert tfidf.judge(train, 2)["auc"] == 1.0


def test_an_overconfident_judge_gets_a_temperature_above_one() -> None:
    # Odds of e^4 claimed, odds of 3 kept: the best temperature makes them equal.
    logits = np.tile([4.0, 0.0], (400, 1))
    level = np.arange(400) % 4 // 3
    assert fit_temperature(logits, level) == pytest.approx(4 / np.log(3), rel=1e-3)


def test_a_calibrated_judge_keeps_its_temperature() -> None:
    logits = np.tile([np.log(3), 0.0], (400, 1))
    assert fit_temperature(logits, np.arange(400) % 4 // 3) == pytest.approx(1.0, rel=1e-3)
