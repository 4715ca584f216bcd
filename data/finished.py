"""Building a data set when it is built: a line that says where it is."""

from __future__ import annotations

from pathlib import Path

from prectr.data.config import DataArguments
from prectr.shared.run.console import print_line
from prectr.shared.run.finished import finished_run, settings_of


def say_if_finished(arguments: DataArguments) -> bool:
    """Say so if building with these settings has nothing to do; whether it was so."""
    folder = Path(arguments.artifacts) / arguments.name
    if not finished_run(folder, "data", settings_of([arguments])):
        return False
    print_line(f"✓ data: up to date ({folder / 'data'})")
    return True
