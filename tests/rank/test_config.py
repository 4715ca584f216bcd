"""Settings: which contradict each other, and which decide a step's result."""

from dataclasses import asdict, replace

import pytest

from prectr.rank.config import (
    HistoryArguments,
    LossArguments,
    ModelArguments,
    TrainArguments,
    check_together,
    deciding,
)
from prectr.shared.errors import PrectrError

HISTORY, MODEL, LOSSES, TRAINING = HistoryArguments(), ModelArguments(), LossArguments(), TrainArguments()
NO_REPLAY = LossArguments(relevance_weight=0, debias_weight=0, replay_share=0)


def test_the_defaults_do_not_contradict_each_other():
    check_together(HISTORY, MODEL, LOSSES, TRAINING)
    check_together(HISTORY, MODEL, NO_REPLAY, replace(TRAINING, warmup_share=0))
    check_together(HISTORY, replace(MODEL, fusion="sigmoid"), replace(LOSSES, consistency_weight=0), TRAINING)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((HISTORY, MODEL, NO_REPLAY, TRAINING), "the warm-up trains .* replay_share is 0"),
        (
            (replace(HISTORY, history_in_category=0, history_overall=0), MODEL, LOSSES, TRAINING),
            "user_preference reads the user's past",
        ),
        ((replace(HISTORY, cross_history=0), MODEL, LOSSES, TRAINING), "cross_preference reads other users' past"),
        (
            (HISTORY, replace(MODEL, fusion="sigmoid"), LOSSES, TRAINING),
            "semantic consistency .* consistency_weight: 0",
        ),
        ((replace(HISTORY, cold_lengths=[]), MODEL, LOSSES, TRAINING), "cold_share cuts histories"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(PrectrError, match=message):
        check_together(*settings)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_of_kept_impressions_is_one(rate):
    with pytest.raises(PrectrError, match="negative_sampling_rate"):
        LossArguments(negative_sampling_rate=rate)


@pytest.mark.parametrize("weight", [-0.1, 1.01, float("nan")])
def test_the_trees_share_of_the_click_target_is_one(weight):
    with pytest.raises(PrectrError, match="engagement_weight: found .* from 0 to 1"):
        LossArguments(engagement_weight=weight)
    assert LossArguments(engagement_weight=1).engagement_weight == 1


def test_a_base_module_without_layers_is_refused():
    with pytest.raises(PrectrError, match="hidden_sizes is empty"):
        ModelArguments(hidden_sizes=[])
    with pytest.raises(PrectrError, match="hidden_sizes: found 0; set a number from 1"):
        ModelArguments(hidden_sizes=[8, 0])


def test_every_setting_decides_but_how_often_is_saved():
    assert deciding(LOSSES) == asdict(LOSSES) and deciding(MODEL) == asdict(MODEL)
    assert asdict(TrainArguments()).keys() - deciding(TrainArguments()).keys() == {"save_steps"}
