"""Both stages in two processes on loopback: what one process learns; and what is left when one of the two is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import BertConfig, BertModel

from prectr.data.__main__ import main as data_main
from prectr.data.contract import read_table
from prectr.distill.models.random_models import random_text_encoder
from prectr.shared.run.checkpoints import latest_checkpoint
from tests.shared.run.processes import ROOT, end, launched, processes_of

RANK = ["--profile", "smoke", "--dropout", "0", "--epochs", "6", "--save_steps", "3", "--position_debias", "true"]
STUDENTS = ("hidden_states", "distilled", "sft")
PATIENCE = 300.0  # seconds to the first checkpoint, on a machine that does much else

pytestmark = pytest.mark.slow


def where(artifacts: Path) -> list[str]:
    return ["--artifacts", str(artifacts)]


def distill(home: Path) -> list[str]:
    return ["--profile", "smoke", "--init_from", str(home / "start")]


def in_one(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def in_two(log: Path, *command: str) -> None:
    launcher = launched(*command, log=log)
    try:
        assert launcher.wait(timeout=900) == 0, log.read_text()
    finally:
        end(launcher)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested results but what tells of the run alone."""
    if isinstance(value, dict):
        for key, inner in value.items():
            told_of_one = ("seconds", "runtime", "grad_norm", "latency", "encoder_share")
            if key not in told_of_one and not key.endswith(("_runtime", "_per_second")):
                yield from numbers(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(inner, f"{name}[{index}]")
    elif isinstance(value, int | float):
        yield name, float(value)


def assert_close(one: Any, other: Any, digits: float) -> None:
    found, expected = dict(numbers(other)), dict(numbers(one))
    assert found.keys() == expected.keys() and len(found) > 10
    far = {name: (value, found[name]) for name, value in expected.items() if abs(found[name] - value) > digits}
    assert far == {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one/` with both stages run by a single process; the text encoders have no dropout."""
    home = tmp_path_factory.mktemp("launched")
    data_main(["build", "--profile", "smoke", *where(home / "one")])
    texts = read_table(home / "one" / "toy" / "data", "items", ["text"])["text"].to_pylist()
    random_text_encoder(home / "start", texts, seed=0)
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 3}
    BertModel(BertConfig.from_pretrained(home / "start", **without)).save_pretrained(home / "start")
    shutil.copytree(home / "one", home / "two")
    in_one("-m", "distill", "run", *distill(home), *where(home / "one"))
    shutil.copytree(home / "one", home / "rank")
    in_one("-m", "rank", "run", *RANK, *where(home / "one"))
    return home


@pytest.fixture(scope="module")
def ranked(home: Path) -> Path:
    """Stage two run by two processes, on what a single one left of stage one."""
    in_two(home / "rank.log", "-m", "rank", "run", *RANK, *where(home / "rank"))
    return home / "rank" / "toy" / "ranker"


def assert_distilled_alike(home: Path) -> None:
    """Students and figures of `two`, by several processes, are those of `one`."""
    one, two = home / "one" / "toy", home / "two" / "toy"
    for student in STUDENTS:
        for name in ("model.safetensors", "level_head/model.safetensors"):
            expected, found = (load_file(folder / "student" / student / name) for folder in (one, two))
            for weight, value in expected.items():
                assert np.allclose(found[weight], value, atol=1e-3), (student, weight)
    figures = ("student", "teacher", "temperature")
    expected, found = ({key: read(each / "encoder" / "metrics.json")[key] for key in figures} for each in (one, two))
    assert_close(expected, found, 1e-3)


def test_two_processes_distil_what_one_does(home: Path) -> None:
    in_two(home / "two.log", "-m", "distill", "run", *distill(home), *where(home / "two"))
    assert_distilled_alike(home)


def test_two_processes_rank_what_one_does(home: Path, ranked: Path) -> None:
    one = home / "one" / "toy" / "ranker"
    assert_close(read(one / "training_log.json"), read(ranked / "training_log.json"), 1e-3)
    assert_close(read(one / "metrics.json"), read(ranked / "metrics.json"), 1e-3)


@pytest.mark.parametrize("victim", [0, 1])
def test_killing_one_ends_both_and_the_same_command_goes_on(
    home: Path, ranked: Path, tmp_path: Path, victim: int
) -> None:
    artifacts, log = tmp_path / "artifacts", tmp_path / "log"
    shutil.copytree(home / "rank", artifacts, ignore=shutil.ignore_patterns("trained", "ranker", "*.lock"))
    command = ["-m", "rank", "run", *RANK, *where(artifacts)]
    launcher = launched(*command, log=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not checkpoint(artifacts):
            assert launcher.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        pids = processes_of(launcher)
        os.kill(pids[victim], signal.SIGKILL)
        killed = time.monotonic()
        assert launcher.wait(timeout=60) != 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() - killed < 60
    finally:
        end(launcher)
    # Behind it the launcher prints a report of its own.
    ours = [line for line in log.read_text().splitlines() if line.startswith("Process ")]
    assert len(ours) == 1, log.read_text()
    cause = f"Process {victim} of the 2 of this launch died: run the same command again (… -m rank run --profile smoke"
    assert ours[0].startswith(cause) and "; training goes on from checkpoint " in ours[0], ours
    assert not (artifacts / "toy" / "ranker").exists()
    in_two(log, *command)
    assert_close(read(ranked / "metrics.json"), read(artifacts / "toy" / "ranker" / "metrics.json"), 1e-6)


def checkpoint(artifacts: Path) -> str | None:
    folders = (artifacts / "toy").glob(".trained*/checkpoints")
    return next(filter(None, map(latest_checkpoint, folders)), None)
