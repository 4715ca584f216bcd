"""Text files that a user names: settings, prompts, phrasebooks."""

from __future__ import annotations

from pathlib import Path

from prectr.shared.errors import PrectrError

MOST_BYTES = 16 << 20
"""Nobody writes more by hand."""


def require_file(path: Path, missing: str) -> None:
    """Refuses at once what would be waited for, or never end.

    Args:
        missing: what to say of a file that is not there, behind its path.

    Raises:
        PrectrError: there is nothing, or a folder, a pipe, a socket or a device.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise PrectrError(f"{path} is a folder: name a file.")
    if path.exists():
        raise PrectrError(f"{path} is a pipe, a socket or a device: write what comes out of it into a file, name that.")
    raise PrectrError(f"{path}: {missing}")


def read_text(path: Path, missing: str) -> str:
    """The text of a file that was written by hand, in UTF-8, with or without a byte-order mark.

    Raises:
        PrectrError: as `require_file`, or it cannot be read, is longer than any such file, or not in UTF-8.
    """
    require_file(path, missing)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise PrectrError(f"{path} has {size:,} bytes, which nobody has written by hand: name another file.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PrectrError(f"{path}, line {line}: a byte there is not UTF-8: save the file as UTF-8.") from error
    except OSError as error:
        raise PrectrError(f"{path}: it cannot be read ({error.strerror or error}): name another file.") from error
