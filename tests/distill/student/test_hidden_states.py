"""The student's few layers learn the whole encoder's vectors, which are computed once for all passes over the texts."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import Trainer

from prectr.distill.student.hidden_states import (
    StateModel,
    StateSchedule,
    distil_states,
    pad_texts,
    tokenize_texts,
    whole_vectors,
)
from prectr.shared.encoder.level_encoder import EncoderConfig, LevelEncoder
from prectr.shared.seeds import set_seed
from tests.distill.student.loud_encoder import loud_text_encoder

TEXTS = ["red cola", "tea", "soap soap red cola tea soap red cola red", "new cola tea", "tea red", "", "lamp"]
WORDS = ["red", "cola", "tea", "soap", "new", "lamp"]
CONFIG = EncoderConfig(["no", "yes"], query_length=16, item_length=16)
SCHEDULE = StateSchedule(epochs=30, learning_rate=1e-2, batch_size=4, bf16=False, seed=0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    loud_text_encoder(folder, WORDS)
    return folder


def first_layers(source: Path, layers: int) -> LevelEncoder:
    set_seed(0)
    encoder = LevelEncoder.warm_start(source, CONFIG, layers)
    encoder.fit_idf(TEXTS)
    return encoder


def distance(student: LevelEncoder, whole: LevelEncoder) -> float:
    """1 − the cosine of the pooled vectors, mean over texts."""
    ids, mask = (torch.from_numpy(part) for part in student.eval().tokenize(TEXTS, "item").values())
    with torch.no_grad():
        found, wanted = (encoder.eval().encode(ids, mask).pooled for encoder in (student, whole))
    return float(1 - (found * wanted).sum(1).mean())


def test_what_is_stored_is_what_the_whole_encoder_says_text_by_text(source: Path, tmp_path: Path) -> None:
    whole = first_layers(source, 2)
    rows = tokenize_texts(whole, TEXTS)
    data = whole_vectors(whole, rows, tmp_path / "whole.arrow", bf16=False)
    for row, ids in enumerate(rows):
        with torch.no_grad():
            alone = whole.encode(torch.from_numpy(ids)[None], torch.ones(1, len(ids)))
        contextual = data[row]["contextual"].reshape(len(ids), -1)
        np.testing.assert_allclose(contextual, alone.contextual[0].numpy(), atol=1e-3)
        np.testing.assert_allclose(data[row]["pooled"], alone.pooled[0].numpy(), atol=1e-3)


def test_the_loss_is_that_of_its_formula_and_padding_does_not_count(source: Path, tmp_path: Path) -> None:
    student, whole = first_layers(source, 1).eval(), first_layers(source, 2)
    rows = tokenize_texts(student, TEXTS)
    data = whole_vectors(whole, rows, tmp_path / "whole.arrow", bf16=False)
    with torch.no_grad():
        loss = StateModel(student)(**pad_texts([data[row] for row in range(len(TEXTS))]))["loss"]
        away, weights, pooled = [], [], []
        for ids in map(torch.from_numpy, rows):
            found, wanted = (encoder.encode(ids[None], torch.ones(1, len(ids))) for encoder in (student, whole))
            away.append(1 - F.cosine_similarity(found.contextual[0], wanted.contextual[0], dim=-1))
            weights.append(student.idf[ids.long()])
            pooled.append(1 - F.cosine_similarity(found.pooled[0], wanted.pooled[0], dim=-1))
    weight = torch.cat(weights)
    expected = (torch.cat(away) * weight).sum() / weight.sum() + torch.stack(pooled).mean()
    assert float(loss) == pytest.approx(float(expected), abs=1e-3)


def test_the_student_comes_nearer_and_a_killed_run_ends_as_an_undisturbed_one(source: Path, tmp_path: Path) -> None:
    whole, before = first_layers(source, 2), first_layers(source, 1)
    calm, killed = first_layers(source, 1), first_layers(source, 1)
    distil_states(calm, first_layers(source, 2), TEXTS, SCHEDULE, tmp_path / "calm")
    assert distance(calm, whole) < 0.5 * distance(before, whole)
    save = Trainer._save_checkpoint

    def save_and_die(trainer: Trainer, *rest: object) -> None:
        save(trainer, *rest)
        raise KeyboardInterrupt

    with patch.object(Trainer, "_save_checkpoint", save_and_die), pytest.raises(KeyboardInterrupt):
        distil_states(killed, first_layers(source, 2), TEXTS, SCHEDULE, tmp_path / "killed")
    again, whole_again = first_layers(source, 1), first_layers(source, 2)
    with patch.object(whole_again, "encode", side_effect=AssertionError("computed twice")):
        distil_states(again, whole_again, TEXTS, SCHEDULE, tmp_path / "killed")
    for name, weights in again.state_dict().items():
        torch.testing.assert_close(weights, calm.state_dict()[name], atol=1e-6, rtol=0)
