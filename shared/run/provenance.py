"""How a result came to be, as far as others may read it: the command, the commit, the machine."""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

ADDRESS = "<address>"


def shareable_command(program: str, argv: Sequence[str]) -> str:
    """The command line of `program` for cards, metrics and reports, without what only this machine knows.

    Example:
        >>> shareable_command("prectr distill", ["run", "--teacher", "http://10.0.0.7/v1,/home/me/models/judge"])
        "prectr distill run --teacher '<address>,judge'"
    """
    return f"{program} {shlex.join(map(shareable, argv))}".strip()


def shareable(text: str) -> str:
    """`text`, such as a model's source or `--flag=a,b`, with an endpoint's or a store's address left out, and only the
    last part of a path that begins at the root, at a home folder or above the working folder; hub ids and other paths
    stay.
    """
    text = re.sub(r"(?:https?|file|s3|gs)://[^\s,]+", ADDRESS, text)
    return "".join(_name_alone(part) for part in re.split(r"([,=:])", text))


def _name_alone(part: str) -> str:
    path = PureWindowsPath(part)  # parts paths of either kind
    is_private = bool(path.root) or part.startswith("~") or ".." in path.parts
    return (path.name.replace("..", "") or "<a folder>") if is_private else part


def machine() -> dict[str, Any]:
    """CPU model, number of cores, GiB of memory."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
    }


def git_commit() -> str | None:
    """The commit of this checkout, with `-dirty` if tracked files differ from it; None if this is not a checkout."""
    return _commit_of(Path(__file__).resolve().parents[2])


def _commit_of(root: Path) -> str | None:
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return None
        return _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
