"""A training in several processes of the cluster, which Ray Train starts, tells their numbers, and replaces.

The training is the one that torchrun's processes do: who a process is stands in its environment. Where one of them
dies, all are started again, and go on from the newest whole checkpoint in the work folder.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from prectr.shared.engine.ray_worker import not_shared
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console, print_line, show_progress
from prectr.shared.training.device import compute_device

RETRIES = 5
"""How often processes are started again after one died."""
MOST_ON_CPUS = 4
"""Processes of a training without GPUs: each opens model and data, and the more there are, the more they wait. [O]"""
RUN = ".ray_train"
"""In the work folder, for as long as the training takes: Ray Train's own notes, what the first process prints."""
REFUSED = "refused"

Build = Callable[[Path], None]


def train(build: Build, work: Path) -> None:
    """Call `build(work)` in one process for each GPU of the cluster, or in a few where there are none; in this one
    where that makes one, unless it takes a GPU that this machine has not.

    Args:
        build: a training that launched processes can share (see `run_step`); picklable, with cloudpickle.
        work: a folder that all nodes see.

    Raises:
        PrectrError: `build` refused, or processes died more than `RETRIES` times.
    """
    scaling = _scaling()
    if scaling.num_workers == 1 and (not scaling.use_gpu or compute_device().type == "cuda"):
        build(work)
        return
    notes = work.absolute() / RUN / uuid.uuid4().hex[:12]
    notes.mkdir(parents=True)
    print_line(f"· training in {scaling.num_workers} processes of the Ray cluster")
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    trainer = TorchTrainer(
        partial(_in_process, build, work.absolute(), notes, (socket.gethostname(), os.getcwd()), _trackers()),
        scaling_config=scaling,
        run_config=RunConfig(name="run", storage_path=str(notes), failure_config=FailureConfig(max_failures=RETRIES)),
    )
    try:
        with _shown(notes / "printed"):
            trainer.fit()
    except TrainingFailedError as error:
        refused = notes / REFUSED
        if refused.is_file():
            raise PrectrError(refused.read_text(encoding="utf-8")) from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise PrectrError(
            f"training: its processes on the Ray cluster ended {RETRIES + 1} times ({lines[-1].rstrip('.')[:200]}): "
            "look at the nodes' memory and disk, and run the command again."
        ) from error


def _scaling() -> ScalingConfig:
    there = ray.cluster_resources()
    if gpus := int(there.get("GPU", 0)):
        return ScalingConfig(num_workers=gpus, use_gpu=True)
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    nodes = [cpus for cpus in nodes if cpus]
    processes = max(1, min(MOST_ON_CPUS, sum(nodes)))
    # As many for each as the smallest node can give to its share of them.
    cpus = max(1, min(nodes, default=1) // -(-processes // max(1, len(nodes))))
    return ScalingConfig(num_workers=processes, resources_per_worker={"CPU": cpus})


def _in_process(build: Build, work: Path, notes: Path, origin: tuple[str, str], trackers: list[str]) -> None:
    """In one of the processes: the training, or why not."""
    from prectr.shared.training.trackers import report_to

    host, folder = origin
    try:
        if (notes / REFUSED).is_file():
            raise PrectrError((notes / REFUSED).read_text(encoding="utf-8"))
        if not work.is_dir() or not os.path.isdir(folder):
            raise PrectrError(not_shared(work if os.path.isdir(folder) else folder, host))
        os.chdir(folder)
        report_to(trackers)
        if os.environ["RANK"] == "0":
            with open(notes / "printed", "a", buffering=1, encoding="utf-8") as file, _printing(file):
                build(work)
        else:
            build(work)
    except PrectrError as error:
        (notes / REFUSED).write_text(str(error), encoding="utf-8")
        raise


@contextmanager
def _printing(file: IO[str]) -> Iterator[None]:
    """Within, the terminal is that file."""
    console.file = file
    with show_progress():
        yield
    console.file = sys.stdout


@contextmanager
def _shown(file: Path) -> Iterator[None]:
    """Within, what is printed into a file is printed here, line by line."""
    ended = threading.Event()

    def follow() -> None:
        seen, last = 0, False
        while not last:
            last = ended.wait(0.5)
            text = file.read_text(encoding="utf-8")[seen:] if file.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            seen += len(whole)
            for line in whole.splitlines():
                print_line(line)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _trackers() -> list[str]:
    from prectr.shared.training.trackers import chosen

    return chosen()
