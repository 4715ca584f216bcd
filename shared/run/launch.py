"""The processes that a launcher (torchrun, `accelerate launch`) started together: who they are, and what they agree on.

Who a process is stands in its environment. What needs several to speak to each other goes over gloo, also where the
training itself uses NCCL: a process that waits for another waits as long as it takes, and learns at once of its death.
"""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from prectr.shared.errors import PrectrError

PATIENCE = timedelta(days=30)
"""How long a process waits for the first one to build something; that a process died is noticed by its connection."""

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")

_peers: list[tuple[int, int]] = []
"""(machine, process id) of every process, by rank; known once they have spoken to each other."""


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def num_processes() -> int:
    """How many processes were launched together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_launched() -> bool:
    """Whether there are others beside this process."""
    return num_processes() > 1


def require_known() -> None:
    """Refuses processes that MPI started, and the one that `accelerate launch --cpu` starts without it where several
    were asked for.

    Raises:
        PrectrError: this is such a process.
    """
    given = os.environ
    asked_for_several = given.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1") and "MASTER_ADDR" in given
    by_mpi = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"} & set(given)
    if "WORLD_SIZE" not in given and (asked_for_several or by_mpi):
        raise PrectrError(
            "accelerate launch --cpu leaves several processes to MPI, which is not supported: write --multi_gpu "
            "instead of --cpu, which starts them on CPUs too, or use torchrun --nproc_per_node."
        )


def is_first() -> bool:
    """Whether this process is the one that builds, writes and prints what only one can."""
    return rank() == 0


@contextmanager
def alone() -> Iterator[None]:
    """Within, this process takes itself for the only one, and so does every library that asks the environment."""
    hidden = {name: os.environ.pop(name) for name in ENVIRONMENT if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def agree(value: Any) -> Any:
    """The first process's `value`, a JSON value, in all of them; what the others pass is not read."""
    if not is_launched():
        return value
    import torch
    import torch.distributed as dist

    group = _group()
    text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    size = torch.tensor([len(text)])
    dist.broadcast(size, 0, group=group)
    content = text if is_first() else torch.empty(int(size), dtype=torch.uint8)
    dist.broadcast(content, 0, group=group)
    return json.loads(content.numpy().tobytes())


def wait_for_all() -> None:
    """Returns when every process has come here."""
    if is_launched():
        import torch.distributed as dist

        dist.barrier(group=_group())


def leave() -> None:
    """Ends what the processes had in common, at the end of a command that went well."""
    if is_launched() and _peers:
        import torch.distributed as dist

        wait_for_all()
        dist.destroy_process_group()


def missing() -> list[int]:
    """Ranks of the processes that ran on this machine and are gone."""
    here = _machine()
    return [number for number, (machine, pid) in enumerate(_peers) if machine == here and not is_running(pid)]


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether `error` is what a collective raises when another process is no longer there."""
    if not is_launched():
        return False
    from torch.distributed import DistError

    # gloo raises a plain RuntimeError, with its own source file's name in it.
    return isinstance(error, DistError) or any(word in str(error) for word in ("gloo", "Connection closed by peer"))


@cache
def _group() -> Any:
    """All processes, over gloo; the first call is made by all of them at the same place."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    everyone = [torch.empty(2, dtype=torch.int64) for _ in range(num_processes())]
    dist.all_gather(everyone, torch.tensor([_machine(), os.getpid()]), group=group)
    _peers[:] = [(int(machine), int(pid)) for machine, pid in everyone]
    return group


def _machine() -> int:
    return int.from_bytes(hashlib.sha256(socket.gethostname().encode()).digest()[:7])


def is_running(pid: int) -> bool:
    """Whether a process of this machine is there and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # One that was killed stays listed, as a zombie, until its parent has asked how it ended.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
