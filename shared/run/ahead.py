"""What lies ahead of a long command: its steps, which of them are done, and about how long the others take here.

A step is asked for what decides it, as it would be to be built, and builds nothing. What depends on a step that is yet
to be built is yet to be built. How long it takes is what its folder says of the last time, else what a table says.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.steps import is_finished, read_record, step_fingerprint

SECONDS_WORTH_TELLING = 1.0


@dataclass(frozen=True)
class Ahead:
    """A step as it stands before the command begins.

    Attributes:
        name: of its folder. seconds: about how long it will take; None: nobody knows. measured: whether here.
    """

    name: str
    done: bool
    seconds: float | None = None
    measured: bool = False


Build = Callable[[Callable[..., Any]], None]
"""Hands a step to what it is given, as `run_step` takes it."""


def look_ahead(home: Path, builds: Mapping[str, Build], usual: Mapping[str, float]) -> list[Ahead]:
    """How each step stands.

    Args:
        home: the folder of the steps' folders. builds: by the folder's name, in the order they run.
        usual: seconds that steps take, for those that never ran here.
    """
    found: list[Ahead] = []
    for name, build in builds.items():
        undone = {each.name for each in found if not each.done}
        if _is_done(build, undone):
            found.append(Ahead(name, True))
            continue
        seconds, measured = usual.get(name), False
        with suppress(PrectrError):
            seconds, measured = read_record(home / name).seconds, True
        found.append(Ahead(name, False, seconds, measured))
    return found


def _is_done(build: Build, undone: set[str]) -> bool:
    answers: list[bool] = []

    def ask(
        name: str,
        folder: Path,
        inputs: Mapping[str, Any],
        work: Callable[..., Any],
        *,
        sources: Sequence[str] = (),
        together: bool = False,
        through: Callable[..., None] | None = None,
    ) -> None:
        fingerprint = step_fingerprint(name, inputs, work, sources)
        answers.append(not undone & set(inputs) and is_finished(folder, fingerprint))

    try:
        build(ask)
    except PrectrError:  # something that it is made of is not there yet, or never will be: the step itself says so
        return False
    return all(answers)


def tell(steps: Sequence[Ahead]) -> None:
    """Print what lies ahead, in two lines; nothing where all is done."""
    left = [each for each in steps if not each.done]
    if not left:
        return
    known = [each.seconds for each in left if each.seconds is not None]
    about = f", about {duration(sum(known))}" if known else ""
    source = ""
    if known:
        source = " (as before)" if all(each.measured for each in left) else " (measured elsewhere, on 2 cores)"
    done = [each.name for each in steps if each.done]
    print_line(f"{len(steps)} steps: {len(done)} done, {len(left)} to do{about}{source}")
    print_line("  " + " · ".join(_told(each) for each in steps))


def _told(step: Ahead) -> str:
    if step.done:
        return f"✓ {step.name}"
    if step.seconds is None:
        return step.name
    return f"{step.name} {duration(step.seconds)}"


def duration(seconds: float) -> str:
    """A time as one says it: 40 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{max(seconds, SECONDS_WORTH_TELLING):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
