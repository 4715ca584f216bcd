"""Several processes that answer at one address: each opens the same files, and follows the same journal.

They take connections from one socket, as the system deals them out. A worker that dies is replaced. A worker that is
asked to reload asks the parent, which has them reload one after another, so that the others answer meanwhile.
"""

import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from prectr.rank.service.errors import log
from prectr.rank.service.metrics import SHARED
from prectr.rank.service.processes.worker import Work, live
from prectr.shared.errors import PrectrError

SECONDS_TO_END = 30
MOST_FAILURES = 3
"""Workers in a row that died before they answered; then something is wrong that another one does not mend."""
LOOK = 0.2
"""Seconds between looks at whether it is to stop."""


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False


class Workers:
    """The parent: starts workers, replaces those that die, passes on what is to be done by all.

    Args:
        work: called in each worker with `given`; both are sent to it. announce: called when all answer.
    """

    def __init__(self, count: int, work: Work, given: tuple[Any, ...], announce: Callable[[], None]) -> None:
        self._count, self._work, self._given, self._announce = count, work, given, announce
        self._workers = list[_Worker]()
        self._to_reload = deque[_Worker]()
        self._asked_by: _Worker | None = None
        self._failures, self._stopping = 0, False

    def stop(self) -> None:
        """End in order; may be called by a signal."""
        self._stopping = True

    def run(self) -> None:
        """Until `stop`.

        Raises:
            PrectrError: workers cannot open what they need, or die before they answer.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // self._count)))
        with tempfile.TemporaryDirectory(prefix="prectr-counters-") as counters:
            os.environ[SHARED] = counters
            try:
                self._workers = [self._start() for _ in range(self._count)]
                while not self._stopping:
                    self._look()
            finally:
                self._end()
                del os.environ[SHARED]

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")  # a fork would share connections and locks
        ours, theirs = context.Pipe()
        process = context.Process(target=live, args=(theirs, self._work, self._given))
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _look(self) -> None:
        watched: list[Connection | int] = [worker.pipe for worker in self._workers]
        wait([*watched, *(worker.process.sentinel for worker in self._workers)], timeout=LOOK)
        for place, worker in enumerate(self._workers):
            is_dead = not worker.process.is_alive()
            with suppress(EOFError, OSError):  # nobody is at the other end any more
                while worker.pipe.poll():
                    self._hear(worker, *worker.pipe.recv())
            if is_dead and not self._stopping:
                self._workers[place] = self._replace(worker)

    def _replace(self, worker: _Worker) -> _Worker:
        worker.process.join()
        worker.pipe.close()
        self._failures += not worker.ready
        if self._failures == MOST_FAILURES:
            raise PrectrError(
                f"{MOST_FAILURES} workers died before they answered (exit code {worker.process.exitcode}): start "
                "fewer with --workers, or one to see why."
            )
        log.warning("a worker died (exit code %s): another one takes its place", worker.process.exitcode)
        new = self._start()
        if self._to_reload and self._to_reload[0] is worker:
            self._reloaded(None)  # its successor opens what is there now
        elif worker in self._to_reload:
            self._to_reload.remove(worker)
        if self._asked_by is worker:
            self._asked_by = None
        return new

    def _hear(self, worker: _Worker, what: str, sentence: str | None) -> None:
        if what == "failed":
            raise PrectrError(sentence or "a worker could not open its folders.")
        if what == "ready":
            worker.ready, self._failures = True, 0
            if all(each.ready for each in self._workers):
                self._announce()
                self._announce = _nothing
        elif what == "reload":
            if self._to_reload:
                worker.pipe.send(("done", "it is being reloaded already: wait until that has answered."))
                return
            self._asked_by, self._to_reload = worker, deque(each for each in self._workers if each.ready)
            self._to_reload[0].pipe.send(("reload", None))
        elif what == "reloaded" and self._to_reload:
            self._reloaded(sentence)

    def _reloaded(self, sentence: str | None) -> None:
        """The first of those to reload has done so, or says why not: then none of the others does."""
        self._to_reload.popleft()
        if sentence is not None:
            self._to_reload.clear()
        with suppress(OSError):
            if self._to_reload:
                self._to_reload[0].pipe.send(("reload", None))
            elif self._asked_by is not None:
                self._asked_by.pipe.send(("done", sentence))

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(SECONDS_TO_END + 10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def _nothing() -> None:
    """When it has been said."""
