"""What a data set may be called: its name is a folder, part of commands that are printed, and part of patterns. [O]"""

from __future__ import annotations

import re

from prectr.shared.errors import PrectrError

_PLAIN = re.compile(r"\w[\w.+-]{0,99}")


def check_name(name: str) -> None:
    """Refuse what is not the plain name of one folder.

    Raises:
        PrectrError: it is empty, a path, begins with a sign, or holds blanks or signs that shells and patterns read.
    """
    if not _PLAIN.fullmatch(name):
        raise PrectrError(
            f"--name {name[:80]!r}: give the data set a plain name, of letters, digits and . _ + - (the folder is "
            "artifacts/<name>/data)."
        )
