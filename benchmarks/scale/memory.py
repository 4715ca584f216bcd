"""How much memory a process takes at most, phase by phase."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/status")
SECONDS_BETWEEN = 0.05


class PeakMemory:
    """Watches this process, all its threads and libraries, while the block runs.

    Two figures, both in MB (2^20 bytes). *Anonymous* memory is what the process has asked for and the system cannot
    take back without a swap: it must fit. *Resident* memory also counts pages of memory-mapped files, which the system
    keeps as long as nobody else needs the room and drops without a loss.

    Attributes:
        anonymous, resident: the peaks of every phase, by its name.
        seconds, cpu_seconds: how long each took, by the clock and on all cores together.
    """

    def __init__(self) -> None:
        self.anonymous: dict[str, float] = {}
        self.resident: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._phase: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started, cpu_started, self._phase = time.perf_counter(), time.process_time(), name
        try:
            yield
        finally:
            self._look()
            self._phase = None
            self.seconds[name] = time.perf_counter() - started
            self.cpu_seconds[name] = time.process_time() - cpu_started

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN):
            self._look()

    def _look(self) -> None:
        if (name := self._phase) is None:
            return
        lines = (line.split() for line in STATUS.read_text().splitlines() if line.startswith(("RssAnon", "VmRSS")))
        now = {words[0]: int(words[1]) / 1024 for words in lines}
        self.anonymous[name] = max(self.anonymous.get(name, 0.0), now["RssAnon:"])
        self.resident[name] = max(self.resident.get(name, 0.0), now["VmRSS:"])

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
