"""What a text file is encoded in: UTF-8, or what its byte-order mark says; anything else is asked for. [O]

Bytes that are not UTF-8 may be one broken character or another encoding, and no statistics of a short file tell which
of two single-byte encodings it is. So the line is named, with what it would read as: who wrote it can tell at a glance.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from typing import IO

from charset_normalizer import from_bytes

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_SAMPLE = 1 << 20
_SHOWN = 40
_WESTERN = "cp1252"
"""What spreadsheets of western Europe and America write: shown first, and instead of others that read a line alike."""

_COMMON = ("gb18030", "shift_jis", "big5", "euc_kr", "cp1251")
"""What is tried besides it and what charset-normalizer finds; shown where it gives text."""

_MOST_GUESSES = 6


def marked(start: bytes) -> str | None:
    """The encoding that a file's first bytes announce."""
    return next((encoding for mark, encoding in MARKS if start.startswith(mark)), None)


def broken_line(raw: IO[bytes], encoding: str) -> str:
    """Where a file's text is not `encoding`, and what else it may be, as the middle of a sentence.

    Args:
        raw: from its first byte.
    """
    if encoding.startswith(("utf-16", "utf-32")):
        return f"it is not {encoding} all through: mend or cut off what is broken, or name its --encoding"
    for number, line in enumerate(_lines(raw), 1):
        try:
            line.decode(encoding)
        except UnicodeError as error:
            at = getattr(error, "start", 0)
            before = line[:at].decode(encoding, errors="replace")[-20:]
            said = f"line {number} is not {encoding} (byte {line[at]:#04x} after {before!r})"
            guesses = _guesses(line, line + raw.read(_SAMPLE))
            if not guesses:
                return f"{said}: mend the line, or name the file's encoding with --encoding"
            read_as = ", ".join(f"--encoding {name} reads it as {text!r}" for name, text in guesses)
            return f"{said}: mend the line if it alone is broken, else say what the file is: {read_as}"
    return f"it is not {encoding} all through: mend its last line, or name its --encoding"


def _lines(raw: IO[bytes]) -> Iterator[bytes]:
    while line := raw.readline(_SAMPLE):
        yield line


def _guesses(line: bytes, sample: bytes) -> list[tuple[str, str]]:
    """Encodings in which the line is text, each with what it reads as; two that read it alike are one."""
    best = from_bytes(sample[:_SAMPLE]).best()
    found: dict[str, str] = {}
    for name in dict.fromkeys((_WESTERN, *([best.encoding] if best else []), *_COMMON)):
        try:
            text = line.decode(name)
        except UnicodeError:
            continue
        if all(unicodedata.category(char) not in ("Cc", "Co", "Cn") or char in "\t\r\n" for char in text):
            place = next((at for at, char in enumerate(text) if ord(char) > 127), 0)
            found.setdefault(text[max(0, place - 10) : place + _SHOWN - 10].strip(), name)
    return [(name, text) for text, name in found.items()][:_MOST_GUESSES]
