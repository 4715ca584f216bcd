"""Files that appear whole or not at all, and that whoever may read the folder may read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix, and rename it to `path` if the block succeeds.

    Example:
        >>> with atomic_write(Path("metrics.json")) as temporary:
        ...     temporary.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
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
