"""A command as a process group of its own, forked from this process, which has loaded the libraries for all of them.

A fork costs a hundredth of what importing torch does; what is killed is a whole process all the same. Linux only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

POLL = 0.005
TICKS = os.sysconf("SC_CLK_TCK")
LIBRARIES = (
    *("prectr.data.pipeline", "prectr.distill.pipeline", "prectr.distill.commands", "prectr.rank.pipeline"),
    *("prectr.rank.serving.score_table", "prectr.rank.reports.html", "lightgbm", "peft"),
    *("transformers.models.bert.modeling_bert", "transformers.models.llama.modeling_llama", "transformers.trainer"),
)


def load_libraries() -> None:
    """What commands import, once for all of them."""
    for name in LIBRARIES:
        import_module(name)


class Process:
    """`python -m STAGE VERB …`, begun when this is made.

    Args:
        words: stage, verb and flags. log: gets all that it prints.
    """

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.words, self.log = list(words), log
        self.code: int | None = None
        log.touch()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            self._run()
        with suppress(OSError):  # whoever comes first, child or parent
            os.setpgid(self.pid, self.pid)

    def is_running(self) -> bool:
        """Whether it has not ended; `code` is then its exit code, or minus the signal's number."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is None

    def cpu_seconds(self) -> float:
        """Seconds of a core that it has had, its children that have ended included; 0 once it has ended itself."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / TICKS

    def printed(self) -> str:
        """All that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        """Sends a signal to the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """`kill -9` of the whole group; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        while self.is_running():
            time.sleep(POLL)
        assert self.code is not None
        return self.code

    def _run(self) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.stdout, sys.stderr = (open(each, "w", encoding="utf-8", closefd=False) for each in (1, 2))  # noqa: SIM115
            sys.argv = [f"-m {self.words[0]}", *self.words[1:]]
            import_module(f"prectr.{self.words[0]}.__main__").run()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
