"""A corpus of odd files: each becomes the values a person expects, cell by cell, or one sentence that says where."""

import csv
import gzip
import io
import json
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, rows_of

# ---------------------------------------------------------------- judged pairs

HEAD = ["q", "id", "t", "r"]
PLAIN = [[f"nail {i}", f"s{i}{j}", f"item {i}-{j}", str(j)] for i in range(6) for j in range(3)]
JUDGED = "--query q --item_id id --item t --level r"
Cells = list[list[str]]


def text_of(rows: Cells, sep: str = ",", end: str = "\n") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=sep, lineterminator=end).writerows([HEAD, *rows])
    return file.getvalue()


def judged(path: Path) -> dict[tuple[str, str], tuple[str, int]]:
    """(query, id) -> (text, level) of every judged pair of a file."""
    folder = convert_to(path.parent, f"table {path} {JUDGED}")
    texts = dict(rows_of(folder, "items", "item_id", "text"))
    rows = rows_of(folder, "pairs", "query", "item_id", "level")
    return {(query, item): (texts[item], level) for query, item, level in rows if level is not None}


def expected(rows: Cells) -> dict[tuple[str, str], tuple[str, int]]:
    return {(query, item): (text, int(float(level))) for query, item, text, level in rows}


NFD = unicodedata.normalize("NFD", "café stühle")
CELLS: dict[str, tuple[list[str], list[str] | None]] = {
    "inch sign": (["bolt", "x", '12" board', "2"], ["bolt", "x", '12" board', "2"]),
    "comma": (["bolt, long", "x", "a, b", "2"], ["bolt, long", "x", "a, b", "2"]),
    "line end": (["bolt", "x", "two\nlines", "1"], ["bolt", "x", "two lines", "1"]),
    "no-break space": (["red\u00a0shoe", "x", "a", "1"], ["red shoe", "x", "a", "1"]),
    "tab": (["\tred\tshoe", "x", "a", "1"], ["red shoe", "x", "a", "1"]),
    "composed later": ([NFD, "x", NFD, "1"], ["café stühle", "x", "café stühle", "1"]),
    "zero-width space": (["red\u200b shoe\ufeff", "x", "a", "1"], ["red shoe", "x", "a", "1"]),
    "wide space": (["赤い\u3000靴", "x", "靴", "1"], ["赤い 靴", "x", "靴", "1"]),
    "line separator": (["red\u2028shoe", "x", "a", "1"], ["red shoe", "x", "a", "1"]),
    "joined emoji": (
        ["👨\u200d👩\u200d👧 mug", "x", "mug 👍🏽", "1"],
        ["👨\u200d👩\u200d👧 mug", "x", "mug 👍🏽", "1"],
    ),
    "right to left": (["חולצה", "x", "قميص أزرق", "1"], ["חולצה", "x", "قميص أزرق", "1"]),
    "leading zeros": (["bolt", "007", "a", "1"], ["bolt", "007", "a", "1"]),
    "id like a float": (["bolt", "1e5", "a", "1"], ["bolt", "1e5", "a", "1"]),
    "id of many digits": (["bolt", "12345678901234567890", "a", "1"], ["bolt", "12345678901234567890", "a", "1"]),
    "level as a float": (["bolt", "x", "a", "2.0"], ["bolt", "x", "a", "2"]),
    "level with blanks": (["bolt", "x", "a", " 2 "], ["bolt", "x", "a", "2"]),
    "level NaN": (["bolt", "x", "a", "NaN"], None),
    "level None": (["bolt", "x", "a", "None"], None),
    "level inf": (["bolt", "x", "a", "-inf"], None),
    "level NA": (["bolt", "x", "a", "NA"], None),
    "level missing": (["bolt", "x", "a", ""], None),
    "query null": (["null", "x", "a", "1"], None),
    "query NaN": (["NaN", "x", "a", "1"], None),
    "query of blanks": ([" \u00a0\t", "x", "a", "1"], None),
    "id None": (["bolt", "None", "a", "1"], None),
    "id <NA>": (["bolt", "<NA>", "a", "1"], None),
    "text NULL": (["bolt", "x", "NULL", "1"], None),
    "text invisible": (["bolt", "x", "\u200b\u2060", "1"], None),
    "text NA is a word": (["bolt", "x", "NA", "1"], ["bolt", "x", "NA", "1"]),
    "nan inside a word": (["banana", "x", "nanny", "1"], ["banana", "x", "nanny", "1"]),
    "entity": (["bolt", "x", "a &amp; b", "1"], ["bolt", "x", "a &amp; b", "1"]),
    "formula": (["=1+1", "x", "@SUM(A1)", "1"], ["=1+1", "x", "@SUM(A1)", "1"]),
    "sql": (
        ["'); DROP TABLE items; --", "x", '"; SELECT 1', "1"],
        ["'); DROP TABLE items; --", "x", '"; SELECT 1', "1"],
    ),
    "markup": (["[/x] [bold]", "x", "<script>", "1"], ["[/x] [bold]", "x", "<script>", "1"]),
    "backslash": (["a\\nb", "x", "c\\", "1"], ["a\\nb", "x", "c\\", "1"]),
}


@pytest.mark.parametrize("case", CELLS)
def test_an_odd_cell_is_what_a_person_sees(tmp_path: Path, case: str) -> None:
    row, seen = CELLS[case]
    path = tmp_path / "a.csv"
    path.write_bytes(text_of([*PLAIN, row]).encode())
    assert judged(path) == expected([*PLAIN, *([seen] if seen else [])])


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", text_of(PLAIN))


def _dicts() -> list[dict[str, Any]]:
    return [dict(zip(HEAD, row, strict=True)) for row in PLAIN]


def _floats(path: Path) -> None:
    table = {name: [row[place] for row in PLAIN] for place, name in enumerate(HEAD[:3])}
    levels = pa.array([float(row[3]) for row in PLAIN] + [float("nan")])
    more = {"q": ["bolt"], "id": ["x"], "t": ["a"]}
    pq.write_table(pa.table({**{name: values + more[name] for name, values in table.items()}, "r": levels}), path)


FILES: dict[str, Callable[[Path], Any]] = {
    "crlf.csv": lambda path: path.write_bytes(text_of(PLAIN, end="\r\n").encode()),
    "cr.csv": lambda path: path.write_bytes(text_of(PLAIN, end="\r").encode()),
    "bom.csv": lambda path: path.write_text(text_of(PLAIN), "utf-8-sig"),
    "utf16.csv": lambda path: path.write_text(text_of(PLAIN), "utf-16"),
    "utf32.csv": lambda path: path.write_text(text_of(PLAIN), "utf-32"),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(text_of(PLAIN).encode())),
    "a.csv.zip": _zipped,
    "a.tsv": lambda path: path.write_text(text_of(PLAIN, "\t")),
    "semicolon.csv": lambda path: path.write_text(text_of(PLAIN, ";")),
    "pipe.txt": lambda path: path.write_text(text_of(PLAIN, "|")),
    "blank_lines.csv": lambda path: path.write_text(text_of(PLAIN).replace("\n", "\n\n")),
    "wide_header.csv": lambda path: path.write_text(text_of(PLAIN).replace("q,id,t,r", " q , id ,t , r ")),
    "no_last_line_end.csv": lambda path: path.write_text(text_of(PLAIN).rstrip("\n")),
    "a.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, _dicts()))),
    "a.json": lambda path: path.write_text(json.dumps(_dicts(), indent=2)),
    "numbers.jsonl": lambda path: path.write_text(
        "\n".join(json.dumps({**row, "r": int(row["r"])}) for row in _dicts())
    ),
    "nan.jsonl": lambda path: path.write_text(
        "\n".join([*map(json.dumps, _dicts()), '{"q": "bolt", "id": "x", "t": "a", "r": NaN}'])
    ),
    "null.jsonl": lambda path: path.write_text(
        "\n".join([*map(json.dumps, _dicts()), '{"q": null, "id": "x", "t": "a", "r": 1}'])
    ),
    "floats.parquet": _floats,
}


@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_holds_the_same_rows(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    assert judged(tmp_path / name) == expected(PLAIN)


GOOD = text_of(PLAIN)
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "of Windows": ("a.csv", (GOOD + "men’s shoe,x,a,1\n").encode("cp1252"), "a.csv: line 20 is not utf-8"),
    "GBK": ("a.csv", (GOOD + "红色鞋,x,皮鞋,1\n").encode("gbk"), "a.csv: line 20 is not utf-8"),
    "Shift-JIS": ("a.csv", (GOOD + "赤い靴,x,靴,1\n").encode("shift_jis"), "a.csv: line 20 is not utf-8"),
    "a broken byte": ("a.csv", GOOD.encode() + "蓝色".encode()[:-1] + b",x,a,1\n", "a.csv: line 20 is not utf-8"),
    "quote that opens": ("a.csv", (GOOD + 'bolt,x,"5 inch,1\n').encode(), "row 19 (line 20): a double quote opens"),
    "quotes that swallow": ("a.csv", (GOOD + 'b,x,"5 in,1\nc,y,z,2\nd,v,12",0\n').encode(), "line 20: a double quote"),
    "a field too many": ("a.csv", (GOOD + "bolt,x,a,b,1\n").encode(), "row 19 (line 20) has 5 fields"),
    "a field too few": ("a.csv", (GOOD + "bolt,x,1\n").encode(), "row 19 (line 20) has 3 fields"),
    "word among levels": ("a.csv", (GOOD + "bolt,x,a,high\n").encode(), "r, row 19: found 'high'"),
    "decimal comma": ("a.csv", (GOOD + 'bolt,x,a,"1,5"\n').encode(), "r, row 19: found '1,5'"),
    "column twice": ("a.csv", GOOD.replace("q,id,t,r", "q,id,t,r,t").encode(), "column 't' occurs twice"),
    "other column": ("a.csv", GOOD.replace("q,id", "query,id").encode(), "column 'q' is missing; found query, id"),
    "a zero byte": ("a.csv", GOOD.encode() + b"a\0b,x,a,1\n", "line 20 holds a zero byte"),
    "a zero byte far down": ("a.csv", GOOD.encode() + b"bolt,x,a,1\n" * 9000 + b"bolt,y,a\0,1\n", "line 9020 holds a"),
    "UTF-16 without its mark": ("a.csv", GOOD.encode("utf-16-le"), "line 1 holds a zero byte"),
    "empty": ("a.csv", b"", "the first line is empty"),
    "head alone": ("a.csv", b"q,id,t,r\n", "it holds no rows"),
    "gzip cut off": ("a.csv.gz", gzip.compress(GOOD.encode())[:-20], "cannot be read to its end"),
    "json cut off": ("a.json", json.dumps(_dicts()).encode()[:-30], "after 17 objects"),
    "lines cut off": ("a.jsonl", b'{"q": "a", "id": "x"', "line 1 is not a JSON object"),
    "list in a cell": ("a.jsonl", b'{"q": ["a"], "id": "x", "t": "a", "r": 1}', "q, row 1: found a list"),
    "half a surrogate": (
        "a.jsonl",
        b'{"q": "\\ud83d", "id": "x", "t": "a", "r": 1}',
        "q, row 1: a value is no text",
    ),
    "half a surrogate far down": (
        "a.jsonl",
        "\n".join(map(json.dumps, _dicts())).encode() + b'\n{"q": "a", "id": "x", "t": "\\udc00 a", "r": 1}',
        "t, row 19: a value is no text",
    ),
    "no parquet": ("a.parquet", GOOD.encode(), "not a Parquet file"),
    "one level": ("a.csv", text_of([[*row[:3], "1"] for row in PLAIN]).encode(), "every pair has the rating 1"),
    "two queries": ("a.csv", text_of(PLAIN[:6]).encode(), "2 are judged: judge pairs of three queries"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_where(tmp_path: Path, case: str) -> None:
    name, content, said = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PrectrError) as error:
        judged(tmp_path / name)
    message = str(error.value)
    assert said in message and str(tmp_path / name) in message and "\n" not in message and ".part" not in message


# ---------------------------------------------------------------- logs

FIRST = datetime(2024, 3, 1, 14, 5, tzinfo=UTC)
LOG = "--query q --item_id id --item t --clicked c --timestamp at --user u"


def shown(count: int = 40) -> list[tuple[str, str, bool, datetime, str]]:
    """Pages of three items, nine hours apart: query, item, click, time, user."""
    return [
        (f"q{p % 5}", f"i{(p + j) % 9}", j == p % 3, FIRST + timedelta(hours=9 * p), f"u{p % 4}")
        for p in range(count)
        for j in range(3)
    ]


def log_of(path: Path, click: Callable[[bool], Any], time: Callable[[datetime], Any], *flags: str) -> list[tuple]:
    """Convert that log with its clicks and times written in some way: query, item, click, time of every row."""
    rows = [
        {"q": query, "id": item, "t": f"item {item}", "c": click(clicked), "at": time(at), "u": user}
        for query, item, clicked, at, user in shown()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = convert_to(path.parent, f"table {path} {LOG}", *flags)
    return sorted(rows_of(folder, "behaviours", "query", "item_id", "clicked", "timestamp"))


def same(at: Callable[[datetime], datetime] = lambda at: at) -> list[tuple]:
    return sorted(
        (query, item, clicked, at(moment).replace(tzinfo=None)) for query, item, clicked, moment, _ in shown()
    )


def day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0)


CLICKS: dict[str, Callable[[bool], Any]] = {
    "words": lambda yes: "True" if yes else "False",
    "yes and no": lambda yes: "Yes" if yes else "no ",
    "floats": lambda yes: 1.0 if yes else 0.0,
    "counts": lambda yes: "3" if yes else "0",
    "NaN for no": lambda yes: 1 if yes else float("nan"),
    "inf for no": lambda yes: 1 if yes else float("inf"),
    "None for no": lambda yes: "1" if yes else "None",
    "null for no": lambda yes: True if yes else None,
    "empty for no": lambda yes: "t" if yes else "",
}


@pytest.mark.parametrize("case", CLICKS)
def test_clicks_in_every_spelling(tmp_path: Path, case: str) -> None:
    assert log_of(tmp_path / "a.jsonl", CLICKS[case], datetime.isoformat) == same()


@pytest.mark.parametrize("word", ["maybe", "-1", "clicked", "2024-01-01", "0,5"])
def test_what_is_neither_a_click_nor_none_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(PrectrError, match=rf"c, row 2 \(and \d+ more\): found '{word}': write true or false, 1 or 0"):
        log_of(tmp_path / "a.jsonl", lambda yes: 1 if yes else word, datetime.isoformat)


@pytest.mark.parametrize(("yes", "no"), [("ja", "nein"), ("geklickt", "gezeigt"), ("so", "anders"), (1, "none seen")])
def test_a_word_for_a_click_is_suggested_and_then_read(tmp_path: Path, yes: Any, no: str) -> None:
    with pytest.raises(PrectrError, match=rf"write true or false, 1 or 0, or say .*: --clicked_value {yes}\.$"):
        log_of(tmp_path / "a.jsonl", lambda click: yes if click else no, datetime.isoformat)
    flags = ["--clicked_value", str(yes)]
    assert log_of(tmp_path / "b.jsonl", lambda click: yes if click else no, datetime.isoformat, *flags) == same()


def test_of_a_column_of_all_sorts_nothing_is_suggested(tmp_path: Path) -> None:
    values = iter(range(10_000))
    with pytest.raises(PrectrError, match=r"write true or false, 1 or 0\.$"):
        log_of(tmp_path / "a.jsonl", lambda click: f"v{next(values)}", datetime.isoformat)


TIMES: dict[str, tuple[Callable[[datetime], Any], list[str], Callable[[datetime], datetime]]] = {
    "ISO": (datetime.isoformat, [], lambda at: at),
    "another zone": (lambda at: (at + timedelta(hours=5.5)).strftime("%Y-%m-%dT%H:%M:%S+05:30"), [], lambda at: at),
    "slashes": (lambda at: at.strftime("%Y/%m/%d %H:%M"), [], lambda at: at),
    "compact ISO": (lambda at: at.strftime("%Y%m%dT%H%M%SZ"), [], lambda at: at),
    "days": (lambda at: at.strftime("%Y-%m-%d"), [], day),
    "seconds": (lambda at: int(at.timestamp()), [], lambda at: at),
    "seconds as floats": (lambda at: at.timestamp() + 0.25, [], lambda at: at),
    "milliseconds": (lambda at: int(at.timestamp()) * 1000 + 7, [], lambda at: at),
    "microseconds": (lambda at: int(at.timestamp()) * 10**6, [], lambda at: at),
    "nanoseconds": (lambda at: str(int(at.timestamp()) * 10**9), [], lambda at: at),
    "compact days": (lambda at: at.strftime("%Y%m%d"), [], day),
    "compact minutes": (lambda at: int(at.strftime("%Y%m%d%H%M")), [], lambda at: at),
    "compact seconds": (lambda at: at.strftime("%Y%m%d%H%M%S"), [], lambda at: at),
    "two digits, said": (lambda at: at.strftime("%y%m%d%H%M"), ["--time_unit", "YYMMDDHHMM"], lambda at: at),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_in_every_spelling(tmp_path: Path, case: str) -> None:
    time, flags, at = TIMES[case]
    assert log_of(tmp_path / "a.jsonl", int, time, *flags) == same(at)


FORMS = (
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%y %H:%M", "%m/%d/%Y %I:%M %p", "%d/%m/%Y, %H:%M",
    "%Y.%m.%d %H:%M", "%d-%m-%Y %H:%M",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_format_that_fits_the_time_is_suggested_and_then_read(tmp_path: Path, form: str) -> None:
    with pytest.raises(PrectrError, match="say which it is with --time_format, as (.*)") as error:
        log_of(tmp_path / "a.jsonl", int, lambda at: at.strftime(form))
    suggested = str(error.value).rpartition(", as ")[2].removesuffix(".").split(" or ")
    assert form in [each.strip('"') for each in suggested]


def test_a_format_that_leaves_the_clock_out_is_completed(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=r'as %d.%m.%Y: correct it, or say --time_format, as "%d.%m.%Y %H:%M"'):
        log_of(tmp_path / "a.jsonl", int, lambda at: at.strftime("%d.%m.%Y %H:%M"), "--time_format", "%d.%m.%Y")


NO_TIMES: dict[str, tuple[Callable[[datetime], Any], str]] = {
    "two digits": (lambda at: at.strftime("%y%m%d%H%M"), "at: found numbers from .* may be .*YYMMDDHHMM: say"),
    "two digits with seconds": (lambda at: at.strftime("%y%m%d%H%M%S"), "may be YYMMDDHHMMSS: say which"),
    "minutes since 1970": (lambda at: int(at.timestamp()) // 60, "which may be anything: say --time_unit"),
    "days since 1970": (lambda at: int(at.timestamp()) // 86400, "which may be anything"),
    "day first": (
        lambda at: at.strftime("%d.%m.%Y"),
        r"at, row 1 \(and \d+ more\): found '01.03.2024', which is no time in iso.*as %d.%m.%Y",
    ),
    "month first": (lambda at: at.strftime("%m/%d/%Y"), r"at, row 1 \(and \d+ more\): found '03/01/2024'"),
    "no date": (lambda at: at.strftime("%H:%M"), r"at, row 1 \(and \d+ more\): found '14:05'"),
    "the year 1970": (
        lambda at: at.strftime("1970-%m-%d"),
        r"row 1 \(and \d+ more\): found '1970-03-01', which is no time",
    ),
    "the year 2150": (lambda at: at.strftime("2150-%m-%d"), "between 1990 and 2100"),
    "the future": (lambda at: at.strftime("2090-%m-%d"), "at, row 1: 2090-03-01 00:00:00 lies in the future"),
    "a word": (lambda at: "yesterday", r"at, row 1 \(and \d+ more\): found 'yesterday'"),
}


@pytest.mark.parametrize("case", NO_TIMES)
def test_times_that_may_be_anything_are_refused(tmp_path: Path, case: str) -> None:
    time, said = NO_TIMES[case]
    with pytest.raises(PrectrError, match=said) as error:
        log_of(tmp_path / "a.jsonl", int, time)
    assert str(tmp_path / "a.jsonl") in str(error.value) and "\n" not in str(error.value)
