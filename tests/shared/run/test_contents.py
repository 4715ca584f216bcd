"""A finished folder that is not as its step left it is named, and made again by the step."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run import contents
from prectr.shared.run.contents import remark_on_tables
from prectr.shared.run.steps import fingerprint_of, require_whole, run_step


def build(work: Path) -> None:
    (work / "encoder").mkdir()
    (work / "model.bin").write_bytes(bytes(range(256)) * 8)
    (work / "encoder" / "config.json").write_text('{"width": 3}')
    (work / "README.md").write_text("a card")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another file": lambda path: path.write_text("{}"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run_step("ranker", tmp_path / "ranker", {"seed": 1}, build)
    return tmp_path / "ranker"


@pytest.mark.parametrize("file", ["model.bin", "encoder/config.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_with_the_command_and_made_good_by_it(
    folder: Path, damage: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / file).read_bytes()
    DAMAGES[damage](folder / file)
    for opened in (require_whole, fingerprint_of):
        with pytest.raises(PrectrError, match=f"ranker: {file} is (damaged|missing): run make rank again"):
            opened(folder)
    run_step("ranker", folder, {"seed": 1}, build)
    assert (folder / file).read_bytes() == whole
    assert require_whole(folder).inputs == {"seed": 1}


def test_what_was_found_whole_is_not_hashed_again_until_it_is_touched(folder: Path) -> None:
    note = folder.parent / ".ranker.checked.json"
    with (
        patch.object(contents, "_hashed", {}),  # as in another process
        patch.object(contents, "file_fingerprint", wraps=contents.file_fingerprint) as hashed,
    ):
        require_whole(folder)
        assert note.is_file() and not hashed.called
        os.utime(folder / "model.bin", ns=(1, 1))
        require_whole(folder)
        assert [call.args[0].name for call in hashed.call_args_list] == ["model.bin"]


def test_a_copy_is_whole_and_a_card_may_be_written_anew(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "ranker"))
    (copy / "README.md").write_text("another card")
    (copy / "more.json").write_text("{}")
    require_whole(copy)


def test_a_file_that_may_not_be_read_is_not_called_missing(folder: Path) -> None:
    os.utime(folder / "model.bin", ns=(1, 1))
    with (
        patch.object(contents, "file_fingerprint", side_effect=PermissionError),
        pytest.raises(PrectrError, match=r"ranker: model\.bin may not be read by this user: "),
    ):
        require_whole(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": 1}', "\0", '{"fingerprint": {}}', "[" * 100_000])
def test_a_damaged_record_is_one_sentence_and_a_damaged_note_is_passed_over(folder: Path, text: str) -> None:
    (folder.parent / ".ranker.checked.json").write_text(text)
    require_whole(folder)
    (folder / "step.json").write_text(text)
    with pytest.raises(PrectrError, match="is not a step record .* run make rank") as raised:
        require_whole(folder)
    assert "\n" not in str(raised.value)


def test_a_file_is_hashed_once_as_its_step_ends_and_where_no_note_can_be_left_once_in_a_process(tmp_path: Path) -> None:
    with patch.object(contents, "file_fingerprint", wraps=contents.file_fingerprint) as hashed:
        run_step("ranker", tmp_path / "ranker", {"seed": 1}, build)
        assert sorted(call.args[0].name for call in hashed.call_args_list) == ["config.json", "model.bin"]
        with patch.object(contents, "atomic_write", side_effect=PermissionError):
            for _ in range(3):
                (tmp_path / ".ranker.checked.json").unlink(missing_ok=True)
                require_whole(tmp_path / "ranker")
        assert hashed.call_count == 2


def test_tables_that_were_edited_are_remarked_on_and_others_are_not(folder: Path, tmp_path: Path) -> None:
    assert remark_on_tables(folder) == remark_on_tables(tmp_path / "none") == ""
    (folder / "more.parquet").write_bytes(b"")
    assert remark_on_tables(folder) == ""
    flip(folder / "model.bin")
    assert "model.bin was edited or damaged since: it is taken as it is now" in remark_on_tables(folder)
    (folder / "step.json").write_text("[]")
    assert remark_on_tables(folder) == ""
