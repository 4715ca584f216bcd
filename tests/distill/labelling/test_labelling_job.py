"""The labelling job as processes: killed at any moment, or several at once, it ends in the same table."""

import multiprocessing
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

from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, read_labels, read_rejected, write_labels
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Pair, Teacher

ROOT = Path(__file__).parents[3]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["prectr.distill.labelling.job"])
SHARD_SIZE = 4

BATCHES = ("--label_batch_size", "4", "--label_shard_batches", "1")
"""Many small shards: there is something to kill."""


class Slow:
    """Takes a while for a pass, says where in its pass a pair stood, and notes what it was asked."""

    fingerprint = "slow"

    def __init__(self, notes: Path, seconds: float) -> None:
        self.notes, self.seconds = notes, seconds

    def padded_length(self, pair: Pair) -> int:
        return 8 * (len(pair[1]) % 3)

    def score(self, pairs: list[Pair]) -> Judgement:  # type: ignore[override]
        time.sleep(self.seconds)
        with open(self.notes, "a") as notes:
            notes.write("".join(f"{query} {text}\n" for query, text in pairs))
        odds = np.array([[len(text), place] for place, (_, text) in enumerate(pairs)], np.float32)
        return Judgement(odds, odds + 1)


def job(size: int = 100) -> Pairs:
    query, text = ([f"{word}{n * step % 997}" for n in range(size)] for word, step in (("q", 7), ("i", 131)))
    return Pairs(np.array(query, object), np.array(text, object), np.full(size, -1))


def work(root: Path, seconds: float, processes: int) -> None:
    """One of `processes`, which begin at the same time, from the plan to the table."""
    (root / f"{os.getpid()}.ready").touch()
    while len(list(root.glob("*.ready"))) < processes:
        time.sleep(0.001)
    cache = LabelCache(root / "label_cache", Slow.fingerprint)
    label(Slow(root / f"{os.getpid()}.notes", seconds), job(), cache, SHARD_SIZE)
    write_labels(root, cache, job(), np.full(len(job()), "logged", object))


def start(root: Path, seconds: float, processes: int = 1) -> multiprocessing.process.BaseProcess:
    root.mkdir(exist_ok=True)
    process = FORKS.Process(target=work, args=(root, seconds, processes))
    process.start()
    return process


def finished(root: Path) -> bytes:
    process = start(root, 0.0)
    process.join()
    assert process.exitcode == 0
    return (root / "labels.parquet").read_bytes()


def written(root: Path) -> int:
    """Shards there are under `root`, of all caches."""
    return len(list(root.rglob("shards/[!.]*.parquet")))


def asked(root: Path) -> list[str]:
    return [line for notes in root.glob("*.notes") for line in notes.read_text().splitlines()]


def test_kills_change_nothing(tmp_path: Path) -> None:
    rng, killed = np.random.default_rng(0), tmp_path / "killed"
    for _ in range(5):
        process = start(killed, 0.01)
        until = written(killed) + rng.integers(0, 4)
        while written(killed) < until:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.join()
    assert 0 < written(killed) < 100 / SHARD_SIZE
    assert finished(killed) == finished(tmp_path / "calm")
    # A kill costs the shard it meets: asked, but not yet written.
    assert len(asked(killed)) <= 100 + 5 * SHARD_SIZE
    assert list(killed.rglob("*.part.parquet")) == []


def test_three_processes_share_the_job_and_one_may_die(tmp_path: Path) -> None:
    together = tmp_path / "together"
    processes = [start(together, 0.1, processes=3) for _ in range(3)]
    while not (at_work := [process for process in processes if (together / f"{process.pid}.notes").exists()]):
        time.sleep(0.01)
    at_work[0].kill()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes if process is not at_work[0]] == [0, 0]
    assert finished(together) == finished(tmp_path / "alone")
    assert len(asked(together)) <= 100 + SHARD_SIZE


# The command itself, with its real steps.


def command(artifacts: Path, *launcher: str) -> list[str]:
    where = ("--profile", "smoke", "--artifacts", str(artifacts))
    return [sys.executable, *launcher, "-m", "distill", "label", *where, *BATCHES]


def run(artifacts: Path, *launcher: str) -> bytes:
    result = subprocess.run(command(artifacts, *launcher), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return table(artifacts)


def table(artifacts: Path) -> bytes:
    return (artifacts / "toy" / "labels" / "labels.parquet").read_bytes()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of one undisturbed process."""
    artifacts = tmp_path_factory.mktemp("calm")
    build = [sys.executable, "-m", "data", "build", "--profile", "smoke", "--artifacts", str(artifacts)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    run(artifacts)
    return artifacts


def taught(calm: Path, target: Path) -> Path:
    """Artifacts as they are before the first label."""
    shutil.copytree(calm, target)
    for folder in ("labels", "label_cache"):
        shutil.rmtree(target / "toy" / folder)
    return target


ACCELERATE = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")


@pytest.mark.slow
def test_the_command_killed_ten_times_ends_in_the_undisturbed_table(calm: Path, tmp_path: Path) -> None:
    artifacts = taught(calm, tmp_path / "artifacts")
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(command(artifacts), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = written(artifacts) + rng.integers(0, written(calm) // 12)
        while written(artifacts) < until and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.wait()
    assert 0 < written(artifacts) < written(calm)
    assert not (artifacts / "toy" / "labels").exists()
    assert run(artifacts) == table(calm)


@pytest.mark.slow
def test_two_processes_of_accelerate_make_the_table_of_one(calm: Path, tmp_path: Path) -> None:
    artifacts = taught(calm, tmp_path / "artifacts")
    assert run(artifacts, *ACCELERATE) == table(calm)
    assert written(artifacts) == written(calm)


@pytest.mark.slow
def test_of_two_processes_one_teaches_and_both_label(calm: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(calm / "toy" / "data", artifacts / "toy" / "data")
    assert run(artifacts, *ACCELERATE) == table(calm)
    assert (artifacts / "toy" / "teacher" / "step.json").is_file()


@pytest.mark.slow
def test_after_one_of_two_processes_was_killed_a_rerun_ends_in_the_same_table(calm: Path, tmp_path: Path) -> None:
    artifacts = taught(calm, tmp_path / "artifacts")
    launcher = subprocess.Popen(command(artifacts, *ACCELERATE), cwd=ROOT, stderr=subprocess.DEVNULL)
    while written(artifacts) < 3:
        assert launcher.poll() is None
        time.sleep(0.002)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    launcher.wait(timeout=120)
    assert run(artifacts, *ACCELERATE) == table(calm)


@pytest.mark.slow
def test_a_second_terminal_helps(calm: Path, tmp_path: Path) -> None:
    artifacts = taught(calm, tmp_path / "artifacts")
    terminals = [subprocess.Popen(command(artifacts), cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [terminal.wait(timeout=300) for terminal in terminals] == [0, 0]
    assert table(artifacts) == table(calm) and written(artifacts) == written(calm)


class Blind:
    """The taught teacher, except that it cannot judge some pairs."""

    def __init__(self, teacher: Teacher, blind_to: set[Pair]) -> None:
        self.teacher, self.blind_to, self.fingerprint = teacher, blind_to, teacher.fingerprint

    def padded_length(self, pair: Pair) -> int:
        return self.teacher.padded_length(pair)

    def score(self, pairs: list[Pair]) -> Judgement:  # type: ignore[override]
        judgement = self.teacher.score(pairs)
        judgement.log_odds[[pair in self.blind_to for pair in pairs]] = np.nan
        return judgement


@pytest.mark.slow
def test_rejected_pairs_are_asked_again_by_the_same_command(
    calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here: the processes above, which import this file, would each load torch.
    from prectr.distill import pipeline
    from prectr.distill.__main__ import main

    artifacts = taught(calm, tmp_path / "artifacts")
    pairs, _ = read_labels(calm / "toy" / "labels")
    unseen = {(pairs.query[row], pairs.item_text[row]) for row in (3, 200)}
    open_labeller = pipeline.open_labeller
    monkeypatch.setattr(pipeline, "open_labeller", lambda *arguments: Blind(open_labeller(*arguments), unseen))
    flags = command(artifacts)[3:]
    labels, record = artifacts / "toy" / "labels", artifacts / "toy" / "labels" / "step.json"
    main(flags)
    assert len(read_rejected(labels)) == 2
    before = record.read_text()
    main(flags)
    assert record.read_text() == before, "nothing was gained: what is built on the labels stays"
    monkeypatch.undo()
    main(flags)
    assert len(read_rejected(labels)) == 0 and len(read_labels(labels)[0]) == len(pairs)
    assert record.read_text() != before


class Numbered:
    """An engine that keeps results under the numbers of their parts, as a cluster's driver does; may die early."""

    elsewhere = True

    def __init__(self, dies: bool) -> None:
        self.dies = dies

    def map(self, job: Any, parts: Any, total: int | None = None, kept: Path | None = None) -> Iterator[Any]:
        opened, parts = job.open(), list(parts)
        # The first part is slow: others are done when the driver dies.
        for number in (1, 2, 0, *range(3, len(parts))):
            if number == 0 and self.dies:
                raise KeyboardInterrupt
            file = None if kept is None else kept / f"{number:06d}.npz"
            if file is None or not file.exists():
                found = job.work(opened, parts[number])
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    np.savez(file, **found)
        yield from ({"rejected": np.zeros(len(part.pairs), bool)} for part in parts)


def test_a_driver_that_goes_on_asks_for_every_shard(tmp_path: Path) -> None:
    cache, teacher = LabelCache(tmp_path / "label_cache", Slow.fingerprint), Slow(tmp_path / "notes", 0.0)
    with pytest.raises(KeyboardInterrupt):
        label(teacher, job(), cache, SHARD_SIZE, engine=Numbered(dies=True), reopen=lambda: teacher)
    assert 0 < len(cache.labelled()) < len(job())
    label(teacher, job(), cache, SHARD_SIZE, engine=Numbered(dies=False), reopen=lambda: teacher)
    asked = teacher.notes.read_text().splitlines()
    assert len(cache.labelled()) == len(asked) == len(set(asked)) == len(job())
