"""What a conversion says before it takes the place of tables that a model was trained on. [O]

Nothing is lost that the first files would not give again, but who goes down a page of examples would not know.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from prectr.shared.run.console import console
from prectr.shared.run.steps import RECORD, read_record


def say_what_is_replaced(folder: Path, files: Any) -> None:
    """Print a line where the tables in a folder are of other files and a ranker or an encoder learnt from them.

    Args:
        folder: artifacts/<name>/data. files: what tells the files that are converted now, as the step's inputs have it.
    """
    trained = [folder.parent / name for name in ("ranker", "encoder") if (folder.parent / name / RECORD).is_file()]
    if not trained or not (folder / RECORD).is_file():
        return
    before = read_record(folder).inputs
    if before.get("files", before.get("source")) == files:
        return
    free = next(name for number in count(2) if not (name := Path(f"{folder.parent}-{number}")).exists()).name
    said = f"these are other files: they replace the tables that {trained[0]} was trained on"
    console.print(f"{folder}: {said}; to keep both: --name {free}", highlight=False, markup=False, soft_wrap=True)
