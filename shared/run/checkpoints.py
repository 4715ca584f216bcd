"""Where a killed training goes on."""

import re
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from prectr.shared.strict_json import loads

PICKLED = ("optimizer.pt", "scheduler.pt")
"""What Trainer writes with torch.save: zip archives, whose directory stands at the end."""

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
    """Whether every part can be read: training that goes on without its optimizer is another training."""
    try:
        state = loads((checkpoint / STATE).read_text(encoding="utf-8"))
        weights = sorted(checkpoint.glob("*.safetensors"))
        for file in weights:
            with safe_open(file, "np"):  # its header has to fit its length
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    pickled = [checkpoint / name for name in PICKLED]
    return bool(weights) and isinstance(state, dict) and all(zipfile.is_zipfile(file) for file in pickled)
