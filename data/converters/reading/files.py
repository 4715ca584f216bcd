"""Opens a source: a file, plain, gzipped or zipped, in whatever encoding; or a data set of the Hugging Face Hub.

What was found is told, and can be overridden.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from prectr.data.converters.reading.encodings import broken_line, marked
from prectr.shared.errors import PrectrError
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.storage.unpacking import Unpacked
from prectr.shared.store.at_hand import here

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
"""How a file is read, by the end of its name, `.gz` and `.zip` taken off."""

HUB = "hf:"
"""How a source begins that `datasets` opens: hf:org/name, hf:org/name:split, hf:org/name:configuration:split, or a
folder instead of org/name."""

_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def list_files(sources: Sequence[str]) -> list[Path]:
    """The files that are meant: of a folder, those in it that a reader knows, by name; of a URI, the copies here; what
    begins with `HUB` as it is.

    Raises:
        PrectrError: a source that is not there, or a folder without any; the store refuses or does not answer.
    """
    found: list[Path] = []
    for source in sources:
        path = here(source)
        if is_hub(path):
            found.append(path)
        elif path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and _ending(file) in FORMATS)
            if not inside:
                raise PrectrError(
                    f"{path}: the folder holds no file named {', '.join(sorted(FORMATS))}: name the files."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        elif path.exists():
            raise PrectrError(f"{path}: it is a pipe, a socket or a device, which is read once: write a file of it.")
        else:
            raise PrectrError(f"{path}: no such file or folder: name a source that is there.")
    return found


def is_hub(source: Path) -> bool:
    """Whether it is opened by `open_hub`."""
    return str(source).startswith(HUB)


def fingerprint(source: Path) -> Any:
    """What tells a changed source: of a file its contents, of a data set on the hub its commit.

    Raises:
        PrectrError: there is no such data set, or the hub cannot be reached.
    """
    if not is_hub(source):
        return file_fingerprint(source)
    name, configuration, split = _parts_of(source)
    if folder := _folder(source, name):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        content: Any = [[file.relative_to(folder).as_posix(), file_fingerprint(file)] for file in files]
    else:
        from huggingface_hub import HfApi

        with _of_hub(source):
            content = HfApi().dataset_info(name).sha
    return [configuration, split, content]


def open_hub(source: Path) -> Any:
    """One split of a data set, as a `Dataset` or `IterableDataset`: mapped into memory or streamed, never whole.

    Raises:
        PrectrError: no such data set, configuration or split, or the hub cannot be reached.
    """
    # Seconds to import, which other sources need not wait for.
    from datasets import Dataset, Features, Value, load_dataset_builder, load_from_disk
    from datasets.packaged_modules.csv.csv import Csv

    name, configuration, split = _parts_of(source)
    folder = _folder(source, name)
    with _of_hub(source):
        builder: Any = None
        if folder and any((folder / mark).is_file() for mark in _SAVED_TO_DISK):
            found: Any = load_from_disk(folder)
            if isinstance(found, Dataset):
                found = {str(found.split or "train"): found}
        else:
            builder = load_dataset_builder(str(folder or name), configuration)
            found = builder.as_streaming_dataset()
        if split is None and len(found) == 1:
            [split] = found
        if split in found and isinstance(builder, Csv):
            # An id stays as it was written: 007 is not 7, and NA is a word.
            words = Features(dict.fromkeys(next(iter(found[split]), {}), Value("string")))
            as_written = {"features": words, "keep_default_na": False}
            found = load_dataset_builder(str(folder or name), configuration, **as_written).as_streaming_dataset()
    if split not in found:
        problem = f"it has {len(found)} splits" if split is None else f"it has no split {split!r}"
        names = ", ".join(map(str, found))
        raise PrectrError(f"{source}: {problem}: name one of {names}, such as {HUB}{name}:{next(iter(found))}.")
    return found[split]


_SAVED_TO_DISK = ("state.json", "dataset_dict.json")


def _parts_of(source: Path) -> tuple[str, str | None, str | None]:
    """Name or folder, configuration and split."""
    name, *rest = str(source).removeprefix(HUB).split(":")
    if not name or not all(rest) or len(rest) > 2:
        raise PrectrError(f"{source}: write {HUB}org/name, {HUB}org/name:split or {HUB}org/name:configuration:split.")
    configuration, split = rest if len(rest) == 2 else (None, rest[0] if rest else None)
    return name, configuration, split


def _folder(source: Path, name: str) -> Path | None:
    """The folder that is meant; None where it is a name on the hub.

    Raises:
        PrectrError: a folder that is not there.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")):
        raise PrectrError(f"{source}: no such folder: name one that is there, or a data set of the hub as org/name.")
    return None


@contextmanager
def _of_hub(source: Path) -> Iterator[None]:
    """What `datasets` and the hub's client may find fault with, in a sentence."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        yield
    except (DatasetNotFoundError, RepositoryNotFoundError, HFValidationError) as error:
        raise PrectrError(
            f"{source}: no such data set on the hub: correct its name, or if it is private log in with `hf auth login`."
        ) from error
    except (ConnectionError, OfflineModeIsEnabled, HTTPError) as error:
        raise PrectrError(
            f"{source}: the hub cannot be reached ({_sentence(error)}): connect to the network, or download the "
            f"data set and name its folder: {HUB}./folder."
        ) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        raise PrectrError(
            f"{source}: `datasets` cannot open it ({_sentence(error)}): name its files, or another configuration as "
            f"{HUB}org/name:configuration:split."
        ) from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


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
        PrectrError: it cannot be read, is damaged or cut off, unpacks to far more than it is, or the archive holds
            other than one file.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rb") as unpacked:
                yield io.BufferedReader(Unpacked(unpacked, path))  # type: ignore[arg-type]
        elif path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as member:
                yield io.BufferedReader(Unpacked(member, path))
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
            with open_bytes(path) as again:
                raise PrectrError(f"{path}: {broken_line(again, encoding)}.") from error


def find_encoding(path: Path, asked: str) -> str:
    """The encoding asked for; else that of a byte-order mark; else UTF-8, which `open_text` then holds it to.

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
        start = raw.read(1 << 16)
    if encoding := marked(start):
        return encoding
    if b"\0" in start:
        raise PrectrError(zero_byte(path, start.partition(b"\0")[0].count(b"\n") + 1))
    return "utf-8"


def zero_byte(path: Path, line: int) -> str:
    """What is wrong with a file that holds one."""
    return (
        f"{path}: line {line} holds a zero byte, which no text does: mend the line if it alone is broken, else name a "
        "text file, or its --encoding."
    )


def _ending(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() in (".gz", ".zip") else path
    return name.suffix.lower()


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [info.filename for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
    if len(names) != 1:
        raise PrectrError(f"{path}: the archive holds {len(names)} files: unpack it and name the one that is meant.")
    return names[0]
