"""In a worker of Ray's: a part is worked on, and its result, or why there is none, goes back.

A worker stands in the driver's folder, opens a job once, and leaves a part's result in a file where one is kept: under
a temporary name, renamed when it is whole.
"""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.util import get_node_ip_address

from prectr.shared.atomic import atomic_write
from prectr.shared.engine.job import Job
from prectr.shared.errors import PrectrError
from prectr.shared.run.sources import code_of


@dataclass(frozen=True)
class Origin:
    """Where the driver stands: a worker goes there before it opens anything, since paths may be relative."""

    host: str
    folder: str
    code: dict[str, str]
    """Of the modules that do the work: bytes are the same only where these are."""


@dataclass(frozen=True)
class Failure:
    """What a part ended with, told by the node it was on."""

    node: str
    cause: str


_opened: tuple[str, Job[Any, Any], Any] | None = None
"""The job this process worked on last, by its reference, and what that opened."""


def _work_on(job: list[Any], origin: Origin, number: int, part: Any, file: Path | None) -> Any:
    """The name of the file with a part's result, the result itself where there is no file, or why there is none."""
    global _opened
    try:
        stand_where(origin, file)
        if file is not None:
            note_of(file).write_text(_node(), encoding="utf-8")
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
        note_of(file).unlink(missing_ok=True)
        return file
    except PrectrError as error:
        return Failure(_node(), str(error))
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        return Failure(_node(), f"{sentence(error)} ({last.filename}, line {last.lineno})")


class _Worker:
    """An actor that works on parts as a task would."""

    def work_on(self, job: list[Any], origin: Origin, number: int, part: Any, file: Path | None) -> Any:
        return _work_on(job, origin, number, part, file)


# Under names of their own: what a worker imports by its name is this module's, and so is what it remembers.
TASK: Any = ray.remote(_work_on)
ACTOR: Any = ray.remote(_Worker)


def origin_of(job: Job[Any, Any]) -> Origin:
    return Origin(socket.gethostname(), os.getcwd(), _code(job))


def note_of(file: Path) -> Path:
    """Says on which node a part is being worked on, should nobody come back to tell."""
    return file.with_suffix(".node")


def stand_where(origin: Origin, file: Path | None = None) -> None:
    """Go where the driver stands.

    Raises:
        PrectrError: its folder is not there, or the one that a result's `file` is for.
    """
    missing = None
    try:
        os.chdir(origin.folder)
    except OSError:
        missing = origin.folder
    if missing is None and file is not None and not file.parent.is_dir():
        missing = str(file.parent)
    if missing is not None:
        raise PrectrError(not_shared(missing, origin.host))


def not_shared(folder: object, host: str) -> str:
    return (
        f"{folder} of {host} is not on {socket.gethostname()}: put --artifacts on a folder that all nodes share, and "
        "start the command in one that all have."
    )


def sentence(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _node() -> str:
    return f"{socket.gethostname()} ({get_node_ip_address()}, process {os.getpid()})"


def _code(job: Job[Any, Any]) -> dict[str, str]:
    work: Any = job.work
    while isinstance(work, partial):
        work = work.func
    return code_of(work, [work.__module__]) if work.__module__.startswith("prectr.") else {}


def _require_code(job: Job[Any, Any], origin: Origin) -> None:
    if origin.host != socket.gethostname() and _code(job) != origin.code:
        raise PrectrError(
            f"this node's prectr is not that of {origin.host}: install the same version on every node of the cluster."
        )
