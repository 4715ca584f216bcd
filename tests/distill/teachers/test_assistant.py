"""A teacher's assistant learns the teacher's labels, judges the same pairs anew, and the student learns from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.distill.__main__ import main as distill_main
from prectr.distill.config import TeacherArguments
from prectr.distill.labelling.job import labels_fingerprint, read_labels
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.assistant import open_assistant, teach_assistant
from prectr.distill.teachers.base import Judgement
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record
from tests.distill.teachers.test_cross_encoder import GOLD, PAIRS, WORDS

ARGUMENTS = TeacherArguments(
    cross_encoder_epochs=1, cross_encoder_learning_rate=1e-2, cross_encoder_batch_size=4, teacher_dtype="float32"
)
SMALL: dict[str, Any] = {
    **{"teacher": "random-cross-encoder", "teacher_pairs": 32, "cross_encoder_epochs": 0.5, "label_pairs": 64},
}
SMALL_STUDENT: dict[str, Any] = {"hidden_state_epochs": 0, "distill_epochs": 0.2, "sft_epochs": 0.1, "num_layers": 1}


def stage_one(artifacts: Path, verb: str, *flags: str) -> Path:
    given = {**SMALL, **(SMALL_STUDENT if verb == "run" else {}), "artifacts": artifacts}
    settings = [f"--{name}={value}" for name, value in given.items()]
    distill_main([verb, "--profile", "smoke", *settings, *flags])
    return artifacts / "toy"


@pytest.fixture(scope="module")
def shop(smoke_artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy shop, labelled by a teacher and by its assistant."""
    artifacts = shutil.copytree(smoke_artifacts, tmp_path_factory.mktemp("artifacts"), dirs_exist_ok=True)
    return stage_one(artifacts, "label", "--assistant", "random-cross-encoder")


def test_the_assistant_judges_the_teachers_pairs_anew(shop: Path) -> None:
    (pairs, teachers), (again, assistants) = (read_labels(shop / name) for name in ("labels", "assistant_labels"))
    assert np.array_equal(pairs.keys(), again.keys())
    arguments = TeacherArguments(teacher_dtype="float32")
    asked = list(zip(again.query, again.item_text, strict=True))
    expected = open_assistant(shop / "assistant", arguments, batch_size=32).score(asked)
    assert np.allclose(assistants.log_odds, expected.log_odds, atol=1e-5)
    assert not np.allclose(assistants.log_odds, teachers.log_odds, atol=1e-2)


def test_the_student_learns_from_the_assistant_and_from_the_teacher_without_one(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def learnt_from() -> str:
        return str(read_record(shop / "student" / "distilled").inputs["labels"])

    def report() -> dict[str, Any]:
        found = json.loads((shop / "encoder" / "metrics.json").read_text())
        assert isinstance(found, dict)
        return found

    stage_one(shop.parent, "run", "--assistant", "random-cross-encoder")
    said = capsys.readouterr().out
    assert all(f"✓ {step}: up to date" in said for step in ("teach", "label", "assist", "label again"))
    assert learnt_from() == labels_fingerprint(shop / "assistant_labels")
    assert report()["assistant"]["test"]["n"] == report()["teacher"]["test"]["n"]
    stage_one(shop.parent, "run")
    assert learnt_from() == labels_fingerprint(shop / "labels")
    assert "assistant" not in report() and report()["assistant_source"] == ""


def test_one_that_reads_too_little_is_refused_before_the_teacher_is_asked(shop: Path, tmp_path: Path) -> None:
    random_text_encoder(tmp_path / "short", WORDS, seed=0)
    before = sorted(shop.rglob("*"))
    with pytest.raises(PrectrError, match="reads 128 tokens, not 200; set cross_encoder_length to 128"):
        stage_one(shop.parent, "run", "--assistant", str(tmp_path / "short"), "--cross_encoder_length", "200")
    assert sorted(shop.rglob("*")) == before


def test_it_comes_nearer_to_its_teacher_than_gold_alone_would_bring_it(tmp_path: Path) -> None:
    random_text_encoder(tmp_path / "encoder", WORDS, seed=0)
    pairs = Pairs(*(np.array(part, dtype=object) for part in zip(*PAIRS, strict=True)), np.full(len(PAIRS), -1))
    pairs = pairs.take(np.repeat(np.arange(len(PAIRS)), 20))
    wanted = np.tile([[0.02, 0.02, 0.96]], (len(pairs), 1))
    # Gold says the opposite of these pairs, and is heard for a single step.
    gold = Pairs(GOLD.query, GOLD.item_text, np.zeros(len(GOLD), np.int64))

    def distance(labels: Judgement, name: str) -> float:
        work = tmp_path / name
        work.mkdir()
        few = gold.take(np.arange(4))
        teach_assistant(str(tmp_path / "encoder"), 3, (pairs, labels), few, gold, ARGUMENTS, 0, work)
        found = open_assistant(work, ARGUMENTS, batch_size=4).score(PAIRS).level_prob
        return float(np.abs(found - wanted[: len(PAIRS)]).sum())

    towards, away = Judgement(np.log(wanted)), Judgement(np.log(np.roll(wanted, 1, axis=1)))
    assert distance(towards, "towards") < distance(away, "away") - 0.2
