"""Figures of the validation weeks while a ranker trains: a few, right, and without a trace in what it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prectr.rank.inputs.page_sample import sample_pages
from prectr.rank.model.predictor import Predictor
from prectr.rank.training.trainer import train
from prectr.rank.training.validation_curve import MOST_ROWS, POINTS, ValidationCurve
from prectr.shared import metrics
from tests.rank.training.test_trainer import ARGUMENTS, make, weights  # noqa: F401


def curve_of(schedule, texts) -> ValidationCurve:
    return ValidationCurve(schedule.prepared, schedule.events, texts, bf16=False, negative_sampling_rate=1.0, seed=0)


def test_a_training_ends_in_the_same_weights_with_a_curve_or_without(make, tmp_path: Path) -> None:  # noqa: F811
    objective, schedule, texts = make()
    plain = train(objective, schedule, texts, ARGUMENTS, 0, tmp_path / "without")
    expected, drawn = weights(objective), torch.get_rng_state()
    objective, schedule, texts = make()
    found = train(objective, schedule, texts, ARGUMENTS, 0, tmp_path / "with", curve_of(schedule, texts))
    for name, value in weights(objective).items():
        assert torch.equal(value, expected[name]), name
    assert torch.equal(torch.get_rng_state(), drawn)

    points = [line for line in found.log if "validation_auc" in line]
    assert len(points) == POINTS and points[-1]["step"] == len(schedule)
    assert not any("validation_auc" in line for line in plain.log)
    losses = [[line["loss"] for line in log if "loss" in line] for log in (plain.log, found.log)]
    assert losses[0] == losses[1]


def test_a_point_says_what_the_whole_network_scores(make) -> None:  # noqa: F811
    objective, schedule, texts = make()
    objective.train()
    modes = [module.training for module in objective.model.modules()]
    point = curve_of(schedule, texts).point(objective)
    assert any(modes) and [module.training for module in objective.model.modules()] == modes
    rows, sample = sample_pages(schedule.prepared, MOST_ROWS, 0)
    assert 0 < len(rows) <= MOST_ROWS
    p_click = Predictor(objective.model, texts, schedule.events, False).predict(sample, 4096)["p_click"]
    clicked = np.asarray(sample.clicked)
    assert point["validation_auc"] == pytest.approx(metrics.auc(clicked, p_click), abs=2e-3)
    assert point["validation_logloss"] == pytest.approx(metrics.logloss(clicked, p_click), abs=2e-3)
