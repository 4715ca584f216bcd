"""Both stages trained by Ray Train on loopback: what one process learns, also where one of two is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shared.run.processes import ROOT, end
from tests.test_launched import (
    PATIENCE,
    RANK,
    STUDENTS,
    assert_close,
    assert_distilled_alike,
    checkpoint,
    distill,
    read,
    where,
)
from tests.test_launched import home as home  # a fixture

pytest.importorskip("ray.train")
pytestmark = pytest.mark.slow

ON_RAY = ["--engine", "ray"]


def on_ray(log: Path, *command: str) -> subprocess.Popen[bytes]:
    """A command that starts a cluster of two processors."""
    environment = {**os.environ, "RAY_OVERRIDE_RESOURCES": '{"CPU": 2}', "RAY_ADDRESS": ""}
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, *command, *ON_RAY],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env=environment,
        )


def run(log: Path, *command: str) -> str:
    running = on_ray(log, *command)
    try:
        assert running.wait(timeout=900) == 0, log.read_text()
    finally:
        end(running)
    return log.read_text()


def trainers() -> list[int]:
    """The processes of this machine that Ray Train trains in."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"RayTrainWorker" in process.read_bytes():
                found.append(int(process.parent.name))
        except OSError:
            pass
    return sorted(found)


def test_two_processes_of_a_cluster_distil_what_one_does(home: Path) -> None:
    printed = run(home / "ray.log", "-m", "distill", "run", *distill(home), *where(home / "two"))
    assert printed.count("training in 2 processes of the Ray cluster") == len(STUDENTS), printed
    assert_distilled_alike(home)


def test_two_processes_of_a_cluster_rank_what_one_does_and_a_killed_one_is_replaced(home: Path, tmp_path: Path) -> None:
    one = home / "one" / "toy" / "ranker"
    shutil.copytree(home / "rank", tmp_path / "artifacts")
    command = ["-m", "rank", "run", *RANK, *where(home / "rank")]
    printed = run(home / "ray.log", *command)
    assert "training in 2 processes of the Ray cluster" in printed and "step" in printed
    undisturbed = home / "rank" / "toy" / "ranker"
    assert_close(read(one / "training_log.json"), read(undisturbed / "training_log.json"), 1e-3)
    assert_close(read(one / "metrics.json"), read(undisturbed / "metrics.json"), 1e-3)
    assert not list((home / "rank" / "toy" / "trained").glob(".*"))

    artifacts, log = tmp_path / "artifacts", tmp_path / "log"
    running = on_ray(log, "-m", "rank", "run", *RANK, *where(artifacts))
    try:
        deadline = time.monotonic() + PATIENCE
        while not checkpoint(artifacts):
            assert running.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        killed = trainers()
        assert len(killed) == 2
        os.kill(killed[1], signal.SIGKILL)
        assert running.wait(timeout=900) == 0, log.read_text()
    finally:
        end(running)
    assert "from step" in log.read_text()
    again = artifacts / "toy" / "ranker"
    assert_close(read(undisturbed / "training_log.json"), read(again / "training_log.json"), 1e-6)
    assert_close(read(undisturbed / "metrics.json"), read(again / "metrics.json"), 1e-6)
