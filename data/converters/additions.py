"""What a conversion reads: all its files, or those that are added to a data set that is there (`--append`). [O]

The rows that a data set was made of are kept beside its tables (`staging.KEPT`). An addition reads its files behind
them and decides everything anew, splits too, so that the tables are those of one conversion of all files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prectr.data.converters.reading.files import fingerprint, list_files
from prectr.data.converters.staging import KEPT, Settings
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record

VIEWS = {"items": "catalogue", "judgements": "judgements", "click_files": "click_rows"}
"""The view of each kind of file but the sources themselves; its name is that of the flag."""

_NOT_COUNTED = ("name", "artifacts", "append", *VIEWS)


@dataclass(frozen=True)
class Addition:
    """What is read.

    Attributes:
        inputs: all that decides the tables, as for one conversion of all files.
        rows: the folder of the rows that come before; None: there are none. known: views that get no more of them.
        is_new: whether there is anything to add.
    """

    inputs: dict[str, Any]
    rows: Path | None = None
    known: Collection[str] = ()
    is_new: bool = True


def inputs_of(kind: str, files: Mapping[str, Sequence[str]], settings: Settings) -> dict[str, Any]:
    """What decides the tables: the format, the contents of the files by what they are, and every other flag."""
    given = {name: value for each in settings.values() for name, value in asdict(each).items()}
    marks = {role: [fingerprint(file) for file in list_files(paths)] for role, paths in files.items() if paths}
    return {
        "converter": kind,
        "files": marks,
        **{name: value for name, value in given.items() if name not in _NOT_COUNTED},
    }


def add_to(
    folder: Path, kind: str, files: Mapping[str, Sequence[str]], settings: Settings, named: Collection[str]
) -> Addition:
    """What is read to add files to the data set in a folder.

    Args:
        files: by what they are. named: flags of the command line; what is in none of them was read before.

    Raises:
        PrectrError: the data set was made with other flags, by an earlier version, or has some of the files already.
    """
    before = read_record(folder).inputs
    marks, rows = before.get("files"), folder / KEPT
    if not isinstance(marks, dict) or not rows.is_dir():
        raise PrectrError(f"{folder}: an earlier version made it, which kept no rows: convert all files once more.")
    fresh = {role: paths for role, paths in files.items() if paths and (role == "source" or role in named)}
    now = inputs_of(kind, fresh, settings)
    for name in sorted({*before, *now} - {"files"}):
        if before.get(name) != now.get(name):
            raise PrectrError(
                f"{folder}: --{name}: it was made with {before.get(name)!r}, not {now.get(name)!r}: leave the flag "
                "out, or convert all files anew."
            )
    merged, known, is_new = dict(marks), [VIEWS[role] for role in files if role not in ("source", *fresh)], False
    for role, found in now["files"].items():
        if role not in marks:
            raise PrectrError(f"{folder}: --{role}: it was made without: convert all files anew.")
        there = [mark in marks[role] for mark in found]
        if any(there) and not all(there):
            path = list_files(fresh[role])[there.index(True)]
            raise PrectrError(f"{path}: {folder} has it already: name those that are new.")
        if all(there):
            known += [VIEWS[role]] if role in VIEWS else []
            continue
        merged[role], is_new = [*marks[role], *found], True
    if is_new and all(mark in marks["source"] for mark in now["files"]["source"]):
        raise PrectrError(f"{folder} has {', '.join(fresh['source'])} already: name a source that is new.")
    return Addition({**now, "files": merged}, rows, known, is_new)
