"""What the benchmark of engines measures, each in a process of its own, whose workers are Ray's."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.log import Log
from benchmarks.scale.nodes import Nodes, at_work, nodes, workers
from benchmarks.scale.preparation import prepare_log
from prectr.rank.config import HistoryArguments
from prectr.shared.engine.choice import open_engine
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN

SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Run:
    """How a log is prepared.

    Attributes:
        workers: on this machine; 0: the plain engine.
        nodes: each a `ray start` with one worker, in place of a cluster of this process; 0: none.
        kills: how many workers, or nodes where there are some, are killed while they work on a part.
        seconds_between: the deaths, so that they come at different moments of the preparation.
    """

    workers: int = 0
    nodes: int = 0
    kills: int = 0
    seconds_between: float = 1.0


def prepare(log: Log, work: Path, seed: int, run: Run) -> dict[str, Any]:
    """Seconds of a preparation, and the sha256 of every file it leaves."""
    shutil.rmtree(work, ignore_errors=True)
    with cluster_of(run) as cluster:
        engine = engine_of(None if run.nodes else run.workers)
        started, cpu_started = time.perf_counter(), time.process_time()
        with watched(run, cluster) as seen:
            prepare_log(log, work, HistoryArguments(), seed, engine)
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started - seen.cpu_seconds
        leave(engine)
    files = [file for file in sorted(work.rglob("*")) if file.is_file() and "checkpoints" not in file.parts]
    contents = {str(file.relative_to(work)): _sha256(file) for file in files}
    shutil.rmtree(work)
    return {
        "seconds": seconds,
        "driver_cpu_seconds": cpu_seconds,
        "peak_mb_per_worker": seen.peak_mb,
        "killed": len(seen.killed),
        "killed_after_seconds": seen.killed,
        "files": contents,
    }


def give_out(folder: Path, count: int, workers: int) -> dict[str, Any]:
    """The driver's processor time, and the clock's, for each of `count` parts that do nothing."""
    engine = engine_of(workers)
    job: Job[int, int] = Job("parts", int, nothing)
    list(engine.map(job, range(10 * workers)))  # the workers are there, and have imported what they need
    figures: dict[str, Any] = {"workers": workers}
    for name, kept in (("", None), ("kept_", folder)):
        shutil.rmtree(folder, ignore_errors=True)
        started, cpu_started = time.perf_counter(), time.process_time()
        total = sum(int(found["n"]) for found in engine.map(job, range(count), kept=kept))
        assert total == count
        figures[f"{name}cpu_us_per_part"] = 1e6 * (time.process_time() - cpu_started) / count
        figures[f"{name}clock_us_per_part"] = 1e6 * (time.perf_counter() - started) / count
    shutil.rmtree(folder, ignore_errors=True)
    return figures


def nothing(opened: int, part: int) -> Arrays:
    return {"n": np.array(1)}


def cluster_of(run: Run) -> AbstractContextManager[Nodes | None]:
    """The nodes that a run asks for; None where this process makes do."""
    return nodes(run.nodes) if run.nodes else nullcontext()


def engine_of(workers: int | None) -> Engine:
    """Of so many workers on this machine; 0: the plain one; None: of the cluster at RAY_ADDRESS."""
    return PLAIN if workers == 0 else open_engine("ray", workers)


def leave(engine: Engine) -> None:
    """Before a cluster ends, so that nothing waits for it."""
    if engine.elsewhere:
        from prectr.shared.engine.ray import leave

        leave()


@dataclass
class Seen:
    """Workers that were watched.

    Attributes:
        peak_mb: the most memory that one of them asked for.
        killed: when workers or nodes died, in seconds.
        cpu_seconds: what the watching took of this process: the driver's own share is without it.
    """

    peak_mb: float = 0.0
    cpu_seconds: float = 0.0
    killed: list[float] = field(default_factory=list)


@contextmanager
def watched(run: Run, cluster: Nodes | None) -> Iterator[Seen]:
    """Watches this process's workers, and kills as many of them, or of the nodes, as the run says."""
    seen, ended = Seen(), threading.Event()

    def watch() -> None:
        started = time.monotonic()
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            seen.peak_mb = max([seen.peak_mb, *map(anonymous_mb, workers())])
            now = time.monotonic() - started
            is_due = len(seen.killed) < run.kills and now > run.seconds_between * (len(seen.killed) + 1)
            if is_due and (busy := at_work()):
                if cluster is None:
                    kill(busy[-1])
                else:
                    cluster.kill_one()
                seen.killed.append(now)
            seen.cpu_seconds = time.thread_time()

    with ExitStack() as stack:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(ended.set)
        yield seen


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def anonymous_mb(process: int) -> float:
    """Memory that a process has asked for; 0 if it is gone."""
    try:
        lines = (Path("/proc") / str(process) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
