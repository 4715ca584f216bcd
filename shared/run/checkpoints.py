"""Where a killed training goes on."""

import json
import re
from pathlib import Path

STATE = "trainer_state.json"
"""Trainer writes it last, so a checkpoint without it was being written when the run was killed."""


def latest_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint that Trainer left in `folder`, if any."""
    numbered = {
        int(match[1]): path
        for path in Path(folder).glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }
    whole = [path for _, path in sorted(numbered.items()) if _is_whole(path)]
    return str(whole[-1]) if whole else None


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
