"""What an engine is asked: one function over parts, in order.

A part's result, arrays by name, is a pure function of what was opened and of the part: it may be worked on anywhere,
twice, and in any order. Results are taken in the order of the parts, never of arrival: whoever adds them up or appends
them to a file gets the same bytes from every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

Opened = TypeVar("Opened")
Part = TypeVar("Part")
Arrays = Mapping[str, np.ndarray]


def one(part: Any) -> int:
    """Of how many units a part consists, where parts themselves are counted."""
    return 1


@dataclass(frozen=True)
class Job(Generic[Opened, Part]):
    """The same work on every part. All of it must be picklable, with cloudpickle.

    Attributes:
        name: what the progress bar and messages call it.
        open: called once per process; what it returns is given to every part that the process works on.
        work: (opened, part) -> arrays by name.
        size: how many units a part has. unit: what they are called.
        shows_itself: whether `work` says how far it is, where somebody sees it: in this process.
        cpus, gpus: what a part occupies meanwhile, where there is a choice; no more processors than a node has, and no
            GPU where no node has that many.
    """

    name: str
    open: Callable[[], Opened]
    work: Callable[[Opened, Part], Arrays]
    size: Callable[[Part], int] = one
    unit: str = "parts"
    shows_itself: bool = False
    cpus: float = 1.0
    gpus: float = 0.0


class Engine(Protocol):
    """Works jobs off.

    Attributes:
        elsewhere: whether parts are worked on by other processes than this one.
    """

    @property
    def elsewhere(self) -> bool: ...

    def map(
        self, job: Job[Opened, Part], parts: Iterable[Part], total: int | None = None, kept: Path | None = None
    ) -> Generator[Arrays, None, None]:
        """The result of every part, in their order, as they are asked for.

        Args:
            parts: read as they are needed, not all at once.
            total: units of all parts, for the time left; None: not known.
            kept: a folder that every process sees, for this job alone. Another process leaves a part's result there;
                whoever asks again, since this process was killed, gets it from there. Its owner removes it.

        Raises:
            PrectrError: a part failed: which, where, and why; or whatever `work` raises in this process.
        """
        ...

    def together(self, build: Callable[[Path], None], work: Path) -> None:
        """Call a training's `build(work)`, where there are several processes for it in all of them: see `run_step`.

        Raises:
            PrectrError: `build` refused, or its processes died too often.
        """
        ...
