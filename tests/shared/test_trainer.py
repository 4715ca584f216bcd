"""The Trainer whose batches are those of all processes: what it changes, and what it leaves as it is."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from shared.trainer import PartTrainer
from tests.shared.launched import Launch


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.line(x).square().mean()}


def trainer_of(kind: type[Trainer], folder: Path, devices: int = 0) -> Trainer:
    args = TrainingArguments(
        str(folder), use_cpu=True, seed=7, per_device_train_batch_size=4, report_to="none", dataloader_pin_memory=False
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
