"""The untrained twin of an encoder: same shape, same words, nothing learnt, the same for the same seed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks.ranker import random_encoder
from benchmarks.ranker.random_encoder import build_random_encoder
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.steps import run_step
from tests.shared.encoder.tiny_encoder import tiny_encoder

TABLES = {
    "impressions": pa.table({"query": ["red", "blue"], "item_id": ["1", "2"], "split": ["train", "train"]}),
    "items": pa.table({"item_id": ["2", "1"], "text": ["blue shoe", "red shoe"]}),
}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(random_encoder, "read_table", lambda data, name, columns: TABLES[name])
    run_step("data", tmp_path / "data", {}, lambda work: None)
    encoder = tiny_encoder(tmp_path / "words")
    run_step("encoder", tmp_path / "encoder", {}, encoder.save_pretrained)
    return tmp_path / "encoder"


def test_it_has_the_shape_of_its_twin_and_none_of_its_weights(trained: Path) -> None:
    for seed in (5, 6):
        build_random_encoder(trained, trained.parent / "data", seed, trained.parent / f"seed{seed}")
    folders = (trained, trained.parent / "seed5", trained.parent / "seed6")
    ours, one, other = (LevelEncoder.from_pretrained(folder) for folder in folders)
    weights = {name: weight for name, weight in one.named_parameters() if weight.ndim > 1}
    assert one.config == ours.config and torch.equal(one.idf, ours.idf)
    for name, weight in ours.named_parameters():
        if name in weights:
            assert weight.shape == weights[name].shape and not torch.equal(weight, weights[name])
    probabilities = [encoder.score_pairs(["red"], ["blue shoe"]) for encoder in (ours, one, other)]
    assert not np.allclose(probabilities[1], probabilities[2]) and np.isfinite(probabilities).all()
    again = trained.parent / "again"
    build_random_encoder(trained, trained.parent / "data", 5, again)
    assert np.array_equal(LevelEncoder.from_pretrained(again).score_pairs(["red"], ["blue shoe"]), probabilities[1])
