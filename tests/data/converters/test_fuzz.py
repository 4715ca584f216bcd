"""Whatever is given to a converter, it writes tables that keep the contract, or says in one sentence why not."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prectr.data.checks.validate import validate
from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.convert import convert
from prectr.shared.errors import PrectrError
from tests.data.converters.formats import exports
from tests.data.converters.sources import judgements, log_rows, pages, write_csv, write_lines
from tests.data.converters.test_homedepot import HEADER, write_zip
from tests.data.converters.test_page_logs import write_ubi
from tests.data.converters.test_published import write_esci, write_wands

ENCODINGS = ("utf-8", "latin-1", "utf-16", "utf-8-sig", "cp1252")
ENDINGS = ("csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "csv.zip", "txt")

cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        ["007", "1", "true", "2024-05-16", "1715862896", "NaN", "", " ", "\x00", "'; DROP", '"', "red shoe", "​"]
    ),
    st.text(max_size=12),
)  # Nested values too, for JSON.
nested = st.recursive(
    cells, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
names = st.lists(st.sampled_from(["q", "t", "i", "l", "c", "at", "u", "p", "x;y", "é", ""]), min_size=1, max_size=8)


SENSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "q": st.sampled_from(["red shoe", "blue pot", "green hat", "007", "größe", "a lamp"]),
    "t": st.text(alphabet="abcé ", min_size=1, max_size=9).map(lambda text: f"thing {text}"),
    "i": st.integers(0, 9).map(lambda number: f"{number:03d}"),
    "l": st.integers(0, 2),
    "c": st.sampled_from(["0", "1"]),
    "at": st.integers(1_700_000_000, 1_700_900_000),
    "u": st.sampled_from(["u1", "u2", "u3", None]),
    "p": st.integers(1, 5),
    "x;y": st.integers(0, 3),
    "é": st.sampled_from(["mobile", "desktop"]),
}
"""What a column of a table that can be converted holds."""


def attempt(folder: Path, *argv: str) -> None:
    """Convert; what is written must be whole, and what fails must leave nothing behind but a sentence."""
    target = folder / "artifacts" / "mine" / "data"
    try:
        convert(read_conversion([*argv, "--artifacts", str(folder / "artifacts"), "--name", "mine"]))
    except (PrectrError, SystemExit) as error:
        sentence = str(error)
        assert len(sentence) > 20 and "Traceback" not in sentence, sentence
        assert not target.exists()
    else:
        validate(target)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """A table with random columns and cells, as a file of a random kind and encoding."""
    if draw(st.booleans()):
        columns = list(SENSIBLE)
        rows = draw(st.lists(st.tuples(*SENSIBLE.values()).map(list), min_size=12, max_size=30))
        if draw(st.integers(0, 2)) == 0:
            rows[draw(st.integers(0, 11))][draw(st.integers(0, 9))] = draw(nested)
    else:
        columns = draw(names)
        rows = draw(st.lists(st.lists(nested, min_size=len(columns), max_size=len(columns)), max_size=12))
    kind = draw(st.sampled_from(["csv", "jsonl", "json", "parquet"]))
    encoding = draw(st.sampled_from(ENCODINGS))
    if kind == "csv":
        sign = draw(st.sampled_from(",;\t|"))
        lines = [columns, *([str("" if value is None else value) for value in row] for row in rows)]
        return "csv", "\n".join(sign.join(line) for line in lines).encode(encoding, errors="replace")
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    if kind == "parquet":
        arrays = {
            name: [str(row[name]) if isinstance(row[name], list | dict) else row[name] for row in objects]
            for name in columns
        }
        with tempfile.TemporaryDirectory() as folder:
            try:
                pq.write_table(pa.table(arrays), f"{folder}/x")
            except (pa.ArrowException, OverflowError, TypeError, UnicodeError):
                pq.write_table(
                    pa.table({name: list(map(repr, values)) for name, values in arrays.items()}), f"{folder}/x"
                )
            return "parquet", Path(folder, "x").read_bytes()
    text = "\n".join(map(json.dumps, objects)) if kind == "jsonl" else json.dumps(objects)
    return kind, text.encode(encoding)


endings = st.booleans().flatmap(lambda wrong: st.sampled_from(ENDINGS) if wrong else st.just(""))
"""Empty: that of the table."""

flags = st.sampled_from(
    [
        "--query q --item t --level l",
        "--query q --item t --level l --level_cuts 1 2",
        "--query q --item t x;y --item_id i --level l --level_quantiles 2",
        "--query q --item t --level l --level_names true 007 --category c",
        "--query q --item t --item_id i --clicked c --timestamp at --user u --position p",
        "--query q --item t --timestamp at --time_unit seconds --level l",
        "--query q --item t --item_id i --timestamp at --item_numeric p --context_categorical é",
        "--query q --item t --level l --file_format json --encoding cp1252",
        "--query q --item t --level l --delimiter tab --quoting false",
    ]
)


def _write_and_attempt(table: tuple[str, bytes], flags: str, ending: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / f"source.{ending or table[0]}"
        source.write_bytes(table[1])
        attempt(Path(name), "table", str(source), *flags.split())


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(table=tables(), flags=flags, ending=endings)
def test_random_tables_end_in_tables_or_one_sentence(table: tuple[str, bytes], flags: str, ending: str) -> None:
    _write_and_attempt(table, flags, ending)


def _judged(folder: Path) -> tuple[str, list[Path]]:
    file = write_csv(folder / "judged.csv", judgements())
    return f"table {file} --query query --item title --item_id id --level rating", [file]


def _log(folder: Path) -> tuple[str, list[Path]]:
    file = write_csv(folder / "log.csv", log_rows())
    flags = "--timestamp at --clicked click --user visitor --position rank --category kind --context_numeric price"
    return f"table {file} --query q --item title --item_id sku {flags}", [file]


def _clicks(folder: Path) -> tuple[str, list[Path]]:
    file = write_csv(folder / "log.csv", log_rows())
    return f"table {file} --query q --item title --item_id sku --timestamp at --category kind", [file]


def _pages(folder: Path) -> tuple[str, list[Path]]:
    file = write_lines(folder / "pages.jsonl", pages())
    return f"result_pages {file}", [file]


def _homedepot(folder: Path) -> tuple[str, list[Path]]:
    rows = [f'"{n}","{n % 9}","title {n % 9}","query {n % 5}","{1 + n % 3}"' for n in range(60)]
    file = write_zip(folder, [HEADER, *rows])
    return f"homedepot {file}", [file]


def _ubi(folder: Path) -> tuple[str, list[Path]]:
    return write_ubi(folder), [folder / name for name in ("queries.ndjson", "events.ndjson", "products.csv")]


def _folder_of(kind: str, write: Callable[[Path], Path]) -> Callable[[Path], tuple[str, list[Path]]]:
    """A format whose source is a folder of files."""

    def source(folder: Path) -> tuple[str, list[Path]]:
        written = write(folder / kind)
        return f"{kind} {written}", sorted(written.iterdir())

    return source


SOURCES: dict[str, Callable[[Path], tuple[str, list[Path]]]] = {
    **{"judged": _judged, "log": _log, "clicks": _clicks, "pages": _pages, "homedepot": _homedepot, "ubi": _ubi},
    **{"esci": _folder_of("esci", write_esci), "wands": _folder_of("wands", write_wands)},
}
"""Writes a sound source of a format into a folder: the command, and its files."""

TOOLS = {
    "elasticsearch": exports.elasticsearch,
    "algolia": exports.algolia,
    "typesense": exports.typesense,
    "ga4": exports.ga4,
    "shopify": exports.shopify,
    "matomo": exports.matomo,
    "solr": exports.solr,
}

FORMATS = (*SOURCES, *TOOLS)


def _source(folder: Path, kind: str) -> tuple[str, list[Path]]:
    """A sound command, and its files."""
    if kind not in TOOLS:
        return SOURCES[kind](folder)
    own = folder / kind
    own.mkdir()
    return TOOLS[kind](own), sorted(own.iterdir())


@st.composite
def damage(draw: st.DrawFn) -> Any:
    """What befalls a file: cut off, bytes changed, garbage, other delimiters, lines repeated, values swapped."""
    kind = draw(st.sampled_from(["cut", "flip", "garbage", "delimiter", "repeat", "swap", "empty"]))
    seed, share = draw(st.binary(min_size=1, max_size=200)), draw(st.floats(0, 1))

    def spoil(content: bytes) -> bytes:
        place = int(share * len(content))
        lines = content.split(b"\n")
        line = lines[int(share * (len(lines) - 1))]
        return {
            "cut": content[:place],
            "flip": content[:place] + seed + content[place + len(seed) :],
            "garbage": seed * 20,
            "delimiter": content.replace(b",", b";").replace(b"\t", b","),
            "repeat": content + line + b"\n" + line,
            "swap": content.replace(line, line[::-1]),
            "empty": b"",
        }[kind]

    return spoil


def _spoil_and_attempt(kind: str, spoil: Any, which: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        command, files = _source(Path(name), kind)
        file = files[which % len(files)]
        file.write_bytes(spoil(file.read_bytes()))
        attempt(Path(name), *command.split())


SLOW = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=2, suppress_health_check=[HealthCheck.too_slow])
@given(spoil=damage(), which=st.integers(0, 2))
def test_damaged_files_end_in_tables_or_one_sentence(kind: str, spoil: Any, which: int) -> None:
    _spoil_and_attempt(kind, spoil, which)


@pytest.mark.slow
@SLOW
@given(kind=st.sampled_from(FORMATS), spoil=damage(), which=st.integers(0, 2))
def test_many_damaged_files_end_in_tables_or_one_sentence(kind: str, spoil: Any, which: int) -> None:
    _spoil_and_attempt(kind, spoil, which)


@pytest.mark.slow
@SLOW
@given(table=tables(), flags=flags, ending=endings)
def test_many_random_tables_end_in_tables_or_one_sentence(table: tuple[str, bytes], flags: str, ending: str) -> None:
    _write_and_attempt(table, flags, ending)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_sound_sources_convert(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "prectr.data.converters.formats.homedepot.SIZES", {"train": 20, "validation": 5, "test": 10, "unlabelled": 9}
    )
    attempt(tmp_path, *_source(tmp_path, kind)[0].split())
    assert (tmp_path / "artifacts" / "mine" / "data" / "step.json").exists()
