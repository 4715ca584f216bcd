"""Arrays of any length on disk: written part by part, read memory-mapped, byte for byte what `np.save` writes."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import numpy as np

from prectr.shared.errors import PrectrError


class NpyWriter:
    """Appends parts [n, ...] to one .npy file; their dtype and width are those of the first part.

    The header is written again on leaving, with the length that it has become: numpy leaves room for that.

    Example:
        >>> with NpyWriter(folder / "seconds.npy", np.int64) as seconds:
        ...     for part in parts:
        ...         seconds.append(part)
    """

    def __init__(self, path: Path, dtype: np.dtype | type, width: tuple[int, ...] = ()) -> None:
        self.length, self._dtype, self._width = 0, np.dtype(dtype), width
        self._file = open(path, "wb")  # noqa: SIM115  # closed on leaving
        self._write_header()

    def append(self, part: np.ndarray) -> None:
        """Append [n, *width] values, cast to the file's type."""
        part = np.ascontiguousarray(part, self._dtype)
        if part.shape[1:] != self._width:
            raise ValueError(f"rows of shape {part.shape[1:]} in a file of rows of shape {self._width}")
        part.tofile(self._file)
        self.length += len(part)

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        facts = {"descr": description, "fortran_order": False, "shape": (self.length, *self._width)}
        np.lib.format.write_array_header_1_0(self._file, facts)

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.flush()
            self._file.seek(0)
            self._write_header()
        self._file.close()


def new_array(path: Path, dtype: np.dtype | type, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file, memory-mapped to be written. Its room on disk is taken at once: a page that finds none later
    would end the process (SIGBUS) without a word.

    Raises:
        OSError: the disk has no room for it.
    """
    array: np.memmap = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def open_array(path: Path) -> np.ndarray:
    """A .npy file, memory-mapped, as a plain array: the `np.memmap` class slows every indexing down.

    Raises:
        PrectrError: it is missing, or no array.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode="r").view(np.ndarray)
    except FileNotFoundError as error:
        raise PrectrError(f"{path} is missing: run the command that wrote it again.") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = " ".join(str(error).split())
        raise PrectrError(f"{path} is damaged ({reason}): run the command that wrote it again.") from error
    return array
