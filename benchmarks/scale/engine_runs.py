"""What the benchmark of engines measures, each in a process of its own, whose workers are Ray's."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.log import Log
from benchmarks.scale.preparation import prepare_log
from prectr.rank.config import HistoryArguments
from prectr.shared.engine.choice import open_engine
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN

SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_KILLS = 0.05, 1.0


def prepare(log: Log, work: Path, seed: int, workers: int, kills: int) -> dict[str, Any]:
    """Seconds of a preparation by so many workers (0: the plain engine), and the sha256 of every file it leaves."""
    shutil.rmtree(work, ignore_errors=True)
    engine = engine_of(workers)
    started = time.perf_counter()
    with watched(kills) as seen:
        prepare_log(log, work, HistoryArguments(), seed, engine)
        seconds = time.perf_counter() - started
    files = [file for file in sorted(work.rglob("*")) if file.is_file() and "checkpoints" not in file.parts]
    contents = {str(file.relative_to(work)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    shutil.rmtree(work)
    return {"seconds": seconds, "files": contents, "peak_mb_per_worker": seen.peak_mb, "killed": len(seen.killed)}


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


def engine_of(workers: int) -> Engine:
    return open_engine("ray", workers) if workers else PLAIN


@dataclass
class Seen:
    """Workers that were watched: the most memory that one of them asked for, in MB; those that were killed."""

    peak_mb: float
    killed: list[int]


@contextmanager
def watched(kills: int) -> Iterator[Seen]:
    """Watches the workers of this machine, and kills so many of them in the middle of a part, some seconds apart."""
    seen, ended = Seen(0.0, []), threading.Event()

    def watch() -> None:
        last = time.monotonic()
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            for process, at_work in workers_here().items():
                seen.peak_mb = max(seen.peak_mb, anonymous_mb(process))
                if at_work and len(seen.killed) < kills and time.monotonic() - last > SECONDS_BETWEEN_KILLS:
                    os.kill(process, signal.SIGKILL)
                    seen.killed.append(process)
                    last = time.monotonic()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def workers_here() -> dict[int, bool]:
    """Ray's worker processes on this machine, and whether each has a part."""
    found = {}
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = line.read_text()
        except OSError:
            continue
        if name.startswith("ray::"):
            found[int(line.parent.name)] = name.startswith("ray::_work_on")
    return found


def anonymous_mb(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
