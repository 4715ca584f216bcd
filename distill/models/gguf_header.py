"""The header of a GGUF file, read before any library does: what it promises has to fit into the file.

A reader believes the counts it finds, and fills the memory looking for 2⁶⁰ words of a vocabulary. Every length here is
held against the bytes that are there. [https://github.com/ggml-org/ggml/blob/master/docs/gguf.md]
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO, Any

from prectr.shared.errors import PrectrError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Of a value's type, how `struct` reads it."""

MOST_DIMENSIONS = 4
WEIGHTS_PER_BYTE = 8
"""At most: the smallest quantisation takes 1.56 bits."""

LAYERS = ".block_count"
SIZES = (".embedding_length", ".feed_forward_length")
"""Numbers of an architecture, by the end of their names, that its tensors have to bear out."""


def check_gguf(path: Path) -> None:
    """Reads a GGUF file's header to its end, in bounded memory.

    Raises:
        PrectrError: no GGUF file, a version that is not read here, or counts, lengths or shapes that cannot be.
    """
    with open(path, "rb") as file:
        _Header(path, file, path.stat().st_size).check()


class _Header:
    def __init__(self, path: Path, file: IO[bytes], size: int) -> None:
        self.path, self.file, self.size = path, file, size

    def check(self) -> None:
        magic = self.file.read(4)
        if magic != MAGIC:
            raise PrectrError(
                f"teacher {self.path}: the file begins with {magic!r}, not {MAGIC!r}; give a GGUF file or a folder."
            )
        version = self._number("I")
        if version not in VERSIONS:
            raise self._fault(f"it is of version {version}, and {' and '.join(map(str, VERSIONS))} are read")
        tensors, facts = self._number("Q"), self._number("Q")
        self._require(tensors, 24, "tensors")
        self._require(facts, 13, "entries")
        numbers = dict(self._fact() for _ in range(facts))
        shapes = [self._shape() for _ in range(tensors)]
        longest = max((max(shape, default=1) for shape in shapes), default=0)
        for name, value in numbers.items():
            most = tensors if name.endswith(LAYERS) else longest if name.endswith(SIZES) else value
            if isinstance(value, int | float) and isinstance(most, int) and not 0 <= value <= most:
                raise self._fault(f"{name[:80]} is {value}, which its {tensors:,} tensors do not bear out")

    def _fact(self) -> tuple[str, Any]:
        """A name and its value; of texts and lists None."""
        name = self._text(keep=True)
        return name, self._value(self._number("I"))

    def _value(self, kind: int) -> Any:
        if kind in FORMATS:
            return self._number(FORMATS[kind])
        if kind == STRING:
            self._text()
        elif kind == ARRAY:
            inner, count = self._number("I"), self._number("Q")
            if inner in FORMATS:
                self._skip(count * struct.calcsize(f"<{FORMATS[inner]}"), f"{count:,} values")
            elif inner == STRING:
                self._require(count, 8, "texts")
                for _ in range(count):
                    self._text()
            else:
                raise self._fault(f"a list of type {inner} is none that is known")
        else:
            raise self._fault(f"a value of type {kind} is none that is known")
        return None

    def _shape(self) -> list[int]:
        self._text()
        dimensions = self._number("I")
        if dimensions > MOST_DIMENSIONS:
            raise self._fault(f"a tensor has {dimensions:,} dimensions")
        shape = [self._number("Q") for _ in range(dimensions)]
        self._number("I")
        offset = self._number("Q")
        if math.prod(shape) > self.size * WEIGHTS_PER_BYTE or offset > self.size:
            raise self._fault(f"a tensor of shape {shape} at byte {offset:,} is larger than the file")
        return shape

    def _number(self, form: str) -> Any:
        size = struct.calcsize(f"<{form}")
        content = self.file.read(size)
        if len(content) < size:
            raise self._fault("it ends in the middle of the header")
        return struct.unpack(f"<{form}", content)[0]

    def _text(self, keep: bool = False) -> str:
        length = self._number("Q")
        if keep and length < 1 << 16:
            return self.file.read(length).decode(errors="replace")
        self._skip(length, f"a text of {length:,} bytes")
        return ""

    def _skip(self, length: int, what: str) -> None:
        if self.file.tell() + length > self.size:
            raise self._fault(f"{what} would end behind the file")
        self.file.seek(length, 1)

    def _require(self, count: int, least: int, what: str) -> None:
        if count * least > self.size - self.file.tell():
            raise self._fault(f"its header promises {count:,} {what}")

    def _fault(self, found: str) -> PrectrError:
        return PrectrError(
            f"teacher {self.path}: a damaged GGUF file of {self.size:,} bytes: {found}: download it again."
        )
