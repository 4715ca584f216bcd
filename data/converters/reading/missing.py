"""Columns that a file does not have, told with those it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prectr.shared.errors import PrectrError


class MissingColumnsError(PrectrError):
    """Columns that a file does not have.

    Attributes:
        names: those that are missing, as they were asked for.
    """

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = names


def require_columns(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    """Raises `MissingColumnsError` for all that are missing."""
    missing = [name for name in dict.fromkeys(wanted) if name not in found]
    if missing:
        shown = ", ".join(str(each)[:40] for each in list(found)[:30]) or "none"
        several = f"columns {', '.join(map(repr, missing))} are" if len(missing) > 1 else f"column {missing[0]!r} is"
        said = f"{path}: {several} missing; found {shown}: name {'some' if missing[1:] else 'one'} of these"
        raise MissingColumnsError(f"{said}.", missing)
