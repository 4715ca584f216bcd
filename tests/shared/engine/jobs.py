"""Jobs that workers import by name: squares, and what can go wrong with one."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from prectr.shared.engine.job import Arrays, Job
from prectr.shared.errors import PrectrError


def squares(folder: Path, work=None, **how) -> Job[Path, int]:
    """Squares of numbers; notes in `folder` every part that is worked on and every process that opened something."""
    return Job("squares", Opening(folder), work or square, unit="numbers", **how)


class Opening:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> Path:
        note(self.folder / "opened")
        return self.folder


def square(folder: Path, part: int) -> Arrays:
    note(folder / "worked", part)
    return {"square": np.array([part**2]), "half": np.array([part / 2], np.float32)}


def refuse(folder: Path, part: int) -> Arrays:
    if part == 3:
        raise PrectrError("items.parquet: text, row 7: it is empty: write one.")
    return square(folder, part)


def divide(folder: Path, part: int) -> Arrays:
    return {"quotient": np.array([6 // (part - 2)])}


def die_once(folder: Path, part: int) -> Arrays:
    """As a worker that is killed, or a node that is lost, in the middle of parts 2 and 5, the first time."""
    died = folder / f"died-{part}"
    if part in (2, 5) and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(folder, part)


def die_always(folder: Path, part: int) -> Arrays:
    if part == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(folder, part)


def note(file: Path, part: int | None = None) -> None:
    with open(file, "a") as notes:
        notes.write(f"{os.getpid()} {part}\n")


def noted(file: Path) -> list[tuple[int, str]]:
    """Process and part, a line each."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(int(process), part) for process, part in lines]


def slowly(folder: Path, part: int) -> Arrays:
    time.sleep(0.3)
    return square(folder, part)
