"""Which trackers a training reports to, and what is said of those that are not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback, integration_utils

from prectr.distill.config import RunArguments as DistillArguments
from prectr.rank.config import RunArguments as RankArguments
from prectr.shared.errors import PrectrError
from prectr.shared.training import trackers
from prectr.shared.training.trainer import PartTrainer


class Tracker(TrainerCallback):
    """Stands for a tracker of transformers'."""

    seen: list[tuple[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        self.seen += [(args.run_name, value) for name, value in (logs or {}).items() if name == "loss"]


class Missing(TrainerCallback):
    def __init__(self) -> None:
        raise RuntimeError("This tracker is not installed.\nRun `pip install tracker`.")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Tracker)
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "mlflow", Missing)
    Tracker.seen.clear()
    yield
    trackers.report_to(["tensorboard"])


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((self.weight - x) ** 2).mean()}


def train(folder: Path) -> None:
    args = TrainingArguments(
        output_dir=str(folder / "checkpoints"), max_steps=2, logging_steps=1, use_cpu=True, report_to="none"
    )
    PartTrainer(model=Line(), args=args, train_dataset=[{"x": torch.ones(1)}] * 2).train_or_resume("a line")


def test_a_training_reports_to_what_was_chosen_under_its_own_name(tmp_path: Path) -> None:
    trackers.report_to(["wandb"])
    train(tmp_path)
    assert [name for name, _ in Tracker.seen] == ["a line", "a line"]
    assert not (tmp_path / "runs").exists()


def test_tensorboards_logs_lie_beside_the_checkpoints_by_default(tmp_path: Path) -> None:
    (only,) = trackers.callbacks(tmp_path)
    assert isinstance(only, TensorBoardCallback) and only.logging_dir == str(tmp_path / "runs")
    train(tmp_path)
    assert list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("nothing", [[], ["none"]])
def test_none_reports_nowhere(nothing: list[str], tmp_path: Path) -> None:
    trackers.report_to(nothing)
    assert trackers.callbacks(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wanbd", "^report_to: 'wanbd' is no tracker that transformers knows; use none, .*tensorboard"),
        (
            "mlflow",
            "^report_to: mlflow cannot be used here: This tracker is not .*. Run `pip install tracker`.$",
        ),
    ],
)
def test_what_is_not_there_is_refused_and_the_choice_stays(name: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=sentence):
        trackers.report_to(["wandb", name])
    assert [type(each) for each in trackers.callbacks(tmp_path)] == [TensorBoardCallback]


def test_both_stages_report_to_tensorboard_unless_told_otherwise() -> None:
    assert DistillArguments().report_to == RankArguments(name="toy").report_to == ["tensorboard"]
