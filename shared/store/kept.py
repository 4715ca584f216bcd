"""Artifacts that are kept in a store: the folder here is a copy, level with it when a command begins and ends. [O]

A step works on files here. What it finished goes up whole, its record (`step.json`) last, and where a record is, all
its files are, with the sha256 that it lists: nothing half-written counts as finished. What is finished there and not
here, or later than here, is fetched. So another machine with the same URI goes on where this one stopped; work folders
of steps that are not finished stay where they are. One machine at a time writes a data set's artifacts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pyarrow import fs

from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.contents import RECORD, damage
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.hold import LOCK
from prectr.shared.store.fetched import AT_ONCE, cache_folder
from prectr.shared.store.names import WHERE
from prectr.shared.store.uri import Place, place_of

BESIDE = ("report.html", "label_cache")
"""What is kept of a data set beside the folders of steps."""


def copy_of(uri: str) -> Path:
    """The folder of artifacts here that is a copy of a URI's, which may be empty yet.

    Raises:
        PrectrError: see `place_of`.
    """
    place = place_of(uri)
    if place.is_here:
        return Path(place.path)
    folder = cache_folder("artifacts", uri)
    with atomic_write(folder / WHERE) as temporary:
        temporary.write_text(uri.rstrip("/") + "\n", encoding="utf-8")
    return folder


def put_up(home: Path, folder: Path) -> None:
    """Put a finished step's folder where its artifacts are kept, its record last.

    Args:
        home: the folder of artifacts, `copy_of` a URI's. folder: in it.

    Raises:
        PrectrError: the store refuses or does not answer.
    """
    _put_up(folder, _place(home) / folder.absolute().relative_to(home).as_posix())


def fetch(home: Path, name: str, without: Collection[str] = ()) -> None:
    """Bring what is there of a data set, and what is here and not there, on one level.

    Args:
        home: a folder of artifacts here. name: of the data set.
        without: folders of steps of which only the record is needed here.

    Raises:
        PrectrError: the store refuses or does not answer.
    """
    if not (home / WHERE).is_file():
        return
    folder, place = home / name, _place(home) / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".level.lock"):
        running = FileLock(folder / LOCK)
        try:
            running.acquire(timeout=0)
        except Timeout:  # a run of this machine keeps the two on one level
            return
        try:
            there = place.list_files()
            records = {each.removesuffix(f"/{RECORD}") for each in there if each.endswith(f"/{RECORD}")}
            for step in sorted(records):
                files = [RECORD] if step.split("/")[0] in without else _inside(there, step)
                _bring(folder / step, place / step, files)
            for step in sorted(set(_finished_here(folder)) - records):
                _put_up(folder / step, place / step)
            for name in _beside(there):
                _fetch_beside(folder / name, place / name, there[name])
        finally:
            running.release()


def put_beside(home: Path, name: str) -> None:
    """Put up what commands leave beside the folders of steps, where it is newer here.

    Raises:
        PrectrError: the store refuses or does not answer.
    """
    if not (home / WHERE).is_file() or not (home / name).is_dir():
        return
    folder, place = home / name, _place(home) / name
    here = _beside(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if not here:
        return
    there = place.list_files()
    new = [name for name in here if name not in there or (folder / name).stat().st_mtime_ns > there[name].mtime_ns]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda name: (place / name).put(folder / name), new))


def _fetch_beside(file: Path, place: Place, info: fs.FileInfo) -> None:
    """With its time there, so that it is not newer here."""
    if not file.exists() or file.stat().st_mtime_ns < info.mtime_ns:
        with atomic_write(file) as temporary:
            place.fetch(temporary)
            os.utime(temporary, ns=(info.mtime_ns, info.mtime_ns))


def _place(home: Path) -> Place:
    return place_of((home / WHERE).read_text(encoding="utf-8").strip())


def _put_up(folder: Path, place: Place) -> None:
    """Between the old record's end and the new one's beginning the folder counts as not finished."""
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [name for name in files if not _is_hidden(name)]
    there = place.list_files()
    # The record of a folder inside of this one, too, comes after its files.
    records = sorted((name for name in files if _is_record(name)), key=len, reverse=True)
    print_line(f"↑ {place.uri}: {len(files)} files")
    for name in sorted(filter(_is_record, there), key=len):
        (place / name).remove()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda name: (place / name).remove(), there.keys() - {*files} - {*filter(_is_record, there)}))
        list(threads.map(lambda name: (place / name).put(folder / name), sorted({*files} - {*records})))
    for name in records:
        (place / name).put(folder / name)


def _bring(folder: Path, place: Place, files: Iterable[str]) -> None:
    """Fetch a folder that is finished there, or its record alone, unless what is here is that, or whole and later."""
    theirs, ours = _read((place / RECORD).read()), _read_here(folder)
    if not isinstance(theirs.get("files"), dict):
        return
    whole = bool(ours) and not damage(folder, ours.get("files", {}))
    if whole and ours["fingerprint"] == theirs.get("fingerprint"):
        return
    if whole and ours["finished"] > theirs.get("finished", ""):
        _put_up(folder, place)
        return
    names, expected = sorted(files), theirs["files"]
    if names == [RECORD]:
        expected = {}
    else:
        print_line(f"↓ {place.uri}: {len(names)} files")
    part = folder.with_name(f".{folder.name}.fetched.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in names:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda name: (place / name).fetch(part / name), names))
    if _is_whole(part, expected):
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    else:
        print_line(f"· {place.uri}: its files are not those of its record: it counts as not finished.")
        shutil.rmtree(part)


def _is_whole(folder: Path, files: Mapping[str, str]) -> bool:
    try:
        return all(file_fingerprint(folder / name) == expected for name, expected in files.items())
    except PrectrError:
        return False


def _inside(there: Iterable[str], step: str) -> list[str]:
    """The files of a step's folder, without those of steps inside of it."""
    names = [each.removeprefix(f"{step}/") for each in there if each.startswith(f"{step}/")]
    inner = [name.removesuffix(RECORD) for name in names if name.endswith(f"/{RECORD}")]
    return [name for name in names if not _is_hidden(name) and not name.startswith(tuple(inner))]


def _finished_here(folder: Path) -> list[str]:
    found = [path.parent.relative_to(folder).as_posix() for path in folder.rglob(RECORD)]
    whole = [step for step in found if step != "." and not _is_hidden(step)]
    return [step for step in whole if not damage(folder / step, _read_here(folder / step).get("files", {}))]


def _beside(names: Iterable[str]) -> list[str]:
    found = [name for name in names if name.split("/")[0] in BESIDE and not _is_hidden(name)]
    return [name for name in found if not name.endswith(".lock")]


def _is_record(name: str) -> bool:
    return name.rpartition("/")[2] == RECORD


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _read_here(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    return _read(path.read_bytes()) if path.is_file() else {}


def _read(record: bytes) -> dict[str, Any]:
    try:
        found = json.loads(record)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"fingerprint", "finished", "files"} <= found.keys() else {}
