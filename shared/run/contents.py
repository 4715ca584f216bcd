"""Whether a finished folder is as its step left it: sha256 of every file, in its record.

Hashing takes a second or two for each GB: a file that was found whole is hashed again when its size or time changed
(`.<folder>.checked.json` beside the folder, which may be deleted, and within a process whatever it hashed).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.strict_json import loads

RECORD = "step.json"
REWRITTEN = {RECORD, "README.md"}
"""The record itself, and the card, which publishing writes anew."""


def listed(folder: Path) -> dict[str, str]:
    """sha256 of each file, by its path in `folder`; nothing hidden."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: contents_of(path) for name, path in files.items() if _counts(name)}


def damage(folder: Path, files: Mapping[str, str]) -> str:
    """What is no longer as it was listed, in a few words; empty if nothing is."""
    cache = folder.parent / f".{folder.name}.checked.json"
    checked = {} if folder.name.startswith(".") else _read(cache)
    found = {}
    for name, expected in files.items():
        path = folder / name
        try:
            status = path.stat()
            seen = [expected, status.st_size, status.st_mtime_ns]
            whole = checked.get(name) == seen or contents_of(path) == expected
        except PermissionError:
            return f"{name} may not be read by this user"
        except (OSError, PrectrError):  # not there, or no file
            return f"{name} is missing"
        if not whole:
            return f"{name} is damaged"
        found[name] = seen
    if found != checked and not folder.name.startswith("."):
        with suppress(OSError), atomic_write(cache) as temporary:
            temporary.write_text(json.dumps(found), encoding="utf-8")
    return ""


def remark_on_tables(data: Path) -> str:
    """Where a data set is no longer as the command that wrote it left it, a line that says so; else empty.

    Its contents decide what is made of them, so that tables may be edited; but a damaged one looks the same.
    """
    files = _read(data / "step.json").get("files")
    fault = damage(data, files) if isinstance(files, dict) else ""
    if not fault:
        return ""
    what = fault.replace("is damaged", "was edited or damaged since")
    return f"· {data}: {what}: it is taken as it is now; the command that wrote it makes it as it was."


_hashed: dict[tuple[int, int, int, int], str] = {}


def contents_of(file: Path) -> str:
    """sha256 of the file, made once in this process while its place on disk, size and time stay the same.

    Raises:
        OSError, PrectrError: there is no such file, or it is a link that leads nowhere.
    """
    if file.is_symlink() and not file.exists():
        raise PrectrError(f"{file} is a link that leads nowhere: put the file there, or make it again.")
    status = file.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _hashed:
        _hashed[key] = file_fingerprint(file)
    return _hashed[key]


def _counts(name: str) -> bool:
    return name not in REWRITTEN and not any(part.startswith(".") for part in name.split("/"))


def _read(cache: Path) -> dict[str, Any]:
    try:
        checked = loads(cache.read_text(encoding="utf-8")) if cache.is_file() else {}
    except (OSError, ValueError):
        return {}
    return checked if isinstance(checked, dict) else {}
