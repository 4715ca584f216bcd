"""A run killed while it wrote a checkpoint goes on from the one before."""

from pathlib import Path

import pytest

from prectr.shared.run.checkpoints import STATE, latest_checkpoint


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 100, 200):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 100):
        (tmp_path / f"checkpoint-{step}" / STATE).write_text("{}")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")


@pytest.mark.parametrize("state", ["", '{"global_step": 20'])
def test_a_cut_off_state_is_none(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "checkpoint-200"
    folder.mkdir(parents=True)
    (folder / STATE).write_text(state)
    assert latest_checkpoint(tmp_path) is None
