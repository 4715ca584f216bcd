"""Several processes: the gradients of a batch's parts are together those of the whole batch, in every training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prectr.distill.pairs import Pairs
from prectr.distill.student.hidden_states import StateModel, pad_texts, tokenize_texts, whole_vectors
from prectr.distill.student.model import PairDataset, SoftTarget, StudentModel
from prectr.distill.teachers.base import Judgement
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.training.whole_batch import part, part_of_groups
from tests.shared.encoder.tiny_encoder import tiny_encoder
from tests.shared.run.launched import Launch, assert_parts_make_the_whole, gradients

TEXTS = ["red cola", "tea", "soap soap red", "new cola tea", "query", "tea red", "cola"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
LEVELS = ["none", "weak", "exact"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> LevelEncoder:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"), LEVELS, words=WORDS)


@pytest.fixture(params=[2, 3])
def launch(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Launch:
    return Launch(monkeypatch, request.param)


def pairs() -> Pairs:
    query, item = (np.array(texts, object) for texts in (TEXTS, TEXTS[::-1]))
    return Pairs(query, item, np.arange(len(TEXTS)) % len(LEVELS))


@pytest.mark.parametrize("taught", [True, False])
def test_parts_of_pairs(encoder: LevelEncoder, launch: Launch, taught: bool, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shape = (len(TEXTS), len(LEVELS))
    judgement = Judgement(
        draw.normal(size=shape).astype(np.float32), draw.normal(size=(len(TEXTS), 5)).astype(np.float16)
    )
    torch.manual_seed(0)
    model = StudentModel(encoder, SoftTarget(2.0, 0.5, 5) if taught else None)
    data = PairDataset(encoder, pairs(), tmp_path, judgement if taught else None)

    def work() -> dict[str, torch.Tensor]:
        return gradients(model, lambda: model(**data.__getitems__(part([6, 0, 3, 1, 5])))["loss"])

    assert_parts_make_the_whole(launch, work)


def test_parts_of_queries(encoder: LevelEncoder, launch: Launch, tmp_path: Path) -> None:
    few = np.array(["red cola", "tea", "soap", "tea", "red cola", "tea", "soap"], object)
    learnt = Pairs(few, np.array(TEXTS[::-1], object), np.arange(7) % 3)
    data, model = PairDataset(encoder, learnt, tmp_path), StudentModel(encoder, order_weight=2.0)
    seen: list[list[int]] = []

    def work(rows: list[int]) -> dict[str, torch.Tensor]:
        seen.append(part_of_groups(rows, data.query))
        return gradients(model, lambda: model(**data.__getitems__(seen[-1]))["loss"])

    assert_parts_make_the_whole(launch, lambda: work([6, 0, 3, 1, 4, 5, 2]))
    # Of two queries there is no part for a third process: each takes the whole batch.
    assert_parts_make_the_whole(launch, lambda: work([6, 3, 1, 5, 2]))
    assert len({tuple(rows) for rows in seen}) > 2, "parts are not the whole"


def test_parts_of_texts(encoder: LevelEncoder, launch: Launch, tmp_path: Path) -> None:
    whole = tiny_encoder(tmp_path, LEVELS, words=WORDS, seed=3)
    encoder.idf.copy_(torch.where(encoder.idf > 0, torch.linspace(1, 3, len(encoder.idf)), 0.0))
    rows = tokenize_texts(encoder, TEXTS)
    model, data = StateModel(encoder), whole_vectors(whole, rows, tmp_path / "whole.arrow", bf16=False)

    def work() -> dict[str, torch.Tensor]:
        return gradients(model, lambda: model(**pad_texts([data[row] for row in part([6, 0, 3, 1, 2])]))["loss"])

    assert_parts_make_the_whole(launch, work)
