"""How the project talks to the terminal: one console, one look for tables, one look for progress."""

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, turns a line round or cannot be printed: controls but for tab and line feed, marks of
direction, halves of surrogate pairs."""


def visible(text: str) -> str:
    """`text` with all that is `UNSEEN` written as an escape: whatever data hold, the terminal shows it and obeys none.

    Example:
        >>> visible("shoe\\x1b[2J")
        '\\\\u001b[2J'
    """
    return UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PlainConsole(Console):
    """A terminal for which text is text: neither markup nor emoji nor control characters mean anything."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        shown = (visible(each) if isinstance(each, str) else each for each in objects)
        super().print(*shown, **{**settings, "markup": False})

    def on_broken_pipe(self) -> None:
        raise  # the error that rich is handling: `run_main` has the last word


for name in ("stdout", "stderr"):
    if getattr(sys, name) is None:  # closed by whoever began this process, as `>&-` does: nobody is told anything
        setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115

# Piped into a file there is no width to ask for, and rich's 80 columns break every table.
console = PlainConsole() if sys.stdout.isatty() else PlainConsole(width=150)

_shows_progress = False


@contextmanager
def show_progress() -> Iterator[None]:
    """Within, whatever takes long says how far it is: a command does, a library keeps its caller's output clean."""
    global _shows_progress
    before, _shows_progress = _shows_progress, True
    try:
        yield
    finally:
        _shows_progress = before


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str | None = None) -> None:
    """Print a table: the first column left-aligned, the others right-aligned. Where it is wider than the terminal,
    headers are broken before what stands below them.

    Integers get thousands separators, floats four decimals, `None` and what is not finite a dash; strings are shown as
    they are.
    """
    grid = Table(
        title=Text(visible(title)),
        caption=None if caption is None else Text(visible(caption)),
        title_justify="left",
        caption_justify="left",
    )
    cells = [[Text(format_cell(value)) for value in row] for row in rows]
    headers = [Text(visible(column)) for column in columns]
    broken = [max(map(len, [*header.plain.split(), header.plain[::2]]), default=1) for header in headers]
    content = [max([width, *(row[at].cell_len for row in cells)]) for at, width in enumerate(broken)]
    natural = sum(max(header.cell_len, width) + len(" │ ") for header, width in zip(headers, content, strict=True)) + 1
    for index, header in enumerate(headers):
        most = content[index] if natural > console.width else None
        grid.add_column(header, justify="left" if index == 0 else "right", overflow="fold", max_width=most)
    for row in cells:
        grid.add_row(*row)
    console.print(grid)


def format_cell(value: Any) -> str:
    """A value as tables show it."""
    if value is None or (isinstance(value, Real) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool | str):
        return visible(str(value))
    if isinstance(value, Integral):
        return f"{value:,}"
    return f"{value:,.4f}" if isinstance(value, Real) else str(value)


class _RateColumn(ProgressColumn):
    """Units per second, smoothed over the last steps."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {self.unit}/s" if speed else f"– {self.unit}/s", style="progress.data.speed")


@contextmanager
def progress_bar(description: str, total: int | None, unit: str = "rows") -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left, in a command (`show_progress`); yields `advance(n)`, to be called with the number
    of units just done.

    Example:
        >>> with progress_bar("labelling", total=len(pairs), unit="pairs") as advance:
        ...     for batch in batches:
        ...         advance(len(batch))
    """
    if not _shows_progress:
        yield lambda count: None
        return
    if not console.is_terminal:
        with _progress_lines(description, total, unit) as advance:
            yield advance
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}" if total is not None else "{task.completed:,.0f}"),
        _RateColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def _progress_lines(description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Progress for a log file: a line now and then, where a bar would show only its last state."""
    started = printed = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal printed, done
        done += count
        now = time.monotonic()
        if now - printed >= SECONDS_BETWEEN_LINES and done:
            printed = now
            rate = done / (now - started)
            rest = f"/{total:,}" if total is not None else ""
            left = f", {(total - done) / rate:,.0f} s left" if total is not None else ""
            print_line(f"{description}: {done:,}{rest} {unit}, {rate:,.1f} {unit}/s{left}")

    yield advance
    seconds = time.monotonic() - started
    print_line(f"{description}: {done:,} {unit} in {seconds:,.1f} s")


def print_line(text: str) -> None:
    """A line as it is, however long; above the bar, if there is one."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def progress(iterable: Iterable[T], description: str, total: int | None = None, unit: str = "batches") -> Iterator[T]:
    """Iterate with a bar; `total` is taken from `len(iterable)` where it has one."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with progress_bar(description, total, unit) as advance:
        for element in iterable:
            yield element
            advance(1)
