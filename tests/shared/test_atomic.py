"""A file that was written is there as a whole, and as readable as any other."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from prectr.shared.atomic import _machine, atomic_write, make_readable, own_folder, remove_hidden, whole_folder
from tests.shared.leftovers import left_by_a_killed_process


@pytest.fixture(params=[0o022, 0o027], ids=["usual", "group"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_weights_are_as_readable_as_the_umask_allows(tmp_path: Path, umask: int) -> None:
    with atomic_write(tmp_path / "model.safetensors") as temporary:
        save_file({"w": np.zeros(2)}, temporary)
    assert mode(tmp_path / "model.safetensors") == 0o666 & ~umask


def test_a_private_file_is_opened_up_and_the_umask_stays(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "adapter"
    path.touch(0o600)
    make_readable(path)
    assert mode(path) == 0o666 & ~umask
    assert os.umask(umask) == umask


def test_a_failed_block_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("after")
        raise ZeroDivisionError
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["metrics.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "start"
    with pytest.raises(KeyboardInterrupt), whole_folder(folder) as part:
        (part / "half").write_text("a")
        raise KeyboardInterrupt
    assert not folder.exists()
    with whole_folder(folder) as part:
        assert not list(part.iterdir())
        (part / "whole").write_text("b")
    assert [path.name for path in folder.iterdir()] == ["whole"] and list(folder.parent.iterdir()) == [folder]


def test_two_that_write_a_file_at_once_do_not_meet(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as one, atomic_write(tmp_path / "a.txt") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a.txt").read_text() == "one" and os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_of_ones_own_is_nobody_elses(tmp_path: Path) -> None:
    with own_folder(tmp_path, "sort") as one:
        one.mkdir()
        with own_folder(tmp_path, "sort") as other:
            other.mkdir()
        assert list(tmp_path.iterdir()) == [one]
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_goes_and_what_others_may_be_at_stays(tmp_path: Path) -> None:
    left, of_another_name = (left_by_a_killed_process(tmp_path, name) for name in ("sort", "sort.other"))
    elsewhere = tmp_path / left.name.replace(_machine(), "0" * 8)
    elsewhere.mkdir()
    with own_folder(tmp_path, "sort"):
        assert set(tmp_path.iterdir()) == {elsewhere, of_another_name}
    remove_hidden(tmp_path)
    assert list(tmp_path.iterdir()) == []
