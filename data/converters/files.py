"""Opens a source: plain, gzipped or zipped, in whatever encoding; what was found is told, and can be overridden."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prectr.shared.errors import PrectrError

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
"""How a file is read, by the end of its name, `.gz` and `.zip` taken off."""

SNIFFED = 64 << 20
"""Bytes of a file that are looked at to tell its encoding."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def list_files(sources: Sequence[str]) -> list[Path]:
    """The files that are meant: of a folder, those in it that a reader knows, by name.

    Raises:
        PrectrError: a source that is not there, or a folder without any.
    """
    found: list[Path] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and _ending(file) in FORMATS)
            if not inside:
                raise PrectrError(
                    f"{path}: the folder holds no file named {', '.join(sorted(FORMATS))}: name the files."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise PrectrError(f"{path}: no such file or folder: name a source that is there.")
    return found


def format_of(path: Path, asked: str, default: str | None = None) -> str:
    """csv, json, jsonl or parquet: what was asked for, or what the name says, or the default.

    Raises:
        PrectrError: the name does not say.
    """
    if asked != "auto":
        return asked
    if _ending(path) not in FORMATS:
        if default is not None:
            return default
        raise PrectrError(
            f"{path}: its name does not tell what it is: end it with {', '.join(sorted(FORMATS))} (and .gz or .zip), "
            "or say --file_format csv, json, jsonl or parquet."
        )
    return FORMATS[_ending(path)]


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked.

    Raises:
        PrectrError: it cannot be read, is damaged or cut off, or the archive holds other than one file.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        elif path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as member:
                yield member
        else:
            with open(path, "rb") as plain:
                yield plain
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PrectrError(f"{path}: it cannot be read to its end ({reason}): fetch or write the file again.") from error


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """The text of a file; `encoding` is one of Python's.

    Raises:
        PrectrError: as `open_bytes`, or the bytes are not in that encoding.
    """
    with open_bytes(path) as raw:
        try:
            yield io.TextIOWrapper(raw, encoding=encoding, newline="")
        except UnicodeError as error:
            raise PrectrError(
                f"{path}: it is not {encoding} all through ({error}): name its encoding, such as --encoding latin-1."
            ) from error


def find_encoding(path: Path, asked: str) -> str:
    """The encoding asked for; else that of a byte-order mark; else UTF-8 if the beginning is that, or Latin-1.

    Raises:
        PrectrError: an unknown encoding, or bytes that are no text.
    """
    if asked != "auto":
        try:
            "a".encode(asked)
        except (LookupError, ValueError):
            raise PrectrError(
                f"--encoding {asked}: there is none of that name: say utf-8, latin-1, cp1252, …."
            ) from None
        return asked
    with open_bytes(path) as raw:
        start = raw.read(4)
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                return encoding
        decoder, seen = codecs.getincrementaldecoder("utf-8")(), 0
        while seen < SNIFFED:
            if b"\0" in start:
                raise PrectrError(
                    f"{path}: it holds zero bytes, so it is no text: name a text file, or its --encoding."
                )
            try:
                decoder.decode(start, final=not start)
            except UnicodeDecodeError:
                return "latin-1"
            if not start:
                break
            seen += len(start)
            start = raw.read(1 << 20)
    return "utf-8"


def _ending(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() in (".gz", ".zip") else path
    return name.suffix.lower()


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [info.filename for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
    if len(names) != 1:
        raise PrectrError(f"{path}: the archive holds {len(names)} files: unpack it and name the one that is meant.")
    return names[0]
