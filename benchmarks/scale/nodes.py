"""Clusters on loopback: every node is a `ray start` of its own, as on a machine of its own, and dies as one does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

RAY = (sys.executable, "-m", "ray.scripts.scripts")
HERE = "127.0.0.1"
STARTED, PATIENCE = "Ray runtime started", 300.0
OBJECT_STORE = 200 * 2**20
"""Bytes of shared memory a node may fill with what travels; Ray would take a third of the machine for each."""


class Node:
    """Processes of one node: `ray start`, Ray's own and the workers that they begin.

    Args:
        cpus: how many parts it works on at once. gpus: that Ray is told of. address: of the head; None: it is the head.
    """

    def __init__(self, folder: Path, cpus: float, gpus: int, address: str | None = None) -> None:
        self._log = folder / f"node-{time.monotonic_ns()}.log"
        port = None if address else _free_port()
        self.address = address or f"{HERE}:{port}"
        where = ["--address", address] if address else ["--head", "--port", str(port)]
        # Any free port: workers of several nodes would look for the same ones on one machine.
        ports = ["--min-worker-port", "0", "--max-worker-port", "0"]
        size = ["--num-cpus", f"{cpus:g}", "--num-gpus", f"{gpus}", "--object-store-memory", str(OBJECT_STORE)]
        others = ["--include-log-monitor", "false", "--temp-dir", str(folder), "--disable-usage-stats", "--block"]
        head = [] if address else ["--include-dashboard", "false", "--no-monitor"]
        command = [*RAY, "start", *where, *ports, *size, *others, *head]
        # Results are the same bytes where every worker computes with one thread; nodes that begin on the same few cores
        # are slow to.
        inherited = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_raylet_start_wait_time_s": f"{PATIENCE:.0f}"}
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=inherited)

    def wait(self) -> None:
        """Until it is ready.

        Raises:
            RuntimeError: it is not within five minutes, or has ended.
        """
        until = time.monotonic() + PATIENCE
        while STARTED not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"a node did not start: {self._log.read_text()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """`kill -9` of all its processes at once."""
        for process in [*descendants(self._process.pid), self._process.pid]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait()


class Nodes:
    """The nodes of a cluster, its head first. Attributes: `address`, of the head."""

    def __init__(self, folder: Path, count: int, cpus: float, gpus: int) -> None:
        self._nodes = [Node(folder, cpus, gpus)]
        self.address = self._nodes[0].address
        try:
            self._nodes[0].wait()
            for _ in range(count - 1):
                # One by one: two that begin at once choose the same names for their sockets, and one of them dies.
                self._nodes.append(Node(folder, cpus, gpus, self.address))
                self._nodes[-1].wait()
        except BaseException:
            self.end()
            raise

    def kill_one(self) -> None:
        """`kill -9` of the node that came last; the head cannot be spared."""
        self._nodes.pop().kill()

    def __len__(self) -> int:
        return len(self._nodes)

    def end(self) -> None:
        while self._nodes:
            self._nodes.pop().kill()


@contextmanager
def nodes(count: int, cpus: float = 1.0, gpus: int = 0) -> Iterator[Nodes]:
    """So many nodes, at `RAY_ADDRESS` within; the first of them is the head."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    # Not in a test's folder: the paths of Ray's sockets must be short.
    folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
    with folder as place, environment(RAY_AUTH_MODE="token"):
        Config.initialize("")  # Ray has read its environment when it was imported, perhaps before
        # Nodes and driver know each other by the token of this user, whom others are refused for.
        subprocess.run([*RAY, "get-auth-token", "--generate"], check=True, capture_output=True)
        cluster = Nodes(Path(place), count, cpus, gpus)
        try:
            with environment(RAY_ADDRESS=cluster.address):
                yield cluster
        finally:
            cluster.end()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """These variables, within."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def at_work() -> list[int]:
    """Ray's workers that descend from this process and are working on a part."""
    return [process for process in descendants(os.getpid()) if _title(process).startswith("ray::_work_on")]


def workers() -> list[int]:
    """Ray's workers that descend from this process."""
    return [process for process in descendants(os.getpid()) if _title(process).startswith("ray::")]


def descendants(process: int) -> list[int]:
    """All processes that descend from this one, children before theirs."""
    children = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(status.parent.name))
    found = list(children[process])
    for child in found:
        found += children[child]
    return found


def _title(process: int) -> str:
    """What a process calls itself; empty if it is gone."""
    try:
        return (Path("/proc") / str(process) / "cmdline").read_text()
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HERE, 0))
        return int(listener.getsockname()[1])
