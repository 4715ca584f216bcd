"""An engine that carries all there is to another process and back, without the process: as Ray does, in a moment."""

import io
from collections.abc import Generator, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from prectr.shared.engine.job import Arrays, Job

AT_ONCE = 3


class Carried:
    """Parts are worked on a few at a time, the last of them first; a result that is kept is read again.

    Attributes:
        worked: the job of every part that was worked on.
    """

    elsewhere = True

    def __init__(self) -> None:
        self.worked: list[str] = []

    def map(
        self, job: Job[Any, Any], parts: Iterable[Any], total: int | None = None, kept: Path | None = None
    ) -> Generator[Arrays, None, None]:
        from ray import cloudpickle

        there = cloudpickle.loads(cloudpickle.dumps(job))
        opened = there.open()
        numbered, sizes = enumerate(parts), 0
        while some := list(islice(numbered, AT_ONCE)):
            done = {}
            for number, part in reversed(some):
                sizes += job.size(part)
                done[number] = self._work(there, opened, cloudpickle.loads(cloudpickle.dumps(part)), number, kept)
            for number, _ in some:
                yield done[number]
        assert total in (None, sizes)

    def _work(self, job: Job[Any, Any], opened: Any, part: Any, number: int, kept: Path | None) -> Arrays:
        file = None if kept is None else kept / f"{number}.npz"
        if file is not None and file.exists():
            content = file.read_bytes()
        else:
            self.worked.append(job.name)
            stored = io.BytesIO()
            np.savez(stored, **job.work(opened, part))
            content = stored.getvalue()
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        with np.load(io.BytesIO(content)) as found:
            return dict(found)
