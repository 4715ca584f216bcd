"""Gradient caching: the encoder's gradient is that of plain backpropagation through it, each text encoded once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from prectr.rank.config import LossArguments
from prectr.rank.inputs.batch import Batch
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.text_tables import TextTables
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.gradient_cache import GradientCache
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from tests.rank.random_network import Scene
from tests.shared.run.launched import Launch, assert_parts_make_the_whole

LOSSES = LossArguments(debias_weight=1.0, consistency_margin=0.5, incentive_penalty=0.5)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    scene.encoder.freeze_token_embeddings()
    return scene


def schedule_of(scene: Scene, pages_per_batch: int = 1) -> BatchSchedule:
    """Warm-up batches, then ones of so few impressions that a group does not have all texts of their past."""
    number = np.arange(3, dtype=np.int32)
    return BatchSchedule(
        scene.prepared,
        scene.events(scene.shop),
        Replay(number, number, np.eye(scene.model.config.num_levels, dtype=np.float32)[number]),
        pages_per_batch=pages_per_batch,
        pages_together=1,
        epochs=1.0,
        warmup_share=0.2,
        replay_share=0.2,
        hard_negatives=HardNegatives("toward_neighbour", scene.feature_map),
        seed=0,
    )


def old_tables(scene: Scene) -> TextTables:
    """What an encoder of long ago said of the texts: random unit vectors."""
    g = torch.Generator().manual_seed(3)
    shapes = (scene.tables.query.shape, scene.tables.item.shape)
    return TextTables(
        *(torch.nn.functional.normalize(torch.randn(each, generator=g), dim=-1).half() for each in shapes)
    )


def gradients(objective: Objective, losses: Callable[[], list[Tensor]]) -> dict[str, Tensor]:
    objective.zero_grad()
    found = {f"loss {number}": loss.detach() for number, loss in enumerate(losses())}
    return found | {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def cached(objective: Objective, schedule: BatchSchedule, cache: GradientCache, group: range) -> list[Tensor]:
    cache.open(*schedule.texts_of(group))
    losses = []
    for number in group:
        batch = schedule[number]
        cache.fill(batch)
        losses.append(objective(batch)["loss"])
        losses[-1].backward()
        cache.collect()
    cache.backward()
    return losses


def plain(scene: Scene, objective: Objective, schedule: BatchSchedule, group: range) -> list[Tensor]:
    """Texts of the group are encoded within every batch that reads them; others are read off the tables."""
    items = torch.from_numpy(schedule.texts_of(group)[1])

    def encoded(number: int) -> Batch:
        batch = scene.encode(schedule[number])
        if "item_used" in batch:
            known = torch.isin(batch["item_used"], items)[:, None]
            batch["item_table"] = torch.where(known, batch["item_table"], objective.tables.item[batch["item_used"]])
        return batch

    losses = [objective(encoded(number))["loss"] for number in group]
    torch.stack(losses).sum().backward()
    return losses


@pytest.mark.parametrize("first", [0, 2, 4])
def test_a_groups_gradient_is_that_of_its_summed_loss(scene: Scene, first: int) -> None:
    schedule = schedule_of(scene)
    group = range(first, first + 2)
    assert schedule.num_warmup == 2
    objective = Objective(scene.network(), LOSSES, 0, old_tables(scene))
    cache = GradientCache(scene.encoder, scene.texts, objective.tables, bf16=False)
    expected = gradients(objective, lambda: plain(scene, objective, schedule, group))
    found = gradients(objective, lambda: cached(objective, schedule, cache, group))
    assert found.keys() == expected.keys()
    assert sum("text_encoder.encoder" in name and value.abs().max() > 1e-4 for name, value in found.items()) > 10
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_past_texts_of_the_group_are_read_with_their_gradient_and_others_as_they_were(scene: Scene) -> None:
    schedule = schedule_of(scene)
    group, tables = range(2, 4), old_tables(scene)
    before = tables.item.clone()
    queries, items = schedule.texts_of(group)
    cache = GradientCache(scene.encoder, scene.texts, tables, bf16=False)
    cache.open(queries, items)
    batch = schedule[2]
    cache.fill(batch)
    used = batch["item_used"]
    known = torch.isin(used, torch.from_numpy(items))
    past = torch.isin(used, batch["item_text"], invert=True)
    assert (known & past).any() and (~known).any(), "both kinds occur"
    torch.testing.assert_close(batch["item_table"][~known], before[used[~known]].float())
    torch.testing.assert_close(batch["item_table"][known], scene.tables.item[used[known]].float(), atol=1e-3, rtol=0)
    batch["item_table"].sum().backward()
    cache.collect()
    gradient = cache._groups["item"].pooled_gradient.abs().sum(1) > 0
    assert torch.equal(gradient, torch.isin(torch.from_numpy(items), used))


def test_the_tables_have_what_the_encoder_now_says_of_the_groups_texts_and_keep_the_rest(scene: Scene) -> None:
    tables, before = old_tables(scene), old_tables(scene)
    cache = GradientCache(scene.encoder, scene.texts, tables, bf16=False)
    cache.open(np.array([1, 2]), np.array([0, 5]))
    for kind, renewed in (("query", [1, 2]), ("item", [0, 5])):
        now, then, expected = (getattr(each, kind).float() for each in (tables, before, scene.tables))
        torch.testing.assert_close(now[renewed], expected[renewed], atol=1e-3, rtol=0)
        others = [number for number in range(len(now)) if number not in renewed]
        assert torch.equal(now[others], then[others]) and now.dtype == expected.dtype


def test_a_text_of_the_replay_alone_is_in_no_table(scene: Scene) -> None:
    tables = TextTables(scene.tables.query.clone(), scene.tables.item[:6].clone())
    GradientCache(scene.encoder, scene.texts, tables, bf16=False).open(np.array([0]), np.array([1, 6, 7]))
    torch.testing.assert_close(tables.item, scene.tables.item[:6], atol=1e-3, rtol=0)


def test_without_text_vectors_the_level_module_learns_all_the_same(scene: Scene) -> None:
    schedule = schedule_of(scene)
    schedule.events.item_text = None
    objective = Objective(scene.network(text_vectors=False), LOSSES, 0)
    cache = GradientCache(scene.encoder, scene.texts, None, bf16=False)
    group = range(2, 4)
    expected = gradients(objective, lambda: plain(scene, objective, schedule, group))
    found = gradients(objective, lambda: cached(objective, schedule, cache, group))
    assert found.keys() == expected.keys() and not [name for name in found if "text_projection" in name]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("processes", [2, 5])  # 4 queries
def test_the_processes_of_a_launch_encode_a_share_each_and_learn_what_one_does(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    schedule = schedule_of(scene, pages_per_batch=3)
    objective = Objective(scene.network(), LOSSES, 0, scene.tables)
    cache = GradientCache(scene.encoder, scene.texts, objective.tables, bf16=False)
    launch = Launch(monkeypatch, processes, depth=3)  # means of losses, gradients of vectors, gradients of parameters
    monkeypatch.setattr("prectr.rank.training.gradient_cache.sum_of_all", launch.sum_of_all)
    group = range(schedule.num_warmup, schedule.num_warmup + 2)
    assert_parts_make_the_whole(launch, lambda: gradients(objective, lambda: cached(objective, schedule, cache, group)))
