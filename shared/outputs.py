"""Where a command may write: never over its own inputs, into a finished folder, or onto what is no regular file."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import RECORD


def check_output(path: str | Path, flag: str, inputs: Iterable[str | Path]) -> Path:
    """The path that a flag names, if a file may be written there.

    Args:
        flag: `--output`, for messages.
        inputs: files that are read, and folders whose files are; one that is not there is a hub id.

    Raises:
        PrectrError: it is a folder, link, pipe or device, one of the inputs or inside of one, or part of a finished
            folder.
    """
    path = Path(path)
    remedy = "name another file."
    if not path.name or path.name == ".." or "\0" in str(path):
        raise PrectrError(f"{flag} {path}: that names no file: {remedy}")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:  # a part of the path is a file, or too long
        raise PrectrError(f"{flag} {path}: {error.strerror or error}: {remedy}") from error
    if not stat.S_ISREG(mode):
        raise PrectrError(f"{flag} {path} is there and no ordinary file, so it is not replaced: {remedy}")
    whole = path.resolve()
    for each in map(Path, inputs):
        if each.exists() and (each.resolve() in (whole, *whole.parents) or (path.exists() and each.samefile(path))):
            raise PrectrError(f"{flag} {path} is {each} or inside it, which this command reads: {remedy}")
    for folder in whole.parents:
        if (folder / RECORD).exists():
            raise PrectrError(f"{flag} {path} is inside {folder}, whose files stay as a step left them: {remedy}")
    return path
