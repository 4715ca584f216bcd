"""Position bias: learnt beside the network, switched off by default, and unknown to every score."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prectr.rank.config import LossArguments
from prectr.rank.training.losses import click_loss
from prectr.rank.training.objective import Objective
from prectr.rank.training.position_bias import HIDDEN, Examination
from prectr.shared.errors import PrectrError
from tests.rank.random_network import Scene
from tests.rank.random_shop import random_events


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return Scene(tmp_path_factory.mktemp("encoder"))


def test_a_hidden_or_unknown_place_adds_nothing_and_the_last_stands_for_later_ones():
    places = Examination(3)
    torch.nn.init.normal_(places.logit)
    first, _, last = places.logit.tolist()
    added = places(torch.tensor([0, -1, 2, 7, 0]), torch.tensor([False, False, False, False, True]))
    assert added.tolist() == pytest.approx([first, 0, last, last, 0])


def test_what_places_add_is_found_and_scores_stay_calibrated():
    rng = np.random.default_rng(0)
    x, place = rng.normal(size=40_000), rng.integers(0, 10, 40_000)
    true = np.linspace(0, -2, 10)
    clicked = rng.random(40_000) < 1 / (1 + np.exp(1.5 - x - true[place]))
    hidden = torch.from_numpy(rng.random(40_000) < HIDDEN)
    network, places = torch.nn.Linear(1, 1), Examination(10)
    numbers, positions, clicks = torch.from_numpy(x).float()[:, None], torch.from_numpy(place), torch.tensor(clicked)
    optimizer = torch.optim.LBFGS([*network.parameters(), *places.parameters()], max_iter=200)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = click_loss(network(numbers) + places(positions, hidden)[:, None], clicks)
        loss.backward()
        return loss

    optimizer.step(closure)
    learnt = places.logit.detach().numpy()
    assert learnt - learnt[0] == pytest.approx(true, abs=0.25)
    mean = torch.sigmoid(network(numbers)[:, 0]).mean().item()
    assert mean / clicked.mean() == pytest.approx(1, abs=0.05)


def test_places_train_the_places_alone_and_only_when_asked(scene):
    batch = scene.batch(scene.prepared)
    plain = Objective(scene.model, LossArguments(**scene.losses), seed=0)
    debiased = Objective(scene.model, LossArguments(position_debias=True, **scene.losses), seed=0)
    names = {name for name, _ in debiased.named_parameters()} - {name for name, _ in plain.named_parameters()}
    assert names == {"examination.logit"}
    # Before training a place adds nothing.
    assert debiased(batch)["loss"] == plain(batch)["loss"]
    debiased(batch)["loss"].backward()
    assert debiased.examination.logit.grad.abs().sum() > 0
    scene.model.zero_grad()
    with torch.no_grad():
        debiased.examination.logit.fill_(1.0)
    assert debiased(batch)["loss"] != plain(batch)["loss"]


def test_scores_do_not_know_the_place(scene):
    reversed_places = scene.impressions["position"].take(np.arange(48)[::-1])
    place = scene.impressions.column_names.index("position")
    moved = scene.impressions.set_column(place, "position", reversed_places)
    before, after = (scene.told(random_events(0), impressions) for impressions in (scene.impressions, moved))
    assert not np.array_equal(before.pop("position"), after.pop("position"))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    # What is saved and scored with is the model, and the places are no part of it.
    Objective(scene.model, LossArguments(position_debias=True), seed=0)
    assert not [name for name in scene.model.state_dict() if "examination" in name]


def test_features_without_positions_say_what_to_do(scene):
    batch = scene.batch(replace(scene.prepared, position=None))
    with pytest.raises(PrectrError, match="remove the folder features/"):
        Objective(scene.model, LossArguments(position_debias=True, **scene.losses), seed=0)(batch)
