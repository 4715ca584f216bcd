"""After training, one number on all click logits makes as many clicks as the validation split has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.evaluation import calibrate as module
from prectr.rank.evaluation.calibrate import LEAST_CLICKS, MAX_SHIFT, calibrate, click_shift
from prectr.rank.serving.ranker import Ranker
from prectr.shared.metrics import pcoc
from prectr.shared.run.steps import RECORD
from tests.rank.toy_run import opened


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    """As it is while its step works: a folder that changes has no record yet."""
    (home / "ranker" / RECORD).unlink()
    return home


def model(incentive: str = "inside") -> Any:
    return SimpleNamespace(config=SimpleNamespace(incentive=incentive))


def predicted(level_prob: np.ndarray, click: np.ndarray, tau: np.ndarray | None = None) -> dict[str, np.ndarray]:
    tau = np.zeros(len(click)) if tau is None else tau
    return {"level_prob": level_prob, "p_click_given_level": click, "tau": tau}


def test_by_hand() -> None:
    clicked = np.arange(800) < 200
    found = predicted(np.tile([0.25, 0.75], (800, 1)), np.full((800, 2), 0.5))
    assert click_shift(model(), found, clicked) == pytest.approx(np.log(1 / 3), abs=1e-5)
    # 200 clicks of weight 3 are half of a weight of 1,200.
    weight = np.where(clicked, 3.0, 1.0)
    assert click_shift(model(), found, clicked, weight) == pytest.approx(0, abs=1e-5)


def test_an_incentive_that_stands_outside_stays_there() -> None:
    clicked = np.arange(800) < 400
    found = predicted(np.ones((800, 1)), np.full((800, 1), 0.5), np.full(800, 0.7))
    assert click_shift(model("outside"), found, clicked) == pytest.approx(-0.7, abs=1e-5)
    assert click_shift(model("inside"), found, clicked) == pytest.approx(0, abs=1e-5)


@given(st.integers(0, 2**31), st.floats(-2, 2), st.booleans())
def test_a_ranker_that_is_off_by_a_number_gets_it_back(seed: int, off: float, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    level_prob = rng.dirichlet(np.ones(4), 5_000)
    logit = rng.normal(-1, 1, (5_000, 4))
    p = (level_prob / (1 + np.exp(-logit))).sum(1)
    clicked = rng.random(5_000) < p
    weight = rng.uniform(0.5, 2, 5_000) if weighted else None
    shift = click_shift(model(), predicted(level_prob, 1 / (1 + np.exp(off - logit))), clicked, weight)
    after = (level_prob / (1 + np.exp(off - logit - shift))).sum(1)
    assert pcoc(clicked, after, weight) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("clicks", [0, LEAST_CLICKS - 1, 5_000 - LEAST_CLICKS + 1, 5_000])
def test_too_few_clicks_or_skips_leave_it_alone(clicks: int) -> None:
    found = predicted(np.ones((5_000, 1)), np.full((5_000, 1), 0.5))
    assert click_shift(model(), found, np.arange(5_000) < clicks) == 0


def test_a_ranker_that_is_far_off_is_not_turned_around() -> None:
    found = predicted(np.ones((5_000, 1)), np.full((5_000, 1), 1e-6))
    clicked = np.arange(5_000) < 2_500
    assert click_shift(model(), found, clicked) == MAX_SHIFT
    assert click_shift(model(), {**found, "p_click_given_level": np.full((5_000, 1), 1 - 1e-6)}, clicked) == -MAX_SHIFT


def test_a_saved_ranker_is_calibrated_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_CLICKS", 1)
    ranker, predictor, validation = opened(home, "validation")
    before = ranker.model.base.head_bias.detach().clone()
    found = calibrate(ranker, predictor, validation, 1.0, 4096, home / "ranker")
    assert abs(found.shift) > 0.01 and found.pcoc is not None and abs(found.pcoc - 1) > 0.01
    torch.testing.assert_close(ranker.model.base.head_bias, before + found.shift)

    ranker, predictor, validation = opened(home, "validation")
    p = predictor.predict(validation, 4096)["p_click"]
    assert pcoc(np.asarray(validation.clicked), p) == pytest.approx(1, abs=1e-4)
    # A run that was killed after it had saved calibrates a ranker that is so already.
    assert calibrate(ranker, predictor, validation, 1.0, 4096, home / "ranker") == found
    torch.testing.assert_close(ranker.model.base.head_bias, before + found.shift)


def test_the_logits_of_all_levels_move_alike_under_an_ordinal_head_too(home: Path) -> None:
    for ordinal in (False, True):
        network = Ranker.from_pretrained(home / "ranker").model
        network.config.ordinal_head = ordinal
        hidden = torch.randn(5, network.first_layer.out_features)
        before = network._click_logits(network.base(hidden))
        network.shift_clicks(-0.3)
        torch.testing.assert_close(network._click_logits(network.base(hidden)), before - 0.3)
