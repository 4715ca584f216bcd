"""A run has its data set's folder to itself: a second one waits, so that neither builds on the other's inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from prectr.shared.run import launch
from prectr.shared.run.console import console

LOCK = ".run.lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Within, no other run works in `folder`, artifacts/<name>; who comes second says so and waits.

    Steps lock the folder that they build and no other: two runs with different settings would exchange each other's
    results between two steps. The system releases the lock when the process ends, however it ends. Of several launched
    processes the first holds it for all.
    """
    if not launch.is_first() or not folder.is_dir():
        yield
        return
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"… another run works in {folder}; waiting for its end", highlight=False, soft_wrap=True)
        lock.acquire()
    except OSError:  # a folder that nobody can write needs no lock
        yield
        return
    try:
        yield
    finally:
        lock.release()
