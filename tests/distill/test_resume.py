"""Stage one, killed with `kill -9` in each of its trainings and started again, ends in the weights of a calm run."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prectr.data.__main__ import main as data_main
from prectr.shared.run.checkpoints import latest_checkpoint

ROOT = Path(__file__).parents[2]
TRAININGS = ("teacher", "student/distilled", "student/sft")
PATIENCE = 300.0  # seconds to a checkpoint, on a machine that does much else

pytestmark = pytest.mark.slow


def started(artifacts: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distill", "run", "--profile", "smoke", "--artifacts", str(artifacts)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(artifacts: Path) -> dict[str, bytes]:
    """Run to the end; the weights of every student and what the teacher learnt."""
    run = started(artifacts)
    _, errors = run.communicate()
    assert run.returncode == 0, errors.decode()
    home = artifacts / "toy"
    files = [path for name in ("teacher", "student", "encoder") for path in (home / name).rglob("*.safetensors")]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def checkpoint(artifacts: Path, training: str) -> str | None:
    folder = artifacts / "toy" / training
    works = (work / "checkpoints" for work in folder.parent.glob(f".{folder.name}.*.part"))
    return next(filter(None, map(latest_checkpoint, works)), None)


def test_killed_in_every_training_it_ends_in_the_undisturbed_weights(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    data_main(["build", "--profile", "smoke", "--artifacts", str(whole)])
    shutil.copytree(whole, killed)
    expected = finished(whole)
    assert {"student/sft/model.safetensors", "teacher/adapter_model.safetensors"} <= expected.keys()
    for training in TRAININGS:
        run, deadline = started(killed), time.monotonic() + PATIENCE
        while not checkpoint(killed, training):
            assert run.poll() is None and time.monotonic() < deadline, training
            time.sleep(0.005)
        run.kill()
        run.communicate()
        assert run.returncode == -signal.SIGKILL and not (killed / "toy" / training).exists(), training
    found = finished(killed)
    assert found.keys() == expected.keys()
    assert [name for name, weights in expected.items() if found[name] != weights] == []
