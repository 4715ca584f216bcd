"""Files that appear whole or not at all, and that whoever may read the folder may read.

Several machines may share the folder, and the same file may be written by two processes at once: what is unfinished has
a name that nobody else gives.
"""

import hashlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.run import launch

SECONDS_UNTIL_VISIBLE = 60.0
"""A network file system may take a while to show on one machine what another has written."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix, and rename it to `path` if the block succeeds.

    Example:
        >>> with atomic_write(Path("metrics.json")) as temporary:
        ...     temporary.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{own_name()}.part{path.suffix}")
    try:
        yield temporary
        make_readable(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`, which is not there yet, and rename it to that if the block succeeds: a
    killed process leaves none that is half written.

    Example:
        >>> with whole_folder(Path("start")) as part:
        ...     model.save_pretrained(part)
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    os.replace(part, folder)


@contextmanager
def own_folder(folder: Path, name: str) -> Iterator[Path]:
    """Yield where in `folder` a hidden folder may be made that nobody else has, and remove that when the block ends.

    What killed processes of this machine left there under the same `name` goes first; what those of other machines
    left, which may still be at work, goes with `remove_hidden`.

    Example:
        >>> with own_folder(Path("work"), "sort") as spill:
        ...     spill.mkdir()
    """
    for left in folder.glob(f".{name}.{_machine()}-*-*.part"):
        if not launch.is_running(int(left.name.split("-")[-2])):
            shutil.rmtree(left, ignore_errors=True)
    own = folder / f".{name}.{own_name()}.part"
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def own_name() -> str:
    """A name that is given once, whatever machines share a folder: "0f1e2d3c-4711-9a8b7c6d", of which the first eight
    hex digits are the machine's and 4711 is this process."""
    return f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


@cache
def _machine() -> str:
    """Of all who count processes alike: containers may share a host's name, but each begins to count anew."""
    counted_by = ""
    with suppress(OSError):  # Linux alone tells
        counted_by = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {counted_by}".encode()).hexdigest()[:8]


def wait_until_visible(path: Path, writer: str) -> None:
    """Wait for a file that `writer` has written, perhaps on another machine.

    Raises:
        PrectrError: it is not seen here within `SECONDS_UNTIL_VISIBLE`.
    """
    deadline = time.monotonic() + SECONDS_UNTIL_VISIBLE
    while not path.exists():
        if time.monotonic() > deadline:
            raise PrectrError(
                f"{path} was written by {writer}, but {socket.gethostname()} does not see it: put --artifacts on a "
                "folder that all machines share."
            )
        time.sleep(0.5)


def remove_hidden(folder: Path) -> None:
    """Removes all that is hidden in `folder`, at any depth: what killed processes left of unfinished files."""
    for path in list(folder.rglob(".*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def make_readable(*files: Path) -> None:
    """Gives `files` the permissions of any new file (644 under the usual umask): safetensors leaves its own private."""
    umask = os.umask(0o077)  # it can only be read by setting it
    os.umask(umask)
    for file in files:
        file.chmod(0o666 & ~umask)
