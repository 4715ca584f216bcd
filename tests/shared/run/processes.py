"""Commands as several processes on this machine, as a launcher starts them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
LAUNCHER = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
"""`--multi_gpu` stands for several processes, on CPUs too."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def launched(*command: str, log: Path) -> subprocess.Popen[bytes]:
    """`accelerate launch` of a command (`-m rank run …`) in two processes; what they print goes to `log`."""
    launcher = [*LAUNCHER, "--main_process_port", str(free_port()), "--mixed_precision", "no", "--dynamo_backend", "no"]
    # A group of its own, so that a test can end all of it.
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, *launcher, *command], cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )


def processes_of(launcher: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of a launcher's processes, by rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    ranks = {}
    for child in map(int, children):
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ranks |= {int(entry[5:]): child for entry in environment if entry.startswith(b"RANK=")}
    return [pid for _, pid in sorted(ranks.items())]


def end(launcher: subprocess.Popen[bytes]) -> None:
    """Ends a launcher and its processes, whatever state they are in."""
    if launcher.poll() is None:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()


def together(program: Path, arguments: Sequence[str], processes: int = 2) -> list[subprocess.CompletedProcess[str]]:
    """`python program` as processes that know each other, without a launcher that would end them together."""
    port = str(free_port())
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, str(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **common}
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    found = []
    for process in running:
        out, errors = process.communicate(timeout=120)
        found.append(subprocess.CompletedProcess(command, process.returncode, out, errors))
    return found
