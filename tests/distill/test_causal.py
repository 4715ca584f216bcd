"""The teacher's short cut gives what the whole model would, and its passes have one shape."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from distill.causal import CausalTeacher
from distill.config import TeacherArguments
from distill.finetune import finetune
from distill.pairs import Pairs
from distill.prompt import Prompt
from distill.random_models import random_causal_lm

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "close", "exact"))
WORDS = "search product match none weak close exact : milk soda red lamp cheap table"
PAIRS = [("milk", "cheap milk"), ("red lamp", "lamp red table " * 8), ("soda", "milk"), ("table", "")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    random_causal_lm(folder, [WORDS], seed=0)
    return folder


def open_teacher(folder: Path, adapter: Path | None = None, **changes) -> CausalTeacher:
    settings = {"query_tokens": 8, "item_tokens": 32, "bf16": False, "batch_size": 4} | changes
    return CausalTeacher(str(folder), PROMPT, adapter=adapter, **settings)


def test_label_logits_are_those_of_the_whole_model(folder: Path) -> None:
    teacher = open_teacher(folder)
    found = teacher.score(PAIRS)
    for row, pair in enumerate(PAIRS):
        ids = torch.tensor([teacher.prompts(*pair)])
        with torch.no_grad():
            whole = teacher.model.causal_lm(ids).logits[0, -1, teacher.prompts.level_ids].log_softmax(-1)
        np.testing.assert_allclose(found.log_odds[row], whole.numpy(), atol=1e-5)


def test_level_probabilities_sum_to_one_and_states_are_as_wide_as_the_model(folder: Path) -> None:
    judgement = open_teacher(folder).score(PAIRS)
    np.testing.assert_allclose(judgement.level_prob.sum(1), 1, atol=1e-5)
    assert judgement.state is not None and judgement.state.shape == (4, 64)


def test_every_pass_has_the_full_batch_and_a_multiple_of_eight(folder: Path) -> None:
    teacher = open_teacher(folder)
    with patch.object(teacher.model, "forward", wraps=teacher.model.forward) as forward:
        teacher.score(PAIRS * 3)
    shapes = {tuple(call.args[0].shape) for call in forward.call_args_list}
    assert shapes == {(4, 8), (4, 16), (4, 40)}


def test_a_pairs_judgement_does_not_depend_on_its_neighbours(folder: Path) -> None:
    teacher = open_teacher(folder)
    alone = teacher.score([PAIRS[2]])
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds[2], alone.log_odds[0], atol=1e-5)


def test_whatever_changes_a_judgement_changes_the_fingerprint(folder: Path) -> None:
    plain = open_teacher(folder, identity="a").fingerprint
    assert open_teacher(folder, identity="a").fingerprint == plain
    changes = [{"identity": "b"}, {"identity": "a", "item_tokens": 16}, {"identity": "a", "bf16": True}]
    assert len({plain, *(open_teacher(folder, **change).fingerprint for change in changes)}) == 4


def test_lora_learns_and_its_adapter_opens_with_the_same_judgement(folder: Path, tmp_path: Path) -> None:
    teacher = open_teacher(folder)
    rows = [("milk", "milk", 3), ("milk", "lamp", 0), ("lamp", "lamp", 3), ("lamp", "milk", 0)] * 8
    query, text, level = (np.array(part, dtype=object) for part in zip(*rows, strict=True))
    pairs = Pairs(query, text, level.astype(np.int64))
    arguments = TeacherArguments(
        teacher_epochs=4, teacher_batch_size=8, teacher_learning_rate=1e-2, lora_rank=4, teacher_bf16=False
    )
    asked = list(zip(query[:4], text[:4], strict=True))
    gold = np.arange(4), pairs.level[:4]
    before = teacher.score(asked).level_prob[gold]
    finetune(teacher, pairs, pairs.take(np.arange(4)), arguments, seed=0, work=tmp_path)
    after = teacher.score(asked)
    assert after.level_prob[gold].mean() > before.mean() + 0.1
    again = open_teacher(folder, adapter=tmp_path)
    np.testing.assert_allclose(again.score(asked).log_odds, after.log_odds, atol=1e-4)
    assert not list(tmp_path.rglob("pytorch_model.bin"))
