"""The parent of several workers: it replaces the dead, passes on what all are to do, and ends with the last of them."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prectr.rank.service.processes.workers import Workers
from prectr.shared.errors import PrectrError
from tests.rank.service.processes.light_worker import work

PATIENCE = 120.0


class Running:
    """Two workers whose parent is a thread of this process."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ready = threading.Event()
        self.workers = Workers(2, work, (folder, self.listener), self.ready.set)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.workers.run()
        except PrectrError as error:
            self.error = error
            self.ready.set()

    def ask(self, method: str = "GET", path: str = "/") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path)
        found = json.loads(connection.getresponse().read())
        connection.close()
        return found

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.workers._workers]

    def of(self, pid: int) -> Any:
        """What one worker says; the other stands still meanwhile."""
        (other,) = (each for each in self.pids() if each != pid)
        os.kill(other, signal.SIGSTOP)
        try:
            return self.ask()
        finally:
            os.kill(other, signal.SIGCONT)

    def stop(self) -> None:
        self.workers.stop()
        self.thread.join(PATIENCE)
        self.listener.close()


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    workers = Running(folder)
    try:
        assert workers.ready.wait(PATIENCE)
        yield workers
    finally:
        workers.stop()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP")


def test_workers_answer_reload_die_and_end(tmp_path: Path) -> None:
    with running(tmp_path) as workers:
        pids = workers.pids()
        assert [workers.of(pid) for pid in pids] == [{"pid": pid, "reloads": 0} for pid in pids]
        assert workers.ask("POST", "/reload") == {"status": "reloaded"}
        assert [workers.of(pid)["reloads"] for pid in pids] == [1, 1]
        # Where the first cannot, the others go on as they are, and no path is told.
        (tmp_path / "broken").touch()
        assert workers.ask("POST", "/reload") == {"status": "ranker is not there: name another."}
        assert [workers.of(pid)["reloads"] for pid in pids] == [1, 1]
        (tmp_path / "broken").unlink()
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: workers.pids()[0] != pids[0] and all(each.ready for each in workers.workers._workers))
        new = workers.pids()[0]
        assert workers.of(new) == {"pid": new, "reloads": 0} and workers.of(pids[1])["reloads"] == 1
        assert workers.ask("POST", "/reload") == {"status": "reloaded"} and workers.of(new)["reloads"] == 1
        last = workers.pids()
    assert workers.error is None and not any(is_there(pid) for pid in last)


@pytest.mark.parametrize(
    ("what", "said"), [("missing", "is not there"), ("deadly", "before they answered .exit code 9.")]
)
def test_workers_that_cannot_answer_end_it(tmp_path: Path, what: str, said: str) -> None:
    (tmp_path / what).touch()
    with running(tmp_path) as workers:
        with pytest.raises(PrectrError, match=said):
            raise workers.error or AssertionError
        until(lambda: not any(is_there(pid) for pid in workers.pids() if pid))
