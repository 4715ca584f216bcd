"""What a process leaves in a folder when it is killed."""

import subprocess
import sys
from pathlib import Path

HALF = """
import os, signal, sys
from pathlib import Path
from prectr.shared.atomic import own_folder

with own_folder(Path(sys.argv[1]), sys.argv[2]) as own:
    own.mkdir()
    (own / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def left_by_a_killed_process(folder: Path, name: str) -> Path:
    """The hidden folder, with a file in it, that a process had in `folder` under this name."""
    before = set(folder.glob(".*"))
    subprocess.run([sys.executable, "-c", HALF, str(folder), name], cwd=Path(__file__).parents[2], check=False)
    [left] = set(folder.glob(".*")) - before
    return left
