"""A run killed with `kill -9` at any moment, and started again, ends in the figures of one that nobody disturbed."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.shared.run.checkpoints import latest_checkpoint

ROOT = Path(__file__).parents[3]
SETTINGS = ["--profile", "smoke", "--epochs", "6", "--save_steps", "3", "--position_debias", "true"]
TOLD_OF_ONE_RUN = (
    *("seconds", "date", "git_commit", "command"),
    *("latency", "impressions_per_second", "encoder_share"),
)
PATIENCE = 240.0  # seconds to the first checkpoint, on a machine that does much else

pytestmark = pytest.mark.slow


def started(artifacts: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rank", "run", *SETTINGS, "--artifacts", str(artifacts)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(artifacts: Path) -> dict[str, Any]:
    """Run to the end; the figures without what tells of the run alone."""
    run = started(artifacts)
    _, errors = run.communicate()
    assert run.returncode == 0, errors.decode()
    metrics = json.loads((artifacts / "toy" / "ranker" / "metrics.json").read_text(encoding="utf-8"))
    return {name: value for name, value in metrics.items() if name not in TOLD_OF_ONE_RUN}


def checkpoint(artifacts: Path) -> str | None:
    folders = (artifacts / "toy").glob(".trained*/checkpoints")
    return next(filter(None, map(latest_checkpoint, folders)), None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    artifacts = tmp_path_factory.mktemp("undisturbed") / "artifacts"
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    data_main(["build", *where])
    distill_main(["run", *where])
    return artifacts, finished(artifacts)


@pytest.mark.parametrize("kills", [1, 2])
def test_a_run_killed_at_a_random_moment_ends_as_an_undisturbed_one(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, kills: int
) -> None:
    whole, expected = undisturbed
    artifacts = tmp_path / "artifacts"
    shutil.copytree(whole, artifacts, ignore=shutil.ignore_patterns("trained", "ranker", "*.lock"))
    killed_at = []
    for _ in range(kills):
        run, before = started(artifacts), checkpoint(artifacts)
        deadline = time.monotonic() + PATIENCE
        while checkpoint(artifacts) == before and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.SystemRandom().uniform(0, 0.5))
        run.kill()
        run.communicate()
        killed_at.append(checkpoint(artifacts))
        assert killed_at[-1] and run.returncode == -9, "the run ended before it could be killed"
    assert not (artifacts / "toy" / "ranker").exists()
    assert finished(artifacts) == expected, killed_at
    one, other = (pq.read_table(where / "toy" / "ranker" / "predictions.parquet") for where in (whole, artifacts))
    assert one.equals(other), killed_at
