"""A stage undisturbed, and killed: at a moment drawn over all of its run, then run again until it ends.

Moments are counted in seconds of a core, so that they mean the same on a machine with other work. A run that is killed
late need not do again what it would only do the same way: as the undisturbed run begins a step, it is held for an
instant and its folder copied; a killed run starts from the copy of the step that its moment falls into.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.kills.process import POLL, Process
from benchmarks.kills.results import differing, leftovers, results_of
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator

BEGINS = "▸ "
"""What the line of a step that is being built begins with."""


@dataclass
class Undisturbed:
    """A stage's run that nobody killed.

    Attributes:
        words: stage, verb and flags, but for where. home: holds `artifacts/`, and `steps/` with a copy for every step.
        begins: seconds of a core at which each step began, the first of them 0. seconds: at which the run ended.
        steps: their names.
    """

    words: list[str]
    home: str
    begins: list[float] = field(default_factory=lambda: [0.0])
    steps: list[str] = field(default_factory=lambda: ["start"])
    seconds: float = 0.0

    @property
    def artifacts(self) -> Path:
        return Path(self.home) / "artifacts"

    @property
    def copies(self) -> Path:
        return Path(self.home) / "steps"

    def results(self) -> dict[str, str]:
        return results_of(self.artifacts)


def run_undisturbed(words: Sequence[str], before: Path, home: Path) -> Undisturbed:
    """Runs a stage on a copy of `before`, a folder of artifacts as the stage finds it."""
    run = Undisturbed(list(words), str(home))
    shutil.rmtree(home, ignore_errors=True)
    copy(before, run.artifacts)
    copy(before, run.copies / "0")
    process = Process([*words, "--artifacts", str(run.artifacts)], home / "log")
    while process.is_running():
        run.seconds = max(run.seconds, process.cpu_seconds())
        if process.printed().count(BEGINS) >= len(run.begins):
            process.signal(signal.SIGSTOP)
            run.begins.append(process.cpu_seconds())
            run.steps.append(process.printed().rpartition(BEGINS)[2].partition(":")[0])
            copy(run.artifacts, run.copies / str(len(run.begins) - 1))
            process.signal(signal.SIGCONT)
        time.sleep(POLL)
    if process.code:
        raise PrectrError(f"the undisturbed run of {' '.join(words)} failed; it said: {process.printed()[-2000:]}")
    return run


def kill_once(run: Undisturbed, draw: int, home: Path) -> dict[str, Any]:
    """One killed run, and what became of it.

    Args:
        draw: which of the moments drawn. home: is made and removed.

    Returns:
        step, moment (share of the undisturbed run), killed (false: it had ended before), code, differing files,
        leftovers; and what was printed where it did not end well.
    """
    moment = float(generator(draw, "kills", run.words[0]).random()) * run.seconds
    step = sum(begin <= moment for begin in run.begins) - 1
    shutil.rmtree(home, ignore_errors=True)
    artifacts = home / "artifacts"
    copy(run.copies / str(step), artifacts)
    words = [*run.words, "--artifacts", str(artifacts)]
    process = Process(words, home / "killed")
    began = 0.0 if step == 0 else None  # seconds of a core at which the step of the moment began
    while process.is_running():
        now = process.cpu_seconds()
        if began is None and BEGINS in process.printed():
            began = now
        if began is not None and now - began >= moment - run.begins[step]:
            break
        time.sleep(POLL)
    killed = process.is_running()
    process.kill()
    again = Process(words, home / "again")
    code = again.wait()
    different, left = differing(run.results(), results_of(artifacts)), leftovers(artifacts)
    outcome: dict[str, Any] = {
        "draw": draw, "step": run.steps[step], "moment": round(moment / run.seconds, 4), "killed": killed, "code": code,
        "differing": different, "leftovers": left,
    }  # fmt: skip
    if code or different or left:
        outcome["said"] = process.printed()[-3000:] + "\n— again —\n" + again.printed()[-3000:]
    shutil.rmtree(home, ignore_errors=True)
    return outcome


def copy(source: Path, target: Path) -> None:
    """A copy with the times of files, which say whether one was found whole; nothing of a step's work goes along."""
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(".*.part", "*.lock"))
