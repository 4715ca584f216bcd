"""The judges' figures, and the temperature."""

from pathlib import Path

import numpy as np
import pytest

from prectr.distill.evaluation.judge import judge, judge_encoder, levels_of_score, tfidf_cosine
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.calibration import fit_temperature
from tests.shared.encoder.tiny_encoder import tiny_encoder


def pairs(*rows: tuple[str, str, int]) -> Pairs:
    query, text, level = zip(*rows, strict=True)
    return Pairs(np.array(query, object), np.array(text, object), np.array(level))


def test_a_perfect_judge_has_perfect_figures() -> None:
    level = np.array([0, 1, 2, 3])
    found = judge(level, np.eye(4)[level])
    assert found == {"auc": 1.0, "macro_f1": 1.0, "qwk": 1.0, "spearman": pytest.approx(1.0), "n": 4}


def test_auc_splits_the_scale_in_the_middle() -> None:
    # Levels 2 and 3 of four are the upper half; the judge takes level 1 for 2 and 2 for 1.
    assert judge(np.array([0, 1, 2, 3]), np.eye(4)[[0, 2, 1, 3]])["auc"] == pytest.approx(3 / 4)


def test_tfidf_likes_the_text_that_shares_letters() -> None:
    train = pairs(("red shirt", "red shirts", 1), ("red shirt", "milk", 0), ("milk", "milk", 1), ("milk", "lamp", 0))
    cosine = tfidf_cosine([*train.query, *train.item_text])
    close, far = cosine(pairs(("red shirt", "red shirts", 1), ("red shirt", "lamp", 0)))
    assert close > far
    level_prob = levels_of_score(cosine, train, 2)(train)
    assert judge(train.level, level_prob)["auc"] == 1.0
    np.testing.assert_allclose(level_prob.sum(1), 1, atol=1e-5)


def test_an_encoder_is_judged_with_and_without_its_temperature(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path, level_names=("no", "yes"))
    some = pairs(("red", "red hat", 1), ("blue", "lamp", 0), ("milk", "soda", 0), ("shoe", "shoe", 1))
    before = judge_encoder(encoder, some)
    encoder.head.fold_temperature(4.0)
    after = judge_encoder(encoder, some, temperature=4.0)
    assert before is not None and after is not None and before["ece"] is not None
    assert after["ece_before"] == pytest.approx(before["ece"], abs=1e-6)
    assert after["ece"] != pytest.approx(before["ece"], abs=1e-3)
    assert "ece_before" not in before and set(after) == {*before, "ece_before"}
    assert judge_encoder(encoder, some.take(np.array([], int))) is None


def test_an_overconfident_judge_gets_a_temperature_above_one() -> None:
    # Odds of e^4 claimed, odds of 3 kept: the best temperature makes them equal.
    logits = np.tile([4.0, 0.0], (400, 1))
    level = np.arange(400) % 4 // 3
    assert fit_temperature(logits, level) == pytest.approx(4 / np.log(3), rel=1e-3)


def test_a_calibrated_judge_keeps_its_temperature() -> None:
    logits = np.tile([np.log(3), 0.0], (400, 1))
    assert fit_temperature(logits, np.arange(400) % 4 // 3) == pytest.approx(1.0, rel=1e-3)
