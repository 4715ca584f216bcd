"""A run killed while it wrote a checkpoint, or one that was damaged since, goes on from the one before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prectr.shared.run.checkpoints import STATE, latest_checkpoint


def write(folder: Path, step: int) -> Path:
    """A checkpoint with the files that Trainer leaves."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    save_file({"weight": torch.ones(300)}, checkpoint / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.save({"step": step, "momentum": torch.ones(300)}, checkpoint / name)
    (checkpoint / STATE).write_text(json.dumps({"global_step": step}))
    return checkpoint


def test_the_newest_whole_one_counts(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 100, 20):
        write(tmp_path, step)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    (tmp_path / "checkpoint-new").mkdir()
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "scheduler.pt", STATE])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
        lambda path: path.write_bytes(b"\0" * len(path.read_bytes())),
        lambda path: path.write_bytes(b"[" * 100_000),
    ],
)
def test_a_damaged_one_falls_back_to_the_one_before(
    tmp_path: Path, file: str, damage: Callable[[Path], object]
) -> None:
    write(tmp_path, 100)
    damage(write(tmp_path, 200) / file)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    damage(tmp_path / "checkpoint-100" / file)
    assert latest_checkpoint(tmp_path) is None
