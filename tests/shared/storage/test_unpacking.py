"""Thirty gigabytes behind a megabyte: refused in a sentence, in seconds, before memory is taken for them."""

import gzip
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.checks.rows import scan
from prectr.data.contract import read_table
from prectr.data.converters.reading.readers import Reading, read_batches
from prectr.data.scan import scan_table
from prectr.rank.serving.score_table import open_impressions
from prectr.shared.errors import PrectrError
from prectr.shared.storage import unpacking
from prectr.shared.storage.unpacking import open_parquet

ROWS = 300_000
MOST_MEMORY = 1 << 28


def repeated(text: str, rows: int = ROWS) -> pa.DictionaryArray:
    """Written once, standing in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def write_bomb(path: Path) -> Path:
    """30 GB of texts in a table of items whose file has a few kilobytes."""
    text = repeated("x" * 100_000)
    pq.write_table(pa.table({"item_id": repeated("i"), "text": text, "category": repeated("c")}), path)
    assert path.stat().st_size < 1 << 21
    return path


OPENED: dict[str, Callable[[Path], object]] = {
    "a table of the contract": lambda path: read_table(path.parent, "items"),
    "its texts alone": lambda path: read_table(path.parent, "items", ["text"]),
    "a table read in parts": lambda path: next(scan_table(path.parent, "items")),
    "the checks": lambda path: scan(path.parent, "items"),
    "a source to convert": lambda path: next(read_batches(path, ["text"], Reading())),
    "a table to score": open_impressions,
}


@pytest.mark.parametrize("opens", OPENED.values(), ids=OPENED)
def test_texts_written_once_for_every_row(tmp_path: Path, opens: Callable[[Path], object]) -> None:
    path = write_bomb(tmp_path / "items.parquet")
    before, started = pa.default_memory_pool().max_memory(), time.monotonic()
    with pytest.raises(PrectrError, match="items.parquet: .* bytes that unpack to more than 1,073,741,824") as error:
        opens(path)
    assert "\n" not in str(error.value) and time.monotonic() - started < 10
    assert pa.default_memory_pool().max_memory() < before + MOST_MEMORY


def test_what_is_not_read_of_it_does_no_harm(tmp_path: Path) -> None:
    write_bomb(tmp_path / "items.parquet")
    assert len(read_table(tmp_path, "items", ["item_id"])) == ROWS


def test_a_bomb_in_a_zip_is_one_too(tmp_path: Path) -> None:
    path = write_bomb(tmp_path / "items.parquet")
    with gzip.open(tmp_path / "items.parquet.gz", "wb") as packed:
        packed.write(path.read_bytes())
    with pytest.raises(PrectrError, match="unpack to more than"):
        next(read_batches(tmp_path / "items.parquet.gz", ["text"], Reading(format="parquet")))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit that tests reach in no time."""
    monkeypatch.setattr(unpacking, "LARGE", 1 << 20)
    return 1 << 20


COLUMNS = {
    "plain texts": (pa.array(["y" * 1000] * 50_000), {"use_dictionary": False}),
    "few texts": (repeated("z" * 1000, 50_000), {}),
    "numbers": (pa.array(np.zeros(10_000_000, np.int64)), {}),
    "truths": (pa.array(np.zeros(10_000_000, bool)), {"use_dictionary": False}),
    "lists": (pa.array([[0] * 1000] * 10_000), {}),
}


@pytest.mark.parametrize(("column", "writing"), COLUMNS.values(), ids=COLUMNS)
def test_whatever_is_repeated(tmp_path: Path, small: int, column: pa.Array, writing: dict[str, bool]) -> None:
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet", compression="zstd", **writing)
    with pytest.raises(PrectrError, match="unpack to more than"):
        open_parquet(tmp_path / "a.parquet")
    assert open_parquet(tmp_path / "a.parquet", ["b"]).metadata.num_columns == 1


def test_an_honest_table_is_none_however_long_one_text_is(tmp_path: Path, small: int) -> None:
    draws = np.random.default_rng(0)
    texts = [f"item {number}" for number in draws.integers(0, 500, 100_000)]
    texts[7] = "long " * 40_000  # times the rows it would be 20 GB
    table = pa.table({"page_id": draws.integers(0, 10**6, 100_000), "text": texts})
    pq.write_table(table, tmp_path / "a.parquet")
    assert open_parquet(tmp_path / "a.parquet").read().equals(table)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zip", "a.jsonl.gz", "a.json.zip"])
def test_a_packed_text_that_does_not_end(tmp_path: Path, small: int, name: str) -> None:
    rows = (b'{"q": "a"}\n' if "jsonl" in name else b"q,t\n" if "csv" in name else b"[") + b"a,b\n" * (1 << 20)
    if name.endswith(".gz"):
        with gzip.open(tmp_path / name, "wb") as packed:
            packed.write(rows)
    else:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name.removesuffix(".zip"), rows)
    if "json" in name:
        with pytest.raises(PrectrError, match="line 2 is not|after 0 objects|unpack to more than"):
            list(read_batches(tmp_path / name, ["q"], Reading()))
        return
    with pytest.raises(PrectrError, match="bytes that unpack to more than"):
        list(read_batches(tmp_path / name, ["q"], Reading()))


def test_a_table_of_twenty_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]
    table = pa.table({"item_id": ["i"], "text": ["shoe"], **{name: [1.0] for name in names}})
    pq.write_table(table, tmp_path / "items.parquet")
    started = time.monotonic()
    with pytest.raises(PrectrError, match="it has 20,002 columns, and a table of this contract has at most 1,000"):
        read_table(tmp_path, "items")
    [defect], readable = scan(tmp_path, "items")
    assert not readable and "20,002 columns" in str(defect)
    with pytest.raises(PrectrError, match="column 'page_id' is missing; found item_id, text, c0") as error:
        open_impressions(tmp_path / "items.parquet")
    assert len(str(error.value)) < 500
    # A source may have what it likes: what is named is read.
    [batch] = read_batches(tmp_path / "items.parquet", ["text", "c19999"], Reading())
    assert batch.column(2).to_pylist() == ["1"]
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("table", ["items", "impressions"])
def test_a_pipe_in_place_of_a_table_is_not_waited_for(tmp_path: Path, table: str) -> None:
    os.mkfifo(tmp_path / f"{table}.parquet")
    for opens in (lambda: read_table(tmp_path, table), lambda: next(scan_table(tmp_path, table))):
        with pytest.raises(PrectrError, match="a folder, a pipe or a device"):
            opens()
    [defect], readable = scan(tmp_path, table)
    assert not readable and "a pipe or a device" in str(defect)
    with pytest.raises(PrectrError, match="no such file"):
        open_impressions(tmp_path / f"{table}.parquet")
