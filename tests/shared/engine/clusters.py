"""Clusters on loopback, for as long as a test takes, and the death of their workers and nodes."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scale.nodes import Nodes, at_work, nodes
from prectr.shared.engine.job import Engine


@contextmanager
def cluster(workers: int, gpus: int = 0) -> Iterator[Engine]:
    """An engine on a cluster of this machine with so many processes that work; GPUs are those Ray is told of."""
    from prectr.shared.engine.ray import RayEngine, leave

    try:
        yield RayEngine(workers, gpus)
    finally:
        leave()


@contextmanager
def started(count: int, gpus: int = 0) -> Iterator[Nodes]:
    """So many nodes, each a `ray start` with one worker and so many GPUs that Ray is told of; the process leaves them
    before they end.
    """
    from prectr.shared.engine.ray import leave

    with nodes(count, gpus=gpus) as cluster:
        try:
            yield cluster
        finally:
            leave()


@contextmanager
def killing(times: int) -> Iterator[list[int]]:
    """Within, `kill -9` of so many workers in the middle of a part, each another process; yields their numbers."""
    killed: list[int] = []

    def kill() -> None:
        for process in at_work():
            if process not in killed:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                time.sleep(0.2)
                break

    with again_and_again(kill, lambda: len(killed) == times):
        yield killed


@contextmanager
def losing(cluster: Nodes, times: int, seconds_between: float = 6.0) -> Iterator[list[float]]:
    """Within, `kill -9` of so many nodes while parts are worked on, so far apart; yields when they died."""
    died: list[float] = []

    def kill() -> None:
        if at_work() and (not died or time.monotonic() > died[-1] + seconds_between):
            cluster.kill_one()
            died.append(time.monotonic())

    with again_and_again(kill, lambda: len(died) == times, seconds=0.2):
        yield died


@contextmanager
def again_and_again(act: Callable[[], None], is_enough: Callable[[], bool], seconds: float = 0.002) -> Iterator[None]:
    """Does something beside what stands within, so many seconds apart, until it is enough or that has ended."""
    ended = threading.Event()

    def loop() -> None:
        while not is_enough() and not ended.wait(seconds):
            act()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but what is kept until it is whole."""
    files = [file for file in folder.rglob("*") if file.is_file() and "checkpoints" not in file.parts]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
