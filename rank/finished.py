"""Stage two when its work is done: it shows the results of then, and loads no more than that takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prectr.rank.reports.terminal import REPORT, show_report, show_results
from prectr.shared.run.finished import finished_run, settings_of


def show_if_finished(name: str, artifacts: str, groups: Iterable[Any]) -> bool:
    """Show the results if a run with these settings has nothing to do; whether it was so.

    Args:
        name, artifacts: of the data set. groups: the settings, as dataclasses.
    """
    folder = Path(artifacts) / name
    if not finished_run(folder, "rank", settings_of(groups)):
        return False
    show_results(folder)
    show_report(folder / REPORT)
    return True
