"""Passes in which the text encoder is frozen: the same states from stored features, and what learns when."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prectr.rank.config import TrainArguments
from prectr.rank.inputs.frozen_text import PairFeatures, distinct_pairs, write_pair_features
from prectr.rank.inputs.replay import Replay
from prectr.rank.model.predictor import Predictor
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.schedule import BatchSchedule
from prectr.shared.errors import PrectrError
from tests.rank.random_network import Scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def replay() -> Replay:
    number = np.arange(3, dtype=np.int32)
    return Replay(number, number + 1, np.eye(4, dtype=np.float32)[number])


@pytest.fixture(scope="module")
def features(scene: Scene, replay: Replay, tmp_path_factory: pytest.TempPathFactory) -> PairFeatures:
    query, item = (
        np.concatenate([getattr(part, side) for part in (scene.prepared, replay)])
        for side in ("query_text", "item_text")
    )
    return stored_features(scene, query, item, tmp_path_factory.mktemp("features") / "pair_features.npy")


def stored_features(scene: Scene, query: np.ndarray, item: np.ndarray, path: Path) -> PairFeatures:
    num_items = len(scene.texts.item["input_ids"])
    pairs = distinct_pairs([(query, item)], num_items)
    write_pair_features(scene.encoder, scene.texts, pairs, path, bf16=False)
    return PairFeatures(pairs, np.load(path), num_items)


@pytest.fixture
def schedule(scene: Scene, replay: Replay, features: PairFeatures):
    def make(frozen: float, epochs: float, stored: PairFeatures | None = features) -> BatchSchedule:
        return BatchSchedule(
            scene.prepared,
            scene.events(scene.shop),
            replay,
            pages_per_batch=4,
            pages_together=2,
            frozen_epochs=frozen,
            features=stored,
            epochs=epochs,
            warmup_share=0.34,
            replay_share=0.2,
            hard_negatives=HardNegatives("toward_neighbour", scene.feature_map),
            seed=0,
        )

    return make


def test_a_resting_encoder_says_what_it_would_have_said(scene: Scene, schedule) -> None:
    frozen, awake = schedule(1, 0)[1], schedule(0, 1)[2]  # the second batch of either, behind one of warm-up
    assert "pair_items" not in frozen and "pair_features" not in awake
    assert torch.equal(frozen["row"], awake["row"])
    with torch.inference_mode():
        from_features, from_texts = (
            scene.model.relevance_states(batch)[batch["pair"]] for batch in (frozen, scene.encode(awake))
        )
    assert torch.allclose(from_features, from_texts, atol=1e-5)


def test_it_rests_first_then_the_level_module_warms_up_then_all_learns(schedule) -> None:
    run = schedule(2, 1)
    kinds = ["rest" if "pair_features" in each else "all" if "numeric" in each else "warm up" for each in run]
    assert kinds == ["rest"] * 6 + ["warm up"] + ["all"] * 3
    rows = [each["row"] for each in run if "row" in each]
    passes = [torch.cat(rows[start : start + 3]).sort().values for start in (0, 3, 6)]
    assert all(torch.equal(each, torch.arange(48)) for each in passes), "a pass shows every impression once"


def test_the_text_encoder_learns_in_no_resting_batch(scene: Scene, schedule) -> None:
    model = scene.network()
    batch = schedule(1, 0)[0]
    scene.tables.fill(batch)
    model(batch)["score"].sum().backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert not [name for name in moved if name.startswith(("encoder.text_encoder", "encoder.projection"))]
    assert {"base.head", "text_projection.weight", "encoder.head.hidden.weight"} <= moved


def test_features_are_those_of_the_distinct_pairs(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, item = scene.prepared.query_text, scene.prepared.item_text
    stored = stored_features(scene, query, item, tmp_path / "pair_features.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["pair_features.npy"]
    assert len(stored.values) == len(set(zip(query.tolist(), item.tolist(), strict=True)))
    monkeypatch.setattr("prectr.rank.inputs.frozen_text.PAIRS_AT_ONCE", 3)
    monkeypatch.setattr("prectr.rank.inputs.frozen_text.ROWS_AT_ONCE", 5)
    in_parts = stored_features(scene, query, item, tmp_path / "in_parts.npy")
    assert np.array_equal(in_parts.pairs, stored.pairs)
    np.testing.assert_allclose(in_parts.values, stored.values, atol=1e-5)
    values, place = stored.rows(query[:5], item[:5])
    assert values.shape[1] == len(scene.encoder.head.shift) and place.max() == len(values) - 1


def test_what_is_stored_is_judged_as_the_texts_are(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, events = scene.prepared, scene.events(scene.shop)
    stored = stored_features(scene, prepared.query_text, prepared.item_text, tmp_path / "pair_features.npy")
    read: list[int] = []
    rows = PairFeatures.rows
    monkeypatch.setattr(PairFeatures, "rows", lambda self, *texts: read.append(len(texts[0])) or rows(self, *texts))
    predictor = Predictor(scene.model, stored, events, bf16=False, tables=scene.tables)
    for name, expected in scene.predict(prepared).items():
        # The stored vectors are float16, whose rounding a narrow kernel sees.
        np.testing.assert_allclose(predictor.predict(prepared, 20)[name], expected, atol=1e-3)
    assert read == [48], "the pairs of one set are read once, however often it is scored"
    predictor.predict(prepared.take(np.arange(4)), 20)
    assert read == [48, 4]


def test_a_frozen_encoder_rests_throughout() -> None:
    frozen = TrainArguments(encoder_learning_rate=0, warmup_share=0, frozen_epochs=1, epochs=2)
    assert frozen.passes == (3, 0)
    assert replace(frozen, encoder_learning_rate=1e-4).passes == (1, 2)


@pytest.mark.parametrize(("frozen", "epochs"), [(0.0, 0.0), (-1.0, 2.0), (2.0, -1.0)])
def test_no_passes_are_refused(frozen: float, epochs: float) -> None:
    with pytest.raises(PrectrError, match="epochs: found -[12].0|epochs are both 0"):
        TrainArguments(frozen_epochs=frozen, epochs=epochs)
