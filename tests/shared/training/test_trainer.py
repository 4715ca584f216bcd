"""The Trainer whose batches are those of all processes: what it changes, and what it leaves as it is."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from prectr.shared.run import console
from prectr.shared.training.progress import losses_in
from prectr.shared.training.trainer import PartTrainer
from tests.shared.run.launched import Launch


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.line(x).square().mean()}


def trainer_of(kind: type[Trainer], folder: Path, devices: int = 0, **settings: Any) -> Any:
    args = TrainingArguments(
        str(folder),
        use_cpu=True,
        seed=7,
        per_device_train_batch_size=4,
        report_to="none",
        dataloader_pin_memory=False,
        **settings,
    )
    assert args.n_gpu == 0
    args._n_gpu = devices
    rows = [{"x": torch.tensor([float(row)])} for row in range(10)]
    return kind(model=Line(), args=args, train_dataset=rows, eval_dataset=rows)  # type: ignore[arg-type]


def order(trainer: Trainer) -> list[list[float]]:
    """The rows of two epochs' batches."""
    found, loader = [], trainer.get_train_dataloader()
    for epoch in range(2):
        for sampler in (loader, getattr(loader, "batch_sampler", None)):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        found += [batch["x"].flatten().tolist() for batch in loader]
    return found


def test_one_process_sees_the_batches_of_transformers_own_trainer(tmp_path: Path) -> None:
    assert order(trainer_of(PartTrainer, tmp_path)) == order(trainer_of(Trainer, tmp_path))


def test_several_see_the_same_batches_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(PartTrainer, tmp_path)
    first, second = Launch(monkeypatch, 2).run(lambda: order(trainer))
    assert [one + other for one, other in zip(first, second, strict=True)] == order(trainer)


def test_a_machine_of_several_gpus_without_a_launcher_is_trained_on_one(tmp_path: Path) -> None:
    assert trainer_of(PartTrainer, tmp_path, devices=2).args.n_gpu == 1


@pytest.mark.parametrize("quiet", [True, False])
def test_the_terminal_shows_steps_and_losses_and_nothing_of_transformers_own(
    tmp_path: Path, shown: io.StringIO, capfd: pytest.CaptureFixture[str], quiet: bool
) -> None:
    trainer_of(PartTrainer, tmp_path / "checkpoints", logging_steps=4, disable_tqdm=quiet).train_or_resume("lines")
    lines = shown.getvalue().splitlines()
    assert [line.split(": ")[0] for line in lines] == ["lines, step 4 of 9", "lines, step 8 of 9", "lines"]
    assert lines[0].split(": ")[1].startswith("loss ") and lines[2].split(": ")[1].startswith("9 steps in ")
    assert capfd.readouterr().out == ""
    assert list((tmp_path / "runs").iterdir())


def test_what_a_killed_run_did_is_not_counted_again(tmp_path: Path, shown: io.StringIO) -> None:
    settings = {"save_steps": 6, "save_total_limit": 1, "logging_steps": 100}
    trainer = trainer_of(PartTrainer, tmp_path / "checkpoints", **settings, max_steps=6)
    trainer.train_or_resume("lines")
    trainer = trainer_of(PartTrainer, tmp_path / "checkpoints", **settings)
    trainer.train_or_resume("lines")
    assert shown.getvalue().splitlines()[-1].startswith("lines, from step 6: 3 steps in ")


def test_the_log_of_a_killed_training_is_that_of_an_undisturbed_one(tmp_path: Path) -> None:
    settings = {"save_steps": 3, "save_total_limit": 1, "logging_steps": 2}
    undisturbed = trainer_of(PartTrainer, tmp_path / "undisturbed" / "checkpoints", **settings)
    undisturbed.train_or_resume("lines")
    folder = tmp_path / "killed" / "checkpoints"
    killed = trainer_of(PartTrainer, folder, **settings)
    killed.add_callback(StopAt(5))  # two steps past the checkpoint, one past the log
    with pytest.raises(KeyboardInterrupt):
        killed.train_or_resume("lines")
    resumed = trainer_of(PartTrainer, folder, **settings)
    torch.nn.init.zeros_(resumed.model.line.weight)  # what is resumed comes from the checkpoint
    resumed.train_or_resume("lines")
    assert resumed.state.log_history == undisturbed.state.log_history
    assert [line["step"] for line in undisturbed.state.log_history] == [2, 3, 4, 6, 8]


class StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_failed_training_closes_its_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: io.StringIO) -> None:
    trainer = trainer_of(PartTrainer, tmp_path / "checkpoints")

    def fail(self: Trainer, *args: Any, **kwargs: Any) -> None:
        raise ValueError("a loss that cannot be computed")

    monkeypatch.setattr(PartTrainer, "compute_loss", fail)
    monkeypatch.setattr(console, "console", Console(file=shown, force_terminal=True))
    with pytest.raises(ValueError, match="cannot be computed"):
        trainer.train_or_resume("lines")
    assert "\x1b[?25h" in shown.getvalue(), "the cursor is not shown again"


def test_a_line_says_the_losses_of_training_or_validation() -> None:
    logs = {"loss": 0.70964, "grad_norm": 0.07, "learning_rate": 3e-4, "click": 0.14, "epoch": 0.3}
    assert losses_in(logs) == "loss 0.7096, click 0.1400"
    assert losses_in({"eval_loss": 1.25, "eval_runtime": 2.0, "epoch": 1.0}) == "validation loss 1.2500"
    assert losses_in({"train_loss": 1.25, "train_runtime": 2.0}) == ""
