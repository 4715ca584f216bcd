"""One process: parts are worked on one after another, where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import nullcontext
from pathlib import Path

from prectr.shared.engine.job import Arrays, Job, Opened, Part
from prectr.shared.run.console import progress_bar


class PlainEngine:
    """See `prectr.shared.engine.job.Engine`; nothing is kept, since nothing is anywhere else."""

    elsewhere = False

    def map(
        self, job: Job[Opened, Part], parts: Iterable[Part], total: int | None = None, kept: Path | None = None
    ) -> Generator[Arrays, None, None]:
        bar = nullcontext(_silent) if job.shows_itself else progress_bar(job.name, total, job.unit)
        with bar as advance:
            opened = job.open()
            for part in parts:
                yield job.work(opened, part)
                advance(job.size(part))

    def together(self, build: Callable[[Path], None], work: Path) -> None:
        build(work)


def _silent(count: int) -> None:
    pass


PLAIN = PlainEngine()
