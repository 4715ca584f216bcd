"""Clusters on loopback, for as long as a test takes, and the death of their workers."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def killing(times: int) -> Iterator[list[int]]:
    """Within, `kill -9` of so many workers in the middle of a part, each another process; yields their numbers."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while len(killed) < times and not ended.wait(0.002):
            for process in at_work():
                if process not in killed:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                    time.sleep(0.2)
                    break

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def at_work() -> list[int]:
    """This machine's processes that descend from this one and are working on a part."""
    parents = {}
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
            if (status.parent / "cmdline").read_text().startswith("ray::_work_on"):
                found.append(int(status.parent.name))
        except (OSError, IndexError):
            pass
    return [process for process in found if descends(process, parents)]


def descends(process: int, parents: dict[int, int]) -> bool:
    while process > 1 and process != os.getpid():
        process = parents.get(process, 0)
    return process == os.getpid()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but what is kept until it is whole."""
    files = [file for file in folder.rglob("*") if file.is_file() and "checkpoints" not in file.parts]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
