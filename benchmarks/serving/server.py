"""`rank serve` of a finished run as a process of its own, on one core a worker, and somebody who calls it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prectr.shared.errors import PrectrError

SECONDS_TO_START = 600.0
HOST = "127.0.0.1"
_ADDRESS = f"http://{HOST}:"


class Caller:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS_TO_START)

    def ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and content of what the server answers to a POST.

        Raises:
            OSError, http.client.HTTPException: it is gone.
        """
        self._connection.request("POST", path, body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def send(self, path: str, body: bytes) -> bytes:
        """What the server answers to a POST.

        Raises:
            PrectrError: it answers anything but 200. OSError, http.client.HTTPException: it is gone.
        """
        status, content = self.ask(path, body)
        if status != 200:
            raise PrectrError(f"{path} answers {status}, {content[:300].decode()}: it should answer 200.")
        return content

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.send(path, encoded(body)))
        return found

    def close(self) -> None:
        self._connection.close()


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, allow_nan=False).encode()


class Server:
    """A server that answers when it is entered.

    Args:
        run: artifacts/<name>, of a finished `rank run`. journal: its file of events. data: what its memory begins with;
            None: the run's. workers: processes that answer.

    Attributes:
        seconds_to_ready: from the start of the process to the first answer.
    """

    seconds_to_ready = 0.0

    def __init__(self, run: Path, journal: Path, data: Path | None = None, workers: int = 1) -> None:
        self._workers = workers
        self._command = [sys.executable, "-m", "prectr", "rank", "serve", "--port", "0", "--journal", str(journal)]
        self._command += ["--artifacts", str(run.parent), "--name", run.name]
        self._command += [] if data is None else ["--data", str(data)]
        self._command += [] if workers == 1 else ["--workers", str(workers)]
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile("w+")
        started, cores = time.perf_counter(), os.sched_getaffinity(0)
        os.sched_setaffinity(
            0, sorted(cores)[: self._workers]
        )  # what is started inherits it, from its first instruction on
        try:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "300"},
            )
        finally:
            os.sched_setaffinity(0, cores)
        assert self._process.stdout is not None
        # It says where it is when all is loaded.
        line = next((line for line in self._process.stdout if _ADDRESS in line), None)
        if line is None:
            self._process.wait()
            self._errors.seek(0)
            raise PrectrError(f"the server ended before it answered: {self._errors.read()[-500:].strip()}")
        self._port = int("".join(digit for digit in line.split(_ADDRESS)[1][:5] if digit.isdigit()))
        self.seconds_to_ready = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._errors.close()

    def caller(self) -> Caller:
        return Caller(self._port)

    def kill(self) -> None:
        """As a power cut does, but for the disk's own cache."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def memory(self) -> int:
        """Bytes of anonymous memory: mapped files are not in it."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024
