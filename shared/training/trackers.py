"""Where the curves of a process's trainings go: TensorBoard's files, or any tracker that transformers knows."""

from collections.abc import Sequence
from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, get_reporting_integration_callbacks
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from prectr.shared.errors import PrectrError

_chosen = ["tensorboard"]


def report_to(names: Sequence[str]) -> None:
    """Chooses the trackers of all trainings that this process begins from here on: like a log's, their choice decides
    no result, so it is passed through no training and stands in no fingerprint.

    Raises:
        PrectrError: transformers knows no such tracker, or its package is not installed.
    """
    names = [name for name in names if name != "none"]
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(["none", *INTEGRATION_TO_CALLBACK])
            raise PrectrError(f"report_to: {name!r} is no tracker that transformers knows; use {known}.")
        try:
            get_reporting_integration_callbacks([name])[0]()
        except (RuntimeError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise PrectrError(f"report_to: {name} cannot be used here: {reason}") from error
    _chosen[:] = names


def chosen() -> list[str]:
    """The trackers' names, for a process that trains in this one's place."""
    return list(_chosen)


def callbacks(folder: Path) -> list[TrainerCallback]:
    """The chosen trackers, for one training; TensorBoard's logs lie in `folder`/runs, for `tensorboard --logdir`.

    `TrainingArguments.report_to` would put those among the checkpoints, which a step removes at its end.
    """
    made: list[TrainerCallback] = [kind() for kind in get_reporting_integration_callbacks(_chosen)]
    for each in made:
        if isinstance(each, TensorBoardCallback):
            each.logging_dir = str(folder / "runs")
    return made
