"""Several processes: the gradients of a batch's parts are together those of the whole batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prectr.rank.config import LossArguments
from prectr.rank.inputs.replay import Replay
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from tests.rank.random_network import Scene
from tests.shared.run.launched import Launch, assert_parts_make_the_whole, gradients

NOISES = ("isotropic", "covariance", "toward_neighbour")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("encoder"))


def schedule_of(scene: Scene, noise: str) -> BatchSchedule:
    """Three batches of 5 pages and 14 replayed pairs: neither splits evenly."""
    weight = np.linspace(0.5, 2, len(scene.prepared)).astype(np.float32)
    levels = scene.model.config.num_levels
    pairs = np.arange(8, dtype=np.int32)
    replay = Replay(pairs % len(scene.shop.query_texts), pairs, np.eye(levels, dtype=np.float32)[pairs % levels])
    return BatchSchedule(
        replace(scene.prepared, weight=weight),
        scene.events(scene.shop),
        replay,
        pages_per_batch=5,
        pages_together=2,
        epochs=1.0,
        warmup_share=0.5,
        replay_share=0.41,
        hard_negatives=HardNegatives(noise, scene.feature_map),
        engagement=np.linspace(0, 1, len(scene.prepared)).astype(np.float32),
        seed=0,
    )


@pytest.mark.parametrize("processes", [2, 7])
@pytest.mark.parametrize("noise", NOISES)
def test_the_parts_of_a_batch_teach_what_the_whole_does(scene, monkeypatch, noise, processes):
    schedule = schedule_of(scene, noise)
    settings = LossArguments(
        noise=noise, position_debias=True, negative_sampling_rate=0.5, debias_weight=1.0, incentive_penalty=1.0
    )
    objective = Objective(scene.model, settings, seed=0)
    launch = Launch(monkeypatch, processes)
    assert schedule.num_warmup == 1 and len(schedule) == 3
    for number in range(len(schedule)):

        def losses(number: int = number) -> dict[str, torch.Tensor]:
            parts: dict[str, torch.Tensor] = {}

            def loss() -> torch.Tensor:
                parts.update(objective(scene.encode(schedule[number])))
                return parts["loss"]

            return gradients(objective, loss) | {name: part.detach() for name, part in parts.items()}

        assert_parts_make_the_whole(launch, losses)


def test_parts_hold_every_page_once_and_say_where_their_rows_stand(scene, monkeypatch):
    schedule = schedule_of(scene, "toward_neighbour")
    whole, parts = schedule[2], Launch(monkeypatch, 2).run(lambda: schedule[2])
    place = torch.cat([part["place"] for part in parts])
    assert len(place) == len(whole["row"]) == whole["size"] and len({len(part["row"]) for part in parts}) == 2
    for name in ("row", "level_drop", "negative_numeric", "clicked", "engagement", "weight", "position"):
        assert torch.equal(torch.cat([part[name] for part in parts])[torch.argsort(place)], whole[name]), name
    assert torch.equal(whole["engagement"], torch.from_numpy(schedule.engagement)[whole["row"]])
    neighbours = torch.cat([part["row"][part["neighbour"]] for part in parts])[torch.argsort(place)]
    assert torch.equal(neighbours, whole["row"][whole["neighbour"]])
    assert (whole["level_drop"] > 0).any() and (whole["page"][whole["neighbour"]] == whole["page"]).all()
    replayed = torch.cat([part["replay_target"] for part in parts])
    assert torch.equal(replayed, whole["replay_target"]) and len(replayed) > 10
