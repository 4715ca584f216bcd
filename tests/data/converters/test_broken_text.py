"""Quotes that do not balance, bytes that are not UTF-8, lines without end: the line is named, and no row is lost."""

import os
from pathlib import Path

import pytest

from prectr.data.converters.reading import readers
from prectr.data.converters.reading.files import list_files
from prectr.data.converters.reading.readers import Reading, read_batches
from prectr.shared.errors import PrectrError


def read(path: Path, **how: object) -> list[tuple[str, str]]:
    batches = read_batches(path, ("q", "t"), Reading(**how))  # type: ignore[arg-type]
    return [(row["q"], row["t"]) for batch in batches for row in batch.to_pylist()]


STRAY = {
    "inch signs that open": ('q\tt\na\t1\nbolt\t"5 inch\nx\ty\ntape\t"3 inch\n', "line 3"),
    "an opening and a closing inch sign": ('q\tt\nbolt\t"5 inch\nx\ty\nboard\t12"\n', "line 2: a double quote opens"),
    "of three columns": ('q,t,r\nbolt,"5 in,1\nx,y,2\nboard,z,"\n', "line 2: a double quote opens"),
    "text behind a quote": ('q,t\n"a" b,c\n', "row 1 (line 2): a quoted field goes on"),
    "the last row": ('q,t\na,b\nc,"d\n', "row 2 (line 3): a double quote opens a field that nothing closes"),
    "behind rows of several lines": ('q,t\n"a\nb",c\nd,"e\n', "row 2 (line 4)"),
}


@pytest.mark.parametrize("case", STRAY)
def test_a_stray_quote_names_its_line(tmp_path: Path, case: str) -> None:
    text, said = STRAY[case]
    path = tmp_path / ("a.tsv" if "\t" in text else "a.csv")
    path.write_text(text)
    with pytest.raises(PrectrError) as error:
        read(path)
    assert said in str(error.value) and "--quoting false" in str(error.value)
    if "several" not in case and "three" not in case:
        assert len(read(path, quoting=False)) == text.count("\n") - 1


def test_quotes_that_balance_mean_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('q,t\n"a, b","12"" board"\n"two\nlines, too",c"d\n"","x\n\ny"\n')
    assert read(tmp_path / "a.csv") == [
        ("a, b", '12" board'),
        ("two\nlines, too", 'c"d'),
        (None, "x\n\ny"),
    ]


ENCODED = {
    "cp1252": "men’s shoe – €20",
    "gb18030": "红色鞋子和皮鞋",
    "shift_jis": "赤い靴とランプ",
    "big5": "紅色的鞋子",
    "euc_kr": "빨간 신발",
    "cp1251": "красная обувь",
    "latin-1": "größe schuh",
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_other_encodings_are_shown_as_what_they_read_as(tmp_path: Path, encoding: str) -> None:
    text = ENCODED[encoding]
    (tmp_path / "a.csv").write_bytes(f"q,t\nplain,row\n{text},x\n".encode(encoding))
    with pytest.raises(PrectrError) as error:
        read(tmp_path / "a.csv")
    assert "a.csv: line 3 is not utf-8 (byte 0x" in str(error.value)
    assert f"reads it as '{text[:6]}" in str(error.value)
    assert read(tmp_path / "a.csv", encoding=encoding)[1] == (text, "x")


@pytest.mark.parametrize("text", ["größe schuh", "men’s shoe – €20", "chaussures d'été", "zapatos niños"])
def test_western_letters_are_first_said_to_be_cp1252(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"q,t\nplain,row\n{text},x\n".encode("cp1252"))
    with pytest.raises(PrectrError, match="say what the file is: --encoding cp1252 reads it as"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("row", [1, 7, 60_000])
def test_one_broken_character_is_a_line_and_not_an_encoding(tmp_path: Path, row: int) -> None:
    lines = [f"红色{number},鞋\n".encode() for number in range(60_001)]
    lines[row] = "蓝色".encode()[:-1] + ",灯\n".encode()
    (tmp_path / "a.csv").write_bytes(b"q,t\n" + b"".join(lines))
    with pytest.raises(PrectrError, match=f"a.csv: line {row + 2} is not utf-8 .*: mend the line"):
        read(tmp_path / "a.csv")


def test_json_is_held_to_utf8_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"q": "a", "t": "b"}\n{"q": "\xff", "t": "b"}\n')
    with pytest.raises(PrectrError, match="line 2 is not utf-8"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.tsv"])
def test_a_line_without_end_is_refused_before_it_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "LONGEST_LINE", 1 << 22)
    start = {"a.csv": "q,t\n", "a.tsv": "q\tt\n", "a.json": '[{"q": "', "a.jsonl": '{"q": "'}[name]
    (tmp_path / name).write_text(start + "x" * (1 << 24))
    with pytest.raises(PrectrError, match="4,194,304 characters or more"):
        read(tmp_path / name)


def test_a_pipe_and_a_device_are_no_tables(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/null")):
        with pytest.raises(PrectrError, match="a pipe, a socket or a device"):
            list_files([str(path)])
