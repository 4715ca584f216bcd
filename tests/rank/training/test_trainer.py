"""Training: one schedule, resumed where it was killed; its own learning rate for the encoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prectr.rank.config import HistoryArguments, LossArguments, TrainArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import prepare
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.text_tables import with_texts
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.gradient_cache import GradientCache
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.trainer import RankTrainer, parameter_groups, train
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import set_seed
from tests.rank.history.toy_level_prob import toy_shop
from tests.rank.random_network import tables_of
from tests.shared.encoder.tiny_encoder import tiny_encoder

ARGUMENTS = TrainArguments(
    bf16=False,
    save_steps=3,
    logging_steps=100,
    learning_rate=1e-2,
    encoder_learning_rate=1e-3,
    batches_per_encoder_step=2,
)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    shop, impressions = toy_shop(tmp_path_factory.mktemp("toy"), seed=5)
    raw = prepare(impressions, shop, HistoryArguments())
    feature_map = FeatureMap.fit(shop.items, raw.impressions, raw.features)
    prepared = raw.finish(feature_map, shop)

    def build(warmup_share: float = 0.2) -> tuple[Objective, BatchSchedule, Texts]:
        set_seed(0)
        encoder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
        config = RankerConfig(
            numeric_names=feature_map.numeric_names,
            categorical_names=feature_map.categorical_names,
            cardinalities=feature_map.cardinalities,
            item_columns=feature_map.item_columns,
            num_levels=4,
            hidden_sizes=[16],
            attention_size=8,
            attention_heads=2,
            text_size=6,
            members=2,
        )
        model = RankerModel(config, encoder)
        events = Events(shop.log, feature_map.transform_items(shop.items), item_text=shop.text_of_item)
        texts = Texts.tokenize(encoder, shop.query_texts, shop.item_texts)
        tables = tables_of(encoder, texts)
        model.start_from(with_texts(sample_batches(prepared, events, 0), tables), 0.1, tables.item)
        number = np.arange(12, dtype=np.int32)
        schedule = BatchSchedule(
            prepared,
            events,
            Replay(number, number, np.eye(4, dtype=np.float32)[number % 4]),
            pages_per_batch=25,
            pages_together=2,
            epochs=1.0,
            warmup_share=warmup_share,
            replay_share=0.2,
            hard_negatives=HardNegatives("toward_neighbour", feature_map),
            seed=0,
        )
        return Objective(model, LossArguments(), 0, tables), schedule, texts

    return build


def weights(objective: Objective) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in objective.state_dict().items()}


def test_a_killed_run_goes_on_and_ends_where_an_undisturbed_one_does(make, tmp_path, monkeypatch):
    objective, schedule, texts = make()
    train(objective, schedule, texts, ARGUMENTS, 0, tmp_path / "undisturbed")
    expected = weights(objective)

    objective, schedule, texts = make()
    compute_loss = RankTrainer.compute_loss

    def killed_at_step_5(self, *args, **kwargs):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return compute_loss(self, *args, **kwargs)

    monkeypatch.setattr(RankTrainer, "compute_loss", killed_at_step_5)
    with pytest.raises(KeyboardInterrupt):
        train(objective, schedule, texts, ARGUMENTS, 0, tmp_path / "killed")
    monkeypatch.undo()
    objective, schedule, texts = make()
    train(objective, schedule, texts, ARGUMENTS, 0, tmp_path / "killed")
    for name, value in weights(objective).items():
        assert torch.equal(value, expected[name]), name
    assert list((tmp_path / "killed" / "runs").glob("events.out.tfevents.*"))
    saved = [int(path.name.split("-")[1]) for path in (tmp_path / "killed" / "checkpoints").iterdir()]
    assert saved and not [step for step in saved if step % 2 and step < len(schedule)], "a group is never cut in two"
    started = weights(make()[0])
    moved = {name for name, value in expected.items() if not torch.equal(value, started[name])}
    assert {"tables.query", "tables.item", "model.text_projection.weight"} <= moved
    assert any("text_encoder.encoder" in name for name in moved)


@pytest.mark.parametrize(("advises", "times"), [(True, 1), (False, 0)])
def test_that_levels_hardly_fall_is_said_once_or_where_it_means_nothing_never(
    make, tmp_path, caplog, monkeypatch, advises, times
):
    monkeypatch.setattr("prectr.rank.training.trainer.MIN_LEVEL_FALL", 99.0)
    train(*make(), replace(ARGUMENTS, logging_steps=2), 0, tmp_path, advises=advises)
    assert sum("expected level falls by" in record.getMessage() for record in caplog.records) == times


@torch.no_grad()
def last_loss(objective: Objective, schedule: BatchSchedule, texts: Texts) -> float:
    batch, cache = schedule[len(schedule) - 1], GradientCache(objective.model.encoder, texts, objective.tables, False)
    cache.open(*schedule.texts_of(range(len(schedule) - 1, len(schedule))))
    cache.fill(batch)
    return objective.eval()(batch)["click"].item()


def test_training_lowers_the_loss(make, tmp_path):
    objective, schedule, texts = make()
    before = last_loss(objective, schedule, texts)
    objective.train()
    train(objective, schedule, texts, ARGUMENTS, 0, tmp_path)
    assert last_loss(objective, schedule, texts) < before


def test_the_encoder_has_its_own_rate_and_its_token_embeddings_rest(make):
    objective, _, _ = make()
    groups = parameter_groups(objective, ARGUMENTS)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    encoder = objective.model.encoder
    assert rates[id(encoder.head.classifier.weight)] == ARGUMENTS.encoder_learning_rate
    assert rates[id(objective.model.base.head)] == ARGUMENTS.learning_rate
    assert id(encoder.text_encoder.get_input_embeddings().weight) not in rates
    assert not any(id(p) in rates for p in objective.exposure_bias.stage_one_classifier.parameters())


def test_a_rate_of_zero_freezes_the_encoder(make):
    objective, _, _ = make(warmup_share=0.0)
    arguments = TrainArguments(bf16=False, encoder_learning_rate=0.0, warmup_share=0.0)
    trained = {id(p) for group in parameter_groups(objective, arguments) for p in group["params"]}
    encoder = list(objective.model.encoder.parameters())
    assert not any(p.requires_grad or id(p) in trained for p in encoder)
    assert id(objective.model.text_projection.weight) in trained
    assert arguments.frozen_throughout, "no batch then asks the gradient cache for a step"


def test_a_frozen_encoder_cannot_be_warmed_up():
    with pytest.raises(PrectrError, match="warmup_share: 0"):
        TrainArguments(encoder_learning_rate=0.0)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_text_encoder_takes_one_step_a_group_and_everything_else_one_a_batch(make, tmp_path, monkeypatch, size):
    objective, schedule, texts = make()
    seen: dict[str, list[torch.Tensor]] = {"text": [], "head": [], "base": []}
    compute_loss = RankTrainer.compute_loss

    def watched(self, *args, **kwargs):
        model = self.objective.model
        layer = model.encoder.text_encoder.encoder.layer[0].output.dense
        for name, part in (("text", layer), ("head", model.encoder.head.classifier), ("base", model.first_layer)):
            seen[name].append(part.weight.detach().clone())
        return compute_loss(self, *args, **kwargs)

    monkeypatch.setattr(RankTrainer, "compute_loss", watched)
    train(objective, schedule, texts, replace(ARGUMENTS, batches_per_encoder_step=size), 0, tmp_path)
    steps = range(2, len(schedule))  # the first step of all has a learning rate of 0
    moved = {
        name: [step for step in steps if not torch.equal(values[step], values[step - 1])]
        for name, values in seen.items()
    }
    assert len(seen["text"]) == len(schedule) > 3 * size
    assert moved["text"] == [step for step in steps if step % size == 0]
    assert moved["head"] == list(steps)
    assert moved["base"] == [step for step in steps if step > schedule.num_warmup]


def test_groups_lie_between_multiples_and_hold_no_batch_of_the_frozen_passes(make):
    _, schedule, _ = make()
    end = len(schedule)
    assert list(schedule.group(0, 4)) == list(schedule.group(3, 4)) == [0, 1, 2, 3]
    assert schedule.group(end - 1, 1000) == range(end)
    schedule.num_frozen = 3
    assert schedule.group(3, 2) == range(3, 4) and schedule.group(3, 8) == range(3, min(8, end))
    assert schedule.group(4, 2) == range(4, 6)


def test_the_texts_of_a_group_are_those_of_its_batches(make):
    _, schedule, _ = make()
    numbers = range(schedule.num_warmup - 1, schedule.num_warmup + 2)
    for found, name in zip(schedule.texts_of(numbers), ("pair_queries", "pair_items"), strict=True):
        expected = np.unique(np.concatenate([schedule[number][name].numpy() for number in numbers]))
        np.testing.assert_array_equal(found, expected)
