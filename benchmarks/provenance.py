"""How, when, where and on what a result came to be."""

import time
from collections.abc import Sequence
from typing import Any

from prectr.shared.run.provenance import git_commit, machine, shareable_command


def provenance(module: str, argv: Sequence[str]) -> dict[str, Any]:
    """The command line of `python -m <module>`, this checkout's commit, the date and the machine."""
    return {
        "command": shareable_command(f"python -m {module}", argv),
        "commit": git_commit() or "unknown",
        "date": today(),
        "machine": machine(),
    }


def today() -> str:
    """The date in UTC, 2026-01-31."""
    return time.strftime("%Y-%m-%d", time.gmtime())
