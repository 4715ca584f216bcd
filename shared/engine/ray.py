"""On Ray: parts are tasks of a cluster, the one at RAY_ADDRESS or one that is started on this machine for the command.

What travels is small: the job once per process, a part's own rows, the name of the file with its result. Results lie in
a folder that all nodes see, one file per part, written under a temporary name. So a worker or node that dies costs the
parts it worked on, which Ray gives to others; and a driver that dies costs what had no file yet. Where a part fails,
the message says which, on which node, and why.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import AuthenticationError, RayError
from ray.util import get_node_ip_address

from prectr.shared.atomic import atomic_write
from prectr.shared.engine.job import Arrays, Job, Opened, Part
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress_bar
from prectr.shared.run.sources import code_of

ADDRESS = "RAY_ADDRESS"
RETRIES = 5
"""How often a part is given to another process when the one that worked on it died."""
AHEAD = 3
"""Parts given out and not yet taken, per process that can work on one: none waits for the driver, nor fills its
memory."""
SECONDS_BETWEEN_COUNTS = 5.0
"""Of the cluster's processors, whose number may change."""


@dataclass(frozen=True)
class _Origin:
    """Where the driver stands: a worker goes there before it opens anything, since paths may be relative."""

    host: str
    folder: str
    code: dict[str, str]
    """Of the modules that do the work: bytes are the same only where these are."""


@dataclass(frozen=True)
class _Failure:
    """What a part ended with, told by the node it was on."""

    node: str
    cause: str


class RayEngine:
    """See `prectr.shared.engine.job.Engine`."""

    elsewhere = True

    def __init__(self, workers: int | None = None, gpus: int | None = None) -> None:
        """Joins the cluster at RAY_ADDRESS, or starts one here; arguments as of `connect`."""
        connect(workers, gpus)
        self._counted, self._cpus, self._gpus = -math.inf, 0.0, 0.0

    def map(
        self, job: Job[Opened, Part], parts: Iterable[Part], total: int | None = None, kept: Path | None = None
    ) -> Generator[Arrays, None, None]:
        if kept is not None:
            kept = kept.absolute()
            kept.mkdir(parents=True, exist_ok=True)
        job = self._fitting(job)
        crew = _Crew(job, self._slots(job)) if job.gpus else _Tasks(job)
        with progress_bar(job.name, total, job.unit) as advance:
            given = _Given(job, crew, kept, advance)
            try:
                for part in parts:
                    given.add(part)
                    while len(given) >= AHEAD * self._slots(job):
                        yield given.take()
                while len(given):
                    yield given.take()
            finally:
                crew.dismiss(given.waiting)

    def together(self, build: Callable[[Path], None], work: Path) -> None:
        from prectr.shared.engine.ray_train import train

        train(build, work)

    def _slots(self, job: Job[Any, Any]) -> int:
        """How many parts can be worked on at once."""
        if time.monotonic() - self._counted > SECONDS_BETWEEN_COUNTS:
            there = ray.cluster_resources()
            self._cpus, self._gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
            self._counted = time.monotonic()
        slots = self._cpus / job.cpus
        return max(1, int(min(slots, self._gpus / job.gpus) if job.gpus else slots))

    def _fitting(self, job: Job[Opened, Part]) -> Job[Opened, Part]:
        """The job with no more processors a part than a node has: Ray would wait for a larger one.

        Raises:
            PrectrError: parts ask for GPUs that the cluster does not have.
        """
        self._slots(job)
        if job.gpus > self._gpus:
            raise PrectrError(
                f"{job.name} asks for {job.gpus:g} GPU a part, but the Ray cluster has {self._gpus:g}: add such a node."
            )
        largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
        return replace(job, cpus=min(job.cpus, max(largest, 1.0)))


def connect(workers: int | None = None, gpus: int | None = None) -> None:
    """Join the cluster at RAY_ADDRESS, or start one on this machine, which Ray guards with a token and which ends with
    the process; nothing where the process belongs to one already.

    Args:
        workers, gpus: how many of a cluster that is started here, whatever the machine has; None: all there are.

    Raises:
        PrectrError: no cluster answers there, it asks for a token, or it runs another version of Ray or Python.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    address = os.environ.get(ADDRESS, "")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if workers is None and address not in ("", "local"):
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=workers, num_gpus=gpus, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        if "AuthToken" in str(error) or isinstance(error, AuthenticationError):
            raise PrectrError(
                f"{ADDRESS} is {address!r}, but that cluster refuses who has not its token: put the head's "
                "~/.ray/auth_token in the same place here and set RAY_AUTH_MODE=token."
            ) from error
        where = f"{ADDRESS} is {address!r}, but " if address else "a Ray cluster could not be started here: "
        raise PrectrError(
            f"{where}{_sentence(error)}: start one with `ray start --head` on this version of Ray and Python, or unset "
            f"{ADDRESS}."
        ) from error
    finally:
        # Ray sets a handler of its own; ours says where the command goes on.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


def leave() -> None:
    """End what `connect` began; at the end of the process that happens by itself."""
    ray.shutdown()


class _Tasks:
    """Every part is a task; a process that has worked on one is given the next, and keeps what it opened."""

    def __init__(self, job: Job[Any, Any]) -> None:
        self._job, self._origin = ray.put(job), _origin(job)
        self._remote = _TASK.options(num_cpus=job.cpus, max_retries=RETRIES)

    def submit(self, number: int, part: Any, file: Path | None) -> Any:
        # In a list, it comes as it is and not as what it stands for, which a process needs once.
        return self._remote.remote([self._job], self._origin, number, part, file)

    def took(self, ref: Any) -> None:
        pass

    def dismiss(self, waiting: Iterable[Any]) -> None:
        for ref in waiting:
            with suppress(Exception):
                ray.cancel(ref)


class _Crew:
    """Actors that hold a GPU each, with what they opened there: a task would open it anew for every part."""

    def __init__(self, job: Job[Any, Any], size: int) -> None:
        self._job, self._origin = ray.put(job), _origin(job)
        options = {"num_cpus": job.cpus, "num_gpus": job.gpus, "max_restarts": -1, "max_task_retries": RETRIES}
        self._actors = [_ACTOR.options(**options).remote() for _ in range(size)]
        self._load = dict.fromkeys(self._actors, 0)
        self._whose: dict[Any, Any] = {}

    def submit(self, number: int, part: Any, file: Path | None) -> Any:
        actor = min(self._actors, key=lambda each: self._load[each])
        ref = actor.work_on.remote([self._job], self._origin, number, part, file)
        self._load[actor] += 1
        self._whose[ref] = actor
        return ref

    def took(self, ref: Any) -> None:
        self._load[self._whose.pop(ref)] -= 1

    def dismiss(self, waiting: Iterable[Any]) -> None:
        for actor in self._actors:
            with suppress(Exception):
                ray.kill(actor)


class _Given:
    """The parts that were given out and not taken yet.

    Attributes:
        waiting: the numbers of those that are not done, by the reference of their results.
    """

    def __init__(
        self, job: Job[Any, Any], crew: _Tasks | _Crew, kept: Path | None, advance: Callable[[int], None]
    ) -> None:
        self._job, self._crew, self._kept, self._advance = job, crew, kept, advance
        self._given = self._taken = 0
        self.waiting: dict[Any, int] = {}
        self._done: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return self._given - self._taken

    def add(self, part: Any) -> None:
        """Give a part out, unless its result is there from another time."""
        number, size = self._given, self._job.size(part)
        self._given += 1
        file = None if self._kept is None else self._kept / f"{number:06d}.npz"
        if file is not None and file.exists():
            self._done[number] = file
            self._advance(size)
        else:
            self.waiting[self._crew.submit(number, part, file)] = number
            self._sizes[number] = size

    def take(self) -> Arrays:
        """The result of the part that was given out first."""
        number = self._taken
        while number not in self._done:
            self._wait()
        self._taken += 1
        return _read(self._done.pop(number))

    def _wait(self) -> None:
        ready, rest = ray.wait(list(self.waiting), num_returns=1)
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for ref in ready:
            number = self.waiting.pop(ref)
            self._crew.took(ref)
            self._done[number] = _result(ref, self._job.name, number, self._kept)
            self._advance(self._sizes.pop(number))


_opened: tuple[str, Job[Any, Any], Any] | None = None
"""In a worker: the job it worked on last, by its reference, and what that opened."""


def _work_on(job: list[Any], origin: _Origin, number: int, part: Any, file: Path | None) -> Any:
    """In a worker: the name of the file with a part's result, the result itself where there is no file, or why not."""
    global _opened
    try:
        _stand_where(origin)
        if file is not None:
            _note(file).write_text(_node(), encoding="utf-8")
        if _opened is None or _opened[0] != job[0].hex():
            _opened = None  # two large models need not fit beside each other
            found = ray.get(job[0])
            _require_code(found, origin)
            _opened = job[0].hex(), found, found.open()
        _, found, opened = _opened
        result = found.work(opened, part)
        if file is None:
            return dict(result)
        with atomic_write(file) as temporary:
            np.savez(temporary, **result)  # type: ignore[arg-type]
        _note(file).unlink(missing_ok=True)
        return file
    except PrectrError as error:
        return _Failure(_node(), str(error))
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        return _Failure(_node(), f"{_sentence(error)} ({last.filename}, line {last.lineno})")


class _Worker:
    """An actor that works on parts as a task would."""

    def work_on(self, job: list[Any], origin: _Origin, number: int, part: Any, file: Path | None) -> Any:
        return _work_on(job, origin, number, part, file)


# Under names of their own: what a worker imports by its name is this module's, and so is what it remembers.
_TASK: Any = ray.remote(_work_on)
_ACTOR: Any = ray.remote(_Worker)


def _result(ref: Any, name: str, number: int, kept: Path | None) -> Any:
    """What a part ended with.

    Raises:
        PrectrError: it failed, or its process died once too often.
    """
    try:
        found = ray.get(ref)
    except RayError as error:
        note = None if kept is None else _note(kept / f"{number:06d}.npz")
        node = note.read_text(encoding="utf-8") if note is not None and note.exists() else "a node of the cluster"
        raise PrectrError(
            f"{name}, part {number} on {node}: its process ended {RETRIES + 1} times before it was done "
            f"({_sentence(error)}): look at that node's memory and disk, and run the command again."
        ) from error
    if isinstance(found, _Failure):
        raise PrectrError(f"{name}, part {number} on {found.node}: {found.cause}")
    return found


def _read(done: Any) -> Arrays:
    if not isinstance(done, Path):
        found: Arrays = done
        return found
    with np.load(done) as stored:
        return {name: stored[name] for name in stored.files}


def _note(file: Path) -> Path:
    """Says on which node a part is being worked on, should nobody come back to tell."""
    return file.with_suffix(".node")


def _node() -> str:
    return f"{socket.gethostname()} ({get_node_ip_address()}, process {os.getpid()})"


def _origin(job: Job[Any, Any]) -> _Origin:
    return _Origin(socket.gethostname(), os.getcwd(), _code(job))


def _code(job: Job[Any, Any]) -> dict[str, str]:
    work: Any = job.work
    while isinstance(work, partial):
        work = work.func
    return code_of(work, [work.__module__]) if work.__module__.startswith("prectr.") else {}


def _require_code(job: Job[Any, Any], origin: _Origin) -> None:
    if origin.host != socket.gethostname() and _code(job) != origin.code:
        raise PrectrError(
            f"this node's prectr is not that of {origin.host}: install the same version on every node of the cluster."
        )


def _stand_where(origin: _Origin) -> None:
    try:
        os.chdir(origin.folder)
    except OSError as error:
        raise PrectrError(
            f"{origin.folder} of {origin.host} is not there: put --artifacts on a folder that all nodes share, and "
            "start the command in one that all have."
        ) from error


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
