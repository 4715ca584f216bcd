"""Two commands at once on one folder: one waits or is told, and what is left is what one of the two orders leaves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kills.process import POLL, Process
from benchmarks.kills.results import differing, leftovers, results_of
from benchmarks.kills.stage import Undisturbed, copy

AT_ONCE = "at once: "
"""What the name of such an outcome begins with."""

WAITS = "… "
"""What the line of a command that waits for another begins with."""


def run_pair(
    first: Sequence[str],
    second: Sequence[str],
    before: Path,
    allowed: Sequence[dict[str, str]],
    home: Path,
    name: str,
    delay: float = 0.0,
) -> dict[str, Any]:
    """Starts both on a copy of `before`, and says how that ended.

    Args:
        allowed: results that one order of the two, or one of them alone, leaves. delay: seconds of a core that the
            first has had when the second starts.

    Returns:
        codes; waited (whether one said that it waits); told (the last line of one that refused); differing: files that
        are not those of the nearest of `allowed`; leftovers.
    """
    shutil.rmtree(home, ignore_errors=True)
    copy(before, home / name)
    one = Process(_placed(first, home, name), home / "first")
    while one.is_running() and one.cpu_seconds() < delay:
        time.sleep(POLL)
    other = Process(_placed(second, home, name), home / "second")
    both = (one, other)
    codes = [each.wait() for each in both]
    found = results_of(home / name)
    different = min((differing(expected, found) for expected in allowed), key=len)
    refused = [each.printed().strip().splitlines()[-1] for each in both if each.code == 2]
    outcome = {
        "first": " ".join(first), "second": " ".join(second), "codes": codes,
        "waited": any(WAITS in each.printed() for each in both), "told": refused, "differing": different,
        "leftovers": leftovers(home / name),
    }  # fmt: skip
    if different or any(code not in (0, 2) for code in codes):
        outcome["said"] = "\n— second —\n".join(each.printed()[-3000:] for each in both)
    shutil.rmtree(home, ignore_errors=True)
    return outcome


def all_pairs(one: Undisturbed, two: Undisturbed, home: Path, done: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pair of commands, the second at once or when the first is half through; those `done` are left out.

    Yields:
        Its name, and the outcome.
    """
    name = one.name
    distill, rank = one.words, two.words
    other_student = [*distill, "--sft_learning_rate", "5e-4"]
    other_rank = [*rank, "--learning_rate", "1e-3"]
    other_data = ["data", "build", "--profile", "smoke", "--train_pages", "150"]
    score = ["rank", "score", "--name", name, "--impressions", f"{two.folder}/data/impressions.parquet"]
    cases = [
        ("two distill run", distill, distill, home / "data" / name),
        ("two rank run", rank, rank, one.folder),
        ("two rank run of different settings", rank, other_rank, one.folder),
        ("rank run and distill run", rank, other_student, one.folder),
        ("distill run and rank run", other_student, rank, one.folder),
        ("rank run and data build", rank, other_data, one.folder),
        ("rank run and rank score", other_rank, score, two.folder),
    ]
    for case, first, second, before in cases:
        names = {f"{AT_ONCE}{case}, {when}": share for when, share in (("together", 0.0), ("half through", 0.5))}
        if not set(names) - done:
            continue
        allowed, seconds = in_either_order(first, second, before, home / "orders", name)
        for title, share in names.items():
            if title not in done:
                yield title, run_pair(first, second, before, allowed, home / "pair", name, share * seconds)


def in_either_order(
    first: Sequence[str], second: Sequence[str], before: Path, home: Path, name: str
) -> tuple[list[dict[str, str]], float]:
    """What is left by one command alone (the other was told), and by both, one after the other, in either order; and
    how many seconds of a core the first takes.
    """
    allowed, taken = [], []
    for order in ([first, second], [second, first]):
        shutil.rmtree(home, ignore_errors=True)
        copy(before, home / name)
        for words in order:
            process = Process(_placed(words, home, name), home / "log")
            seconds = 0.0
            while process.is_running():
                seconds = max(seconds, process.cpu_seconds())
                time.sleep(POLL)
            taken.append(seconds)
            allowed.append(results_of(home / name))
    return allowed, taken[0]


def _placed(words: Sequence[str], home: Path, name: str) -> list[str]:
    """A command with where it works; scores lie beside what they were made by, and so are compared with the rest."""
    where = [*words, "--artifacts", str(home)]
    return [*where, "--output", str(home / name / "scores.parquet")] if "score" in words else where
