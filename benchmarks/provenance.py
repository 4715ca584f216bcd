"""How, when, where and on what a result came to be."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.steps import git_commit


def provenance(module: str, argv: Sequence[str]) -> dict[str, Any]:
    """The command line of `python -m <module>`, this checkout's commit, the date and the machine."""
    return {
        "command": " ".join([f"python -m {module}", *argv]),
        "commit": git_commit() or "unknown",
        "date": today(),
        "machine": machine(),
    }


def today() -> str:
    """The date in UTC, 2026-01-31."""
    return time.strftime("%Y-%m-%d", time.gmtime())


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
