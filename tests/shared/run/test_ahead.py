"""What lies ahead: done is what would not be built, and what rests on something undone is undone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prectr.shared.run import ahead
from prectr.shared.run.ahead import Ahead, duration, look_ahead, tell
from prectr.shared.run.steps import RECORD, fingerprint_of, run_step

Steps = dict[str, Callable[[Callable[..., Any]], None]]


def work(folder: Path) -> None:
    (folder / "result").write_text("done")


def steps(home: Path, seed: int = 0) -> Steps:
    """a, then b which reads a, and c which reads nothing."""
    return {
        "a": lambda step: step("a", home / "a", {"seed": seed}, work),
        "b": lambda step: step("b", home / "b", {"a": fingerprint_of(home / "a")}, work),
        "c": lambda step: step("c", home / "c", {}, work),
    }


def run(found: Steps) -> None:
    for build in found.values():
        build(run_step)


def test_nothing_is_done_at_first_and_asking_builds_nothing(tmp_path: Path) -> None:
    assert look_ahead(tmp_path, steps(tmp_path), {"a": 3.0}) == [
        Ahead("a", False, 3.0),
        Ahead("b", False),
        Ahead("c", False),
    ]
    assert not list(tmp_path.iterdir())


def test_what_was_built_is_done(tmp_path: Path) -> None:
    run(steps(tmp_path))
    assert look_ahead(tmp_path, steps(tmp_path), {}) == [Ahead("a", True), Ahead("b", True), Ahead("c", True)]


def test_what_rests_on_a_changed_step_is_undone_and_its_time_is_that_of_before(tmp_path: Path) -> None:
    run(steps(tmp_path))
    for name in ("a", "b"):
        record = json.loads((tmp_path / name / RECORD).read_text())
        (tmp_path / name / RECORD).write_text(json.dumps(record | {"seconds": 120.0}))
    found = look_ahead(tmp_path, steps(tmp_path, seed=1), {"a": 3.0})
    assert found == [Ahead("a", False, 120.0, True), Ahead("b", False, 120.0, True), Ahead("c", True)]


def test_it_is_told_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(ahead, "print_line", lines.append)
    tell([Ahead("a", True), Ahead("b", False, 100.0, True), Ahead("c", False, 20.0, True)])
    assert lines == ["3 steps: 1 done, 2 to do, about 2 min (as before)", "  ✓ a · b 2 min · c 20 s"]
    lines.clear()
    tell([Ahead("b", False, 100.0), Ahead("c", False, None)])
    assert lines[0] == "2 steps: 0 done, 2 to do, about 2 min (measured elsewhere, on 2 cores)"
    lines.clear()
    tell([Ahead("a", True)])
    assert not lines, "what is up to date needs no plan"


@pytest.mark.parametrize(("seconds", "told"), [(0.1, "1 s"), (89, "89 s"), (90, "2 min"), (3600 * 2.5, "2.5 h")])
def test_a_time_is_told_as_one_says_it(seconds: float, told: str) -> None:
    assert duration(seconds) == told
