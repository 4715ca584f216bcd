"""Training: one schedule, resumed where it was killed; its own learning rate for the encoder."""

import numpy as np
import pytest
import torch

from prectr.rank.config import HistoryArguments, LossArguments, TrainArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import prepare
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.trainer import RankTrainer, parameter_groups, train
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import set_seed
from tests.rank.history.toy_level_prob import toy_shop
from tests.shared.encoder.tiny_encoder import tiny_encoder

ARGUMENTS = TrainArguments(bf16=False, save_steps=3, logging_steps=100, learning_rate=1e-2, encoder_learning_rate=1e-3)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    shop, impressions = toy_shop(tmp_path_factory.mktemp("toy"), seed=5)
    raw = prepare(impressions, shop, HistoryArguments())
    feature_map = FeatureMap.fit(shop.items, raw.impressions, raw.features)
    prepared = raw.finish(feature_map, shop)

    def build(warmup_share: float = 0.2) -> tuple[Objective, BatchSchedule]:
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
        )
        model = RankerModel(config, encoder)
        events = Events(shop.log, feature_map.transform_items(shop.items))
        model.start_from(sample_batches(prepared, events, 0), 0.1)
        number = np.arange(12, dtype=np.int32)
        schedule = BatchSchedule(
            prepared,
            events,
            Texts.tokenize(encoder, shop.query_texts, shop.item_texts),
            Replay(number, number, np.eye(4, dtype=np.float32)[number % 4]),
            pages_per_batch=25,
            pages_together=2,
            epochs=1.0,
            warmup_share=warmup_share,
            replay_share=0.2,
            hard_negatives=HardNegatives("toward_neighbour", feature_map),
            seed=0,
        )
        return Objective(model, LossArguments(), seed=0), schedule

    return build


def weights(objective: Objective) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in objective.state_dict().items()}


def test_a_killed_run_goes_on_and_ends_where_an_undisturbed_one_does(make, tmp_path, monkeypatch):
    objective, schedule = make()
    train(objective, schedule, ARGUMENTS, 0, tmp_path / "undisturbed")
    expected = weights(objective)

    objective, schedule = make()
    compute_loss = RankTrainer.compute_loss

    def killed_at_step_5(self, *args, **kwargs):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return compute_loss(self, *args, **kwargs)

    monkeypatch.setattr(RankTrainer, "compute_loss", killed_at_step_5)
    with pytest.raises(KeyboardInterrupt):
        train(objective, schedule, ARGUMENTS, 0, tmp_path / "killed")
    monkeypatch.undo()
    objective, schedule = make()
    train(objective, schedule, ARGUMENTS, 0, tmp_path / "killed")
    for name, value in weights(objective).items():
        assert torch.equal(value, expected[name]), name
    assert list((tmp_path / "killed" / "runs").glob("events.out.tfevents.*"))


def test_training_lowers_the_loss(make, tmp_path):
    objective, schedule = make()
    batch = schedule[len(schedule) - 1]
    before = objective.eval()(batch)["click"].item()
    objective.train()
    train(objective, schedule, ARGUMENTS, 0, tmp_path)
    assert objective.eval()(batch)["click"].item() < before


def test_the_encoder_has_its_own_rate_and_its_token_embeddings_rest(make):
    objective, _ = make()
    groups = parameter_groups(objective, ARGUMENTS)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    encoder = objective.model.encoder
    assert rates[id(encoder.head.classifier.weight)] == ARGUMENTS.encoder_learning_rate
    assert rates[id(objective.model.click_head.weight)] == ARGUMENTS.learning_rate
    assert id(encoder.text_encoder.get_input_embeddings().weight) not in rates
    assert not any(id(p) in rates for p in objective.exposure_bias.stage_one_classifier.parameters())


def test_a_rate_of_zero_freezes_the_encoder(make, tmp_path):
    objective, schedule = make(warmup_share=0.0)
    before = {name: p.clone() for name, p in objective.model.encoder.state_dict().items()}
    arguments = TrainArguments(bf16=False, save_steps=100, encoder_learning_rate=0.0, warmup_share=0.0)
    train(objective, schedule, arguments, 0, tmp_path)
    assert all(torch.equal(p, before[name]) for name, p in objective.model.encoder.state_dict().items())


def test_a_frozen_encoder_cannot_be_warmed_up():
    with pytest.raises(PrectrError, match="warmup_share: 0"):
        TrainArguments(encoder_learning_rate=0.0)
