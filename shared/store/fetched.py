"""The copy here of what a URI names: made once, and again where size, time or ETag of a file there are others. [O]

Copies lie in `PRECTR_CACHE`, else ~/.cache/prectr, which may be removed. A process sees a URI as it was when it first
asked: what goes on changing there does not change under a command.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from pyarrow import fs

from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.store.uri import Place, place_of, told

CACHE = "PRECTR_CACHE"
VERSIONS = ".versions.json"
AT_ONCE = 8
"""Files that travel at the same time."""
ATTEMPTS = 3
"""How often a file is fetched that is another one by the time it is here."""


def cache_folder(kind: str, uri: str) -> Path:
    """Where the copy of a URI lies; two servers that know the same bucket are two places."""
    base = os.environ.get(CACHE) or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "prectr")
    server = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")]
    key = hashlib.sha256("\n".join([uri.rstrip("/"), *server]).encode()).hexdigest()[:16]
    return Path(base).expanduser().absolute() / kind / key


@cache
def fetched(uri: str) -> Path:
    """The copy of the file or folder that a URI names; hidden files of a folder are left out.

    Raises:
        PrectrError: nothing is there, or the store refuses or does not answer.
    """
    place = place_of(uri)
    if place.is_here:
        return Path(place.path)
    home, name = cache_folder("fetched", uri), place.path.rpartition("/")[2]
    found = place.info()
    files = {name: (place, found)}
    if not found.is_file:
        inside = place.list_files()
        files = {f"{name}/{each}": (place / each, info) for each, info in inside.items() if _counts(each)}
    if not files:
        raise PrectrError(f"{place.uri}: there is no such file or folder: name one that is there.")
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        _renew(home, place.uri, files)
    return home / name


def _renew(home: Path, uri: str, files: Mapping[str, tuple[Place, fs.FileInfo]]) -> None:
    """Make the copies be those files and no others."""
    before = _read(home / VERSIONS)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        now = dict(zip(files, threads.map(lambda each: _version(*each), files.values()), strict=True))
        changed = [name for name in files if before.get(name) != now[name] or not (home / name).is_file()]
        if changed:
            print_line(f"↓ {uri}: {len(changed)} of {len(files)} files")
        for name in before.keys() - now.keys():
            (home / name).unlink(missing_ok=True)
        # What is being replaced counts as not there, should this be killed.
        _write(home / VERSIONS, {name: seen for name, seen in now.items() if name not in changed})
        made = threads.map(lambda name: _fetch_one(files[name][0], home / name, now[name]), changed)
        now |= dict(zip(changed, made, strict=True))
    _write(home / VERSIONS, now)


def _fetch_one(place: Place, file: Path, seen: list[Any]) -> list[Any]:
    """Copy a file here; what it was there, which may be newer than `seen`."""
    for _ in range(ATTEMPTS):
        with atomic_write(file) as temporary:
            place.fetch(temporary)
        after = _version(place, place.info())
        if after == seen:
            return after
        seen = after
    raise PrectrError(f"{place.uri}: it changed while it was read: run the command again when it is written.")


def _version(place: Place, info: fs.FileInfo) -> list[Any]:
    """What tells a changed file: bytes, nanoseconds, and the store's own mark of its contents."""
    with told(place.uri), place.files.open_input_stream(place.path) as stream:
        mark = (stream.metadata() or {}).get("ETag", b"")
    return [info.size, info.mtime_ns, mark.decode(errors="replace")]


def _counts(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, versions: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(versions), encoding="utf-8")
