"""Where a training can be watched."""

from pathlib import Path

from transformers.integrations import TensorBoardCallback


def tensorboard(folder: Path) -> TensorBoardCallback:
    """Logs of a `Trainer` in `folder`/runs, for `tensorboard --logdir`.

    `report_to="tensorboard"` would put them among the checkpoints, which a step removes at its end.
    """
    callback = TensorBoardCallback()
    callback.logging_dir = str(folder / "runs")
    return callback
