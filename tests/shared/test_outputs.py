"""A file that a command is told to write replaces nothing but an ordinary file of the user's own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.outputs import check_output


def link(path: Path) -> None:
    (path.parent / "target").write_text("mine")
    path.symlink_to(path.parent / "target")


def twin(path: Path) -> None:
    os.link(path.parent / "input.parquet", path)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str | Path]:
    (tmp_path / "input.parquet").write_text("rows")
    for name in ("model", "finished"):
        (tmp_path / name / "encoder").mkdir(parents=True)
    (tmp_path / "finished" / "step.json").write_text("{}")
    (tmp_path / "other.parquet").write_text("old")
    return [tmp_path / "input.parquet", tmp_path / "model", "user/name"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("folder", os.mkdir),
        ("pipe", os.mkfifo),
        ("link", link),
        ("dangling", lambda path: path.symlink_to("nowhere")),
        ("input.parquet", None),
        ("model/../input.parquet", None),
        ("twin", twin),
        ("model", None),
        ("model/scores.parquet", None),
        ("model/encoder/model.safetensors", None),
        ("finished/encoder/scores.parquet", None),
        ("input.parquet/scores.parquet", None),
        ("x" * 300, None),
        ("..", None),
        ("a\0b", None),
    ],
)
def test_refused(tmp_path: Path, inputs: list[str | Path], name: str, make: Callable[[Path], None] | None) -> None:
    if make:
        make(tmp_path / name)
    with pytest.raises(PrectrError, match="^--output .*: name another file.$") as raised:
        check_output(tmp_path / name, "--output", inputs)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/", ".", ""])
def test_devices_and_folders_of_the_machine(path: str) -> None:
    with pytest.raises(PrectrError, match="name another file"):
        check_output(path, "--report", [])


@pytest.mark.parametrize("name", ["new.parquet", "other.parquet", "new/folder/a.parquet", "model2", "a b;'\".json"])
def test_allowed(tmp_path: Path, inputs: list[str | Path], name: str) -> None:
    assert check_output(tmp_path / name, "--output", inputs) == tmp_path / name
