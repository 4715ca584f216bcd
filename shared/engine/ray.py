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
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import AuthenticationError, RayActorError, RayError, RayTaskError

from prectr.shared.atomic import wait_until_visible
from prectr.shared.engine.job import Arrays, Job, Opened, Part
from prectr.shared.engine.ray_worker import ACTOR, TASK, Failure, note_of, origin_of, sentence
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line, progress_bar

ADDRESS = "RAY_ADDRESS"
RETRIES = 5
"""How often a part is given to another process when the one that worked on it died."""
AHEAD = 3
"""Parts given out and not yet taken, per process that can work on one: none waits for the driver, nor fills its
memory."""
SECONDS_BETWEEN_COUNTS = 5.0
"""Of the cluster's processors, whose number may change."""
PATIENCE = 60.0
"""Seconds without a result, after which the cluster is asked whether there still is a node for what was given out."""


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
        crew = _Actors(job, self._slots(job)) if job.gpus else _Tasks(job)
        with progress_bar(job.name, total, job.unit) as advance:
            given = _Given(job, crew, kept, advance, partial(self._slots_left, job))
            try:
                for part in parts:
                    given.add(part)
                    while len(given) >= AHEAD * self._slots(job):
                        yield given.take()
                while len(given):
                    yield given.take()
            finally:
                given.dismiss()

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
        """The job with no more processors a part than a node has, and no GPU where the cluster has none: Ray would wait
        for such a node.
        """
        nodes = _resources()
        largest = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        has_gpus = any(node.get("GPU", 0.0) >= job.gpus for node in nodes)
        return replace(job, cpus=min(job.cpus, max(largest, 1.0)), gpus=job.gpus if has_gpus else 0.0)

    def _slots_left(self, job: Job[Any, Any]) -> int:
        """How many parts can be worked on now, nodes having gone perhaps.

        Raises:
            PrectrError: no node is left that has what a part takes.
        """
        self._counted = -math.inf
        if not any(node.get("CPU", 0.0) >= job.cpus and node.get("GPU", 0.0) >= job.gpus for node in _resources()):
            takes = f"{job.cpus:g} CPU" + (f" and {job.gpus:g} GPU" if job.gpus else "")
            raise PrectrError(
                f"{job.name}: no node of the Ray cluster is left with the {takes} that a part takes: add one and run "
                "the command again; finished parts are kept."
            )
        return self._slots(job)


def _resources() -> list[dict[str, float]]:
    """What each node that is alive has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


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
            # A process that took too much memory counts as any other that died; Ray would begin again for ever.
            retries = {"task_oom_retries": RETRIES}
            here: dict[str, Any] = {"include_dashboard": False, "_system_config": retries}
            ray.init(address="local", num_cpus=workers, num_gpus=gpus, **here, **quiet)
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        if "AuthToken" in str(error) or isinstance(error, AuthenticationError):
            raise PrectrError(
                f"{ADDRESS} is {address!r}, but that cluster refuses who has not its token: put the head's "
                "~/.ray/auth_token in the same place here, or its RAY_AUTH_TOKEN, and set RAY_AUTH_MODE=token."
            ) from error
        where = f"{ADDRESS} is {address!r}, but " if address else "a Ray cluster could not be started here: "
        raise PrectrError(
            f"{where}{sentence(error)}: start one with `ray start --head` on this version of Ray and Python, or unset "
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
        self._job, self._origin = ray.put(job), origin_of(job)
        self._remote = TASK.options(num_cpus=job.cpus, max_retries=RETRIES)

    def submit(self, number: int, part: Any, file: Path | None) -> Any:
        # In a list, it comes as it is and not as what it stands for, which a process needs once.
        return self._remote.remote([self._job], self._origin, number, part, file)

    def took(self, ref: Any) -> None:
        pass

    def replace(self, ref: Any) -> list[Any]:
        return [ref]

    def fitting(self, slots: int) -> _Tasks:
        """Who works on what was given out where there are so many slots: Ray gives tasks to any node."""
        return self

    def dismiss(self, waiting: Iterable[Any]) -> None:
        for ref in waiting:
            with suppress(Exception):
                ray.cancel(ref)


class _Actors:
    """Actors that hold a GPU each, with what they opened there: a task would open it anew for every part."""

    def __init__(self, job: Job[Any, Any], size: int) -> None:
        self._opens = job
        self._job, self._origin = ray.put(job), origin_of(job)
        self._load = {self._new(): 0 for _ in range(size)}
        self._whose: dict[Any, Any] = {}

    def submit(self, number: int, part: Any, file: Path | None) -> Any:
        actor = min(self._load, key=self._load.__getitem__)
        ref = actor.work_on.remote([self._job], self._origin, number, part, file)
        self._load[actor] += 1
        self._whose[ref] = actor
        return ref

    def took(self, ref: Any) -> None:
        self._load[self._whose.pop(ref)] -= 1

    def replace(self, ref: Any) -> list[Any]:
        """Another actor in the place of one that died or whose node does not answer, which Ray would go on asking.

        Returns:
            the results that it owes, in the order in which it would have come to them.
        """
        actor = self._whose[ref]
        owed = [each for each, whose in self._whose.items() if whose is actor]
        for each in owed:
            del self._whose[each]
        del self._load[actor]
        with suppress(Exception):
            ray.kill(actor)
        self._load[self._new()] = 0
        return owed

    def fitting(self, slots: int) -> _Actors:
        """These, if there is a place for every one; else as many as there are slots, since an actor whose node is gone
        waits for another, and its parts with it.
        """
        if len(self._load) <= slots:
            return self
        self.dismiss(())
        return _Actors(self._opens, slots)

    def dismiss(self, waiting: Iterable[Any]) -> None:
        for actor in self._load:
            with suppress(Exception):
                ray.kill(actor)

    def _new(self) -> Any:
        return ACTOR.options(num_cpus=self._opens.cpus, num_gpus=self._opens.gpus).remote()


class _Given:
    """The parts that were given out and not taken yet.

    Args:
        slots_left: how many parts can be worked on now; asked when nothing has come for long.
    """

    def __init__(
        self,
        job: Job[Any, Any],
        crew: _Tasks | _Actors,
        kept: Path | None,
        advance: Callable[[int], None],
        slots_left: Callable[[], int],
    ) -> None:
        self._job, self._crew, self._kept = job, crew, kept
        self._advance, self._slots_left = advance, slots_left
        # Looked up once: whoever asks a network's file system for a file before it is there may be told so for long.
        self._there = set() if kept is None else {file.name for file in kept.glob("*.npz")}
        self._given = self._taken = 0
        self._waiting: dict[Any, int] = {}
        self._parts: dict[int, Any] = {}
        self._deaths: Counter[int] = Counter()
        self._done: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._given - self._taken

    def add(self, part: Any) -> None:
        """Give a part out, unless its result is there, whole, from another time."""
        number, file = self._given, self._file(self._given)
        self._given += 1
        if file is not None and file.name in self._there and zipfile.is_zipfile(file):
            self._done[number] = file
            self._advance(self._job.size(part))
        else:
            self._parts[number] = part
            self._give_out(number)

    def take(self) -> Arrays:
        """The result of the part that was given out first."""
        number = self._taken
        while number not in self._done:
            self._wait()
        self._taken += 1
        return _read(self._done.pop(number))

    def dismiss(self) -> None:
        """Nobody waits for the rest."""
        self._crew.dismiss(self._waiting)

    def _file(self, number: int) -> Path | None:
        return None if self._kept is None else self._kept / f"{number:06d}.npz"

    def _give_out(self, number: int) -> None:
        self._waiting[self._crew.submit(number, self._parts[number], self._file(number))] = number

    def _wait(self) -> None:
        ready, rest = ray.wait(list(self._waiting), num_returns=1, timeout=PATIENCE)
        if not ready:
            self._look_around()
            return
        if rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for ref in ready:
            if ref in self._waiting:  # not given out anew since
                self._take_in(ref)

    def _take_in(self, ref: Any) -> None:
        number = self._waiting[ref]
        try:
            found = ray.get(ref)
        except RayActorError as error:
            self._give_out_again(ref, error)
            return
        except RayError as error:
            raise _told(error, self._job.name, number, self._kept) from error
        if isinstance(found, Failure):
            raise PrectrError(f"{self._job.name}, part {number} on {found.node}: {found.cause}")
        del self._waiting[ref]
        self._crew.took(ref)
        self._done[number] = found
        self._advance(self._job.size(self._parts.pop(number)))

    def _give_out_again(self, ref: Any, error: RayActorError) -> None:
        """What an actor that is gone owed; the first of it is what it died of, if it did."""
        first, *rest = [self._waiting.pop(each) for each in self._crew.replace(ref)]
        self._deaths[first] += 1
        if self._deaths[first] > RETRIES:
            raise _told(error, self._job.name, first, self._kept) from error
        for number in (first, *rest):
            self._give_out(number)

    def _look_around(self) -> None:
        """Gives parts out anew that wait for a node that is gone."""
        slots = self._slots_left()
        crew = self._crew.fitting(slots)
        if crew is self._crew:
            return
        self._crew = crew
        print_line(f"· {self._job.name}: nodes are gone; their parts are given out anew, {slots} at once")
        again = sorted(self._waiting.values())
        self._waiting.clear()
        for number in again:
            self._give_out(number)


def _told(error: RayError, name: str, number: int, kept: Path | None) -> PrectrError:
    """What to say of a part that Ray gave up."""
    if isinstance(error, RayTaskError):
        *_, last = (line.strip() for line in str(error).splitlines() if line.strip())
        return PrectrError(
            f"{name}, part {number}: a worker could not begin it ({last}): install the same prectr, with the same "
            "packages, on every node of the cluster."
        )
    note = None if kept is None else note_of(kept / f"{number:06d}.npz")
    node = note.read_text(encoding="utf-8") if note is not None and note.exists() else "a node of the cluster"
    return PrectrError(
        f"{name}, part {number} on {node}: its process ended {RETRIES + 1} times before it was done "
        f"({sentence(error)}): look at that node's memory and disk, and run the command again."
    )


def _read(done: Any) -> Arrays:
    """A part's result.

    Raises:
        PrectrError: the file that a node says it has written does not come to be seen here.
    """
    if not isinstance(done, Path):
        found: Arrays = done
        return found
    wait_until_visible(done, "a node of the cluster")
    with np.load(done) as stored:
        return {name: stored[name] for name in stored.files}
