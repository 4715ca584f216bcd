"""What the machine could not give: room on a disk, files to be open, a folder that may be written and stays there.

Libraries say so in many ways, as an `OSError` without a file's name, a `RuntimeError` or an error of their own; here it
is one sentence, which says what was being written and how large it was by then.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}
OPEN = {errno.EMFILE, errno.ENFILE}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
BROKEN = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO}
GONE = {errno.ENOENT, errno.ENOTDIR}

WORDS = {
    # numpy and torch lose the number: they have written less than they were asked to.
    errno.ENOSPC: (
        r"No space left on device|os error 28\b|disk is full|\d+ requested and \d+ written|"
        r"file write failed|unexpected pos \d+|iostream error"
    ),
    errno.EDQUOT: r"[Qq]uota exceeded|os error 122\b",
    errno.EFBIG: r"File too large|os error 27\b",
    errno.EMFILE: r"Too many open files|os error 24\b",
    errno.EROFS: r"Read-only file system|os error 30\b",
    errno.EIO: r"Input/output error|os error 5\b",
}
"""How libraries write an error's number."""

_UNFINISHED = re.compile(r"^\.(.+)\.(?:[0-9a-f]{12}|[0-9a-f]{8}-\d+-[0-9a-f]{8})\.part(\..+)?$")
"""Names of a step's work folder and of what `prectr.shared.atomic` writes."""


def lacking(error: BaseException, work: Path | None = None) -> str | None:
    """What the machine could not give, in a sentence without its full stop; None: the error is of another kind.

    Args:
        work: the folder that is being written.
    """
    for each in _chain(error):
        number, name = _number(each), getattr(each, "filename", None)
        if number in FULL or number == errno.EFBIG:
            return _no_room(number, Path(str(name)) if name else _newest(work))
        if number in OPEN:
            return f"too many files are open{_limit()}: allow more (`ulimit -n 4096`)"
        if name is None:
            continue
        shown, parent = _finished(name), Path(str(name)).absolute().parent
        if number in FORBIDDEN:
            return (
                f"{shown} may not be read or written ({_reason(each)}): give this user the right, or name other folders"
            )
        if number in BROKEN:
            return f"{shown} cannot be read or written ({_reason(each)}): see to the disk or network it is on"
        if number in GONE and not parent.is_dir():
            what = "no folder" if parent.exists() else "no longer there"
            return f"{_finished(parent)} is {what}: name another, or put it back"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    return next((number for number, words in WORDS.items() if re.search(words, str(error))), None)


def _no_room(number: int | None, file: Path | None) -> str:
    if number == errno.EFBIG:
        return f"{_sized(file)} is as large as a file may be here: allow larger ones (`ulimit -f unlimited`)"
    where = file if file is not None else Path.cwd()
    while not where.is_dir():
        where = where.parent
    free = shutil.disk_usage(where).free
    why = "the quota of this user is used up" if number == errno.EDQUOT else f"{_size(free)} are free on its disk"
    return f"{_sized(file)} found no more room, and {why}: make room"


def _sized(file: Path | None) -> str:
    if file is None:
        return "a file that was being written"
    size = 0
    with suppress(OSError):  # what is unfinished may have been removed
        size = file.stat().st_size
    return f"{_finished(file)}, of {_size(size)} by then," if size else _finished(file)


def _finished(path: str | Path) -> str:
    """Where a file will be when it is finished: the hidden folder or name that it has by now is nobody's business."""
    return str(Path(*(_UNFINISHED.sub(r"\1\2", part) for part in Path(str(path)).parts)))


def _size(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"


def _newest(work: Path | None) -> Path | None:
    """The file that was written last."""
    found = [
        (path.stat().st_mtime, path) for path in (work.rglob("*") if work and work.is_dir() else ()) if path.is_file()
    ]
    return max(found, default=(0.0, work))[1]


def _limit() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return ""
    return f" (this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,})"


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
