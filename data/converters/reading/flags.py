"""Which flags name the columns that a file does not have: of several files each has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prectr.data.converters.reading.missing import MissingColumnsError
from prectr.shared.errors import PrectrError

_OF_SEVERAL = {
    "text_": "--item",
    "snippet_": "--snippet",
    "num_": "--item_numeric",
    "cat_": "--item_categorical",
    "ctx_num_": "--context_numeric",
    "ctx_cat_": "--context_categorical",
}
"""Flags that name several columns, by how these begin in a view."""


@contextmanager
def naming_flags(columns: Mapping[str, str], **own: str) -> Iterator[None]:
    """Read files, and add to what is said of missing columns the flags that name them.

    Args:
        columns: name in the view -> name in the files. own: flags that are not called as the view's column is.

    Raises:
        PrectrError: as what is read raises it.
    """
    try:
        yield
    except MissingColumnsError as error:
        missing = [name for name, column in columns.items() if column in error.names]
        flags = dict.fromkeys(own.get(name) or _flag(name) for name in missing)
        raise PrectrError(f"{str(error).removesuffix('.')} ({', '.join(flags)}).") from error


def _flag(name: str) -> str:
    return next((flag for start, flag in _OF_SEVERAL.items() if name.startswith(start)), f"--{name}")
