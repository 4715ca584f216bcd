"""Two commands at once on one folder: one waits or is told, and what is left is what one of the two orders leaves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.kills.process import POLL, Process
from benchmarks.kills.results import differing, leftovers, results_of
from benchmarks.kills.stage import Undisturbed, copy

NAME = "toy"

AT_ONCE = "at once: "
"""What the name of such an outcome begins with."""

WAITS = "… "
"""What the line of a command that waits for another begins with."""


@dataclass(frozen=True)
class Allowed:
    """What two commands may leave: each alone, and both in either order; `seconds` of a core that the first takes."""

    first: dict[str, str]
    second: dict[str, str]
    both: list[dict[str, str]]
    seconds: float


def in_either_order(first: Sequence[str], second: Sequence[str], before: Path, home: Path) -> Allowed:
    """What is left of copies of `before`, a folder of artifacts, by the commands one after the other."""
    alone: list[dict[str, str]] = []
    both: list[dict[str, str]] = []
    taken: list[float] = []
    for order in ([first, second], [second, first]):
        shutil.rmtree(home, ignore_errors=True)
        copy(before, home / "artifacts")
        for place, words in enumerate(order):
            process = Process(_placed(words, home / "artifacts"), home / "log")
            seconds = 0.0
            while process.is_running():
                seconds = max(seconds, process.cpu_seconds())
                time.sleep(POLL)
            taken.append(seconds)
            (both if place else alone).append(results_of(home / "artifacts"))
    shutil.rmtree(home, ignore_errors=True)
    return Allowed(alone[0], alone[1], both, taken[0])


def run_pair(
    first: Sequence[str], second: Sequence[str], before: Path, allowed: Allowed, home: Path, delay: float = 0.0
) -> dict[str, Any]:
    """Starts both on a copy of `before`, and says how that ended.

    Args:
        delay: seconds of a core that the first has had when the second starts.

    Returns:
        codes; waited (whether one said that it waits); told (the last line of one that refused); differing: files that
        are not those of the nearest that is allowed; leftovers.
    """
    shutil.rmtree(home, ignore_errors=True)
    artifacts = home / "artifacts"
    copy(before, artifacts)
    one = Process(_placed(first, artifacts), home / "first")
    while one.is_running() and one.cpu_seconds() < delay:
        time.sleep(POLL)
    other = Process(_placed(second, artifacts), home / "second")
    both = (one, other)
    codes = [each.wait() for each in both]
    found = results_of(artifacts)
    fitting = [allowed.second] if codes[0] == 2 else [allowed.first] if codes[1] == 2 else allowed.both
    outcome: dict[str, Any] = {
        "first": " ".join(first), "second": " ".join(second), "codes": codes,
        "waited": any(WAITS in each.printed() for each in both),
        "told": [each.printed().strip().splitlines()[-1] for each in both if each.code == 2],
        "differing": min((differing(expected, found) for expected in fitting), key=len),
        "leftovers": leftovers(artifacts),
    }  # fmt: skip
    if outcome["differing"] or any(code not in (0, 2) for code in codes):
        outcome["said"] = "\n— second —\n".join(each.printed()[-3000:] for each in both)
    shutil.rmtree(home, ignore_errors=True)
    return outcome


def all_pairs(data: Path, one: Undisturbed, two: Undisturbed, home: Path) -> Iterator[Pair]:
    """Each pair of commands, the second together with the first or when that is half through."""
    distill, rank = one.words, two.words
    other_student = [*distill, "--sft_learning_rate", "5e-4"]
    other_rank = [*rank, "--learning_rate", "1e-3"]
    other_data = ["data", "build", "--profile", "smoke", "--train_pages", "150"]
    impressions = two.artifacts / NAME / "data" / "impressions.parquet"
    score = ["rank", "score", "--name", NAME, "--impressions", str(impressions)]
    yield Pair("two distill run", distill, distill, data, home)
    yield Pair("two rank run", rank, rank, one.artifacts, home)
    yield Pair("two rank run of different settings", rank, other_rank, one.artifacts, home)
    yield Pair("rank run and distill run", rank, other_student, one.artifacts, home)
    yield Pair("distill run and rank run", other_student, rank, one.artifacts, home)
    yield Pair("rank run and data build", rank, other_data, one.artifacts, home)
    yield Pair("rank run and rank score", other_rank, score, two.artifacts, home)


@dataclass(frozen=True)
class Pair:
    """Two commands that begin on copies of `before`; `home` is where they work."""

    title: str
    first: Sequence[str]
    second: Sequence[str]
    before: Path
    home: Path

    WHEN = {"together": 0.0, "half through": 0.5}

    @property
    def names(self) -> dict[str, float]:
        """By name, the share of the first that is done when the second starts."""
        return {f"{AT_ONCE}{self.title}, {when}": share for when, share in self.WHEN.items()}

    @cached_property
    def allowed(self) -> Allowed:
        return in_either_order(self.first, self.second, self.before, self.home / "orders")

    def run(self, name: str) -> dict[str, Any]:
        """The outcome of the pair begun so."""
        delay = self.names[name] * self.allowed.seconds
        return run_pair(self.first, self.second, self.before, self.allowed, self.home / "pair", delay)


def _placed(words: Sequence[str], artifacts: Path) -> list[str]:
    """A command with where it works; scores lie beside what they were made by, and so are compared with the rest."""
    where = [*words, "--artifacts", str(artifacts)]
    return [*where, "--output", str(artifacts / NAME / "scores.parquet")] if "score" in words else where
