"""Stage one when its work is done: a line that says where the results of then are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prectr.shared.run.console import print_line
from prectr.shared.run.finished import finished_run, settings_of


def say_if_finished(name: str, artifacts: str, groups: Iterable[Any]) -> bool:
    """Say so if a run with these settings has nothing to do; whether it was so.

    Args:
        name, artifacts: of the data set. groups: the settings, as dataclasses.
    """
    folder = Path(artifacts) / name
    if not finished_run(folder, "distill", settings_of(groups)):
        return False
    print_line(f"✓ distill: up to date ({folder / 'encoder'}; figures in its README.md and metrics.json)")
    return True
