"""Whatever the file is, its cells come out as they were written; what cannot be read is one sentence."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.converters.reading import readers
from prectr.data.converters.reading.files import find_encoding, list_files
from prectr.data.converters.reading.readers import Reading, read_batches
from prectr.shared.errors import PrectrError

TEXT = 'id,title,rating\n007,Stiefel größe 40,2\n1e5,"two\nlines, quoted",\n'
ROWS = [("007", "Stiefel größe 40", "2"), ("1e5", "two\nlines, quoted", None)]
OBJECTS = [
    {"id": "007", "title": "Stiefel größe 40", "rating": 2, "by": {"name": "x"}},
    {"id": "1e5", "title": "two\nlines, quoted", "rating": None},
]


def read(path: Path, columns: tuple[str, ...] = ("id", "title", "rating"), **how: object) -> list[tuple]:
    batches = read_batches(path, columns, Reading(**how))  # type: ignore[arg-type]
    return [tuple(row[name] for name in columns) for batch in batches for row in batch.to_pylist()]


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._rows.csv", "no")
        archive.writestr("rows.csv", TEXT)


def _parquet(path: Path) -> None:
    table = pa.table(
        {"id": ["007", "1e5"], "title": [row[1] for row in ROWS], "rating": pa.array([2, None], pa.int8())}
    )
    pq.write_table(table.set_column(0, "id", table["id"].dictionary_encode()), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "rows.csv": lambda path: path.write_text(TEXT, encoding="utf-8"),
    "bom.csv": lambda path: path.write_text(TEXT, encoding="utf-8-sig"),
    "wide.txt": lambda path: path.write_text(TEXT, encoding="utf-16"),
    "semicolon.csv": lambda path: path.write_text(TEXT.replace(",", ";").replace("lines;", "lines,"), encoding="utf-8"),
    "rows.tsv.gz": lambda path: path.write_bytes(
        gzip.compress(TEXT.replace(",", "\t").replace("s\t q", "s, q").encode())
    ),
    "rows.csv.zip": _zip,
    "rows.jsonl": lambda path: path.write_text("\n\n".join(map(json.dumps, OBJECTS)), encoding="utf-8"),
    "rows.json": lambda path: path.write_text(json.dumps(OBJECTS, indent=1), encoding="utf-8"),
    "rows.parquet": _parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_cells(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    assert read(tmp_path / name) == ROWS


def test_a_path_with_dots_goes_into_objects(tmp_path: Path) -> None:
    WRITERS["rows.jsonl"](tmp_path / "rows.jsonl")
    assert read(tmp_path / "rows.jsonl", ("id", "by.name")) == [("007", "x"), ("1e5", None)]


def test_a_json_array_longer_than_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [{"id": str(number), "title": "é" * number} for number in range(3000)]
    (tmp_path / "long.json").write_text(json.dumps(objects), encoding="utf-8")
    assert read(tmp_path / "long.json", ("id", "title")) == [(row["id"], row["title"] or None) for row in objects]


def test_long_files_come_in_batches_with_their_row_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BATCH", 2)
    (tmp_path / "rows.csv").write_text("id\na\n\nb\nc\n")
    batches = list(read_batches(tmp_path / "rows.csv", ["id"], Reading()))
    assert [batch["row"].to_pylist() for batch in batches] == [[1, 2], [3]]


def test_the_delimiter_is_the_one_that_yields_the_columns(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a, b;id;c, d, e\n1;2;3\n")
    assert read(tmp_path / "rows.csv", ("id",)) == [("2",)]
    with pytest.raises(PrectrError, match="column 'id' is missing; found a, b;id;c, d, e"):
        read(tmp_path / "rows.csv", ("id",), delimiter="comma")


def test_quotes_may_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text('id\ttitle\n1\t"12 inch board\n2\tplain\n')
    assert read(tmp_path / "rows.tsv", ("title",), quoting=False) == [('"12 inch board',), ("plain",)]


def test_a_folder_means_its_files_by_name(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.csv", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in list_files([str(tmp_path)])] == ["a.csv", "b.parquet"]


def test_encodings_are_told_apart(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "text.csv").write_text("ä", encoding=encoding)
        assert find_encoding(tmp_path / "text.csv", "auto") == encoding


BROKEN = {
    "empty file": ("rows.csv", b"", "the first line is empty"),
    "missing column": ("rows.csv", b"id,name\n1,a\n", "columns 'title', 'rating' are missing; found id, name"),
    "column twice": ("rows.csv", b"id,title,rating,title\n1,a,2,b\n", "column 'title' occurs twice"),
    "cut off": ("rows.csv", b"id,title,rating\n1,a,2\n2,b\n", "row 2 (line 3) has 2 fields but the first line names 3"),
    "bare quote": (
        "rows.csv",
        b'id,title,rating\n1,"a,2\n2,b,3\n',
        "line 2): a double quote opens a field that nothing closes",
    ),
    "binary": ("rows.csv", bytes(range(256)) * 9, "line 1 holds a zero byte"),
    "cut-off gzip": ("rows.csv.gz", gzip.compress(TEXT.encode() * 99)[:60], "cannot be read to its end"),
    "no gzip": ("rows.csv.gz", b"plain", "cannot be read to its end"),
    "no zip": ("rows.csv.zip", b"plain", "cannot be read to its end"),
    "not json": ("rows.jsonl", b'{"id": 1}\n{"id"\n', "line 2 is not a JSON object"),
    "a list": ("rows.jsonl", b"[1, 2]\n", "row 1 is a JSON list, not an object"),
    "nested": ("rows.jsonl", b'{"id": "1", "title": ["a"], "rating": 1}', "title, row 1: found a list"),
    "half a surrogate": (
        "rows.jsonl",
        b'{"id": "1", "title": "\\ud800", "rating": 1}',
        "title, row 1: a value is no text",
    ),
    "no such key": (
        "rows.jsonl",
        b'{"id": "1", "titel": "a", "rating": 1}',
        "column 'title' is missing; found id, titel",
    ),
    "array cut off": ("rows.json", b'[{"id": 1}, {"id"', "after 1 objects"),
    "array of numbers": ("rows.json", b"[1, 2]", "found '1' where { or ] should be"),
    "one object": ("rows.json", b'{"id": 1}', "say --file_format jsonl"),
    "no parquet": ("rows.parquet", b"PAR1 no", "not a Parquet file, or a damaged one"),
    "unknown ending": ("rows.xls", b"x", "its name does not tell what it is"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, message = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PrectrError) as error:
        read(tmp_path / name)
    assert message in str(error.value) and str(tmp_path / name) in str(error.value)


def test_bytes_of_another_encoding_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("id,title,rating\n1,größe,2\n".encode("latin-1"))
    with pytest.raises(PrectrError, match="line 2 is not utf-8 .*--encoding cp1252 reads it as '1,größe,2'"):
        read(tmp_path / "rows.csv", encoding="utf-8")
    with pytest.raises(PrectrError, match="--encoding klingon: there is none of that name"):
        read(tmp_path / "rows.csv", encoding="klingon")


def test_a_parquet_column_of_lists_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [["1"]], "title": ["a"], "rating": [1.5]}), tmp_path / "rows.parquet")
    with pytest.raises(PrectrError, match="column 'id' is list<.*>: write it as strings or numbers"):
        read(tmp_path / "rows.parquet")


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "rows.csv.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    with pytest.raises(PrectrError, match="holds 2 files"):
        read(tmp_path / "rows.csv.zip")


def test_a_parquet_file_whose_text_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    broken = pa.StringArray.from_buffers(1, pa.array([0, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\x80b"))
    pq.write_table(pa.table({"query": broken}), path)
    with pytest.raises(PrectrError, match=r"rows.parquet: not a Parquet file, or a damaged one \(.*UTF8"):
        list(read_batches(path, ["query"], Reading(), lambda line: None))
