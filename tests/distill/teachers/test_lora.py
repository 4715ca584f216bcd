"""LoRA: it learns, keeps its best adapter, stops, resumes, and what it leaves can be used again and merged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from safetensors.numpy import load_file

from prectr.distill.config import TeacherArguments
from prectr.distill.models.random_models import random_causal_lm
from prectr.distill.models.sources import find_teacher
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.lora import LabelTokenTrainer, finetune, merge_teacher
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "close", "exact"))
WORDS = "search product match none weak close exact : milk soda red lamp cheap table"
ROWS = [("milk", "milk", 3), ("milk", "lamp", 0), ("lamp", "lamp", 3), ("lamp", "milk", 0)]
ASKED = [(query, text) for query, text, _ in ROWS]


def make_pairs(repeats: int) -> Pairs:
    query, text, level = (np.array(part, dtype=object) for part in zip(*ROWS * repeats, strict=True))
    return Pairs(query, text, level.astype(np.int64))


GOLD, VALIDATION = make_pairs(8), make_pairs(1)


def settings(**changes: Any) -> TeacherArguments:
    chosen = {"teacher_epochs": 4, "teacher_batch_size": 8, "teacher_learning_rate": 1e-2, "lora_rank": 4}
    return TeacherArguments(**chosen | {"teacher_dtype": "float32"} | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    random_causal_lm(folder, [WORDS], seed=0)
    return folder


@pytest.fixture(scope="module")
def learnt(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """An adapter's folder, and the log-odds before and after."""
    work = tmp_path_factory.mktemp("adapter")
    teacher = open_teacher(folder)
    before = teacher.score(ASKED).log_odds
    finetune(teacher, GOLD, VALIDATION, settings(), seed=0, work=work)
    return work, before, teacher.score(ASKED).log_odds


def open_teacher(folder: Path, adapter: Path | None = None) -> CausalTeacher:
    return CausalTeacher(
        str(folder), PROMPT, query_tokens=8, item_tokens=32, adapter=adapter, dtype="float32", batch_size=4
    )


@pytest.fixture
def evaluations() -> Iterator[list[tuple[int, float]]]:
    """(step, loss) of every validation."""
    found: list[tuple[int, float]] = []
    evaluate = LabelTokenTrainer.evaluate

    def noted(self: LabelTokenTrainer, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = evaluate(self, *args, **kwargs)
        found.append((self.state.global_step, metrics["eval_loss"]))
        return metrics

    with patch.object(LabelTokenTrainer, "evaluate", noted):
        yield found


def loss(teacher: CausalTeacher, pairs: Pairs) -> float:
    log_odds = teacher.score(list(zip(pairs.query, pairs.item_text, strict=True))).log_odds
    return float(-log_odds[np.arange(len(pairs)), pairs.level].mean())


def test_it_learns_and_the_adapter_opens_with_the_same_judgement(
    folder: Path, learnt: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    work, before, after = learnt
    gold = np.arange(4), VALIDATION.level
    assert np.exp(after[gold]).mean() > np.exp(before[gold]).mean() + 0.1
    np.testing.assert_allclose(open_teacher(folder, adapter=work).score(ASKED).log_odds, after, atol=1e-4)
    assert not list(work.rglob("pytorch_model.bin"))


def test_it_stops_when_validation_gains_nothing_and_keeps_the_best_adapter(
    folder: Path, tmp_path: Path, evaluations: list[tuple[int, float]]
) -> None:
    # Levels that are never trained on, so that every step makes validation worse.
    wrong = Pairs(VALIDATION.query, VALIDATION.item_text, np.array([1, 2, 1, 2]))
    arguments = settings(teacher_epochs=15, teacher_evaluations=15, teacher_patience=2)
    finetune(open_teacher(folder), GOLD, wrong, arguments, seed=0, work=tmp_path)
    losses = [found for _, found in evaluations]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 2 < 15
    kept = loss(open_teacher(folder, adapter=tmp_path), wrong)
    assert kept == pytest.approx(losses[best], abs=1e-4) and kept < losses[-1] - 0.01


def test_a_killed_training_continues_and_ends_in_the_same_adapter(
    folder: Path, tmp_path: Path, evaluations: list[tuple[int, float]]
) -> None:
    arguments = settings(teacher_evaluations=3)
    finetune(open_teacher(folder), GOLD, VALIDATION, arguments, seed=0, work=tmp_path / "whole")
    whole = list(evaluations)
    # 16 steps, as many validations as were asked for, the last state's among them.
    assert [at for at, _ in whole] == [6, 12, 16]
    evaluations.clear()
    step = LabelTokenTrainer.training_step
    steps = iter(range(100))

    def killed(self: LabelTokenTrainer, *args: Any, **kwargs: Any) -> Any:
        if next(steps) == 10:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with patch.object(LabelTokenTrainer, "training_step", killed), pytest.raises(KeyboardInterrupt):
        finetune(open_teacher(folder), GOLD, VALIDATION, arguments, seed=0, work=tmp_path / "killed")
    finetune(open_teacher(folder), GOLD, VALIDATION, arguments, seed=0, work=tmp_path / "killed")
    assert [at for at, _ in evaluations] == [at for at, _ in whole]
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "killed"))
    for name, weight in one.items():
        np.testing.assert_allclose(other[name], weight, atol=1e-5)


def test_the_merged_teacher_is_an_ordinary_folder_with_the_same_judgement(
    folder: Path, tmp_path: Path, learnt: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    work, _, after = learnt
    output = tmp_path / "merged"
    merge_teacher(str(folder), work, output, "float32")
    assert find_teacher(str(output)).kind == "folder"
    np.testing.assert_allclose(open_teacher(output).score(ASKED).log_odds, after, atol=1e-4)
    assert not list(output.glob("adapter*")) and [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_nothing_is_merged_over_what_is_there(
    folder: Path, tmp_path: Path, learnt: tuple[Path, np.ndarray, np.ndarray]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(PrectrError, match="is there already"):
        merge_teacher(str(folder), learnt[0], tmp_path, "float32")
    with pytest.raises(PrectrError, match="adapter_config.json is not there"):
        merge_teacher(str(folder), tmp_path, tmp_path / "new", "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_adapter_of_a_model_of_another_name_is_reported_and_used(
    folder: Path, tmp_path: Path, learnt: tuple[Path, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    work, _, after = learnt
    open_teacher(folder, adapter=work)
    assert capsys.readouterr().out == ""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((work / name).read_bytes())
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "org/other"}))
    np.testing.assert_allclose(open_teacher(folder, adapter=tmp_path).score(ASKED).log_odds, after, atol=1e-4)
    assert "trained on org/other" in capsys.readouterr().out


def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, learnt: tuple[Path, np.ndarray, np.ndarray], folder: Path
) -> None:
    config = json.loads((learnt[0] / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))
    (tmp_path / "adapter_model.safetensors").write_bytes((learnt[0] / "adapter_model.safetensors").read_bytes())
    with pytest.raises(PrectrError, match="does not fit") as raised:
        open_teacher(folder, adapter=tmp_path)
    assert "\n" not in str(raised.value)
