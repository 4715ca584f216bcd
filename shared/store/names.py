"""Whether something is of a store: told without loading what opens one."""

import re
from pathlib import Path

WHERE = ".uri"
"""In a folder of artifacts that is a copy of a URI's: that URI."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_uri(text: str | Path) -> bool:
    """Whether it begins as a URI does: s3://bucket/folder. A `Path` never does, since it has lost a slash."""
    return bool(_URI.match(str(text)))


def home_of(folder: Path) -> Path | None:
    """The folder of artifacts that `folder` is in, if that is the copy of a URI's."""
    return next((each for each in folder.absolute().parents if (each / WHERE).is_file()), None)
