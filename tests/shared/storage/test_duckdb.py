"""DuckDB as it is used here: bounded, leaving nothing behind, failing in one sentence."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import (
    connect,
    distinct,
    equal_batches,
    identifier,
    literal,
    literals,
    out_of_core,
    parquet,
)
from tests.shared.leftovers import left_by_a_killed_process


def test_distinct_values_come_in_the_order_of_their_bytes_without_nulls(tmp_path):
    words = ["b", "é", None, "a", "Z", "b", "日本", "10", "9"]
    pq.write_table(pa.table({"word": pa.array(words, pa.large_string())}), tmp_path / "it's.parquet")
    with out_of_core(tmp_path) as database:
        found = distinct(database, tmp_path / "it's.parquet", "word")
        assert distinct(database, tmp_path / "it's.parquet", "absent").to_pylist() == []
    assert found.type == pa.string()
    assert found.to_pylist() == sorted({word for word in words if word}, key=str.encode)


def test_a_sort_larger_than_its_memory_spills_and_leaves_nothing_behind(tmp_path):
    with out_of_core(tmp_path, threads=1, memory_limit="64MB") as database:
        rows = database.sql("SELECT hash(range) AS h, repeat('x', 60) AS pad FROM range(1_500_000) ORDER BY h")
        last = -1
        for batch in rows.to_arrow_reader(100_000):
            assert batch["h"][0].as_py() >= last
            last = batch["h"][-1].as_py()
        assert list(tmp_path.glob(".spill*/*"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [50_000, 122_880, 200_000, 1_000_000])
def test_batches_are_cut_alike_however_many_threads_there_are(tmp_path, rows):
    found = []
    for threads in (1, 2, 4):
        with out_of_core(tmp_path, threads=threads) as database:
            reader = database.sql("SELECT range AS r FROM range(400_000) ORDER BY hash(range)").to_arrow_reader(rows)
            found.append(list(equal_batches(reader, rows)))
    assert [len(batch) for batch in found[0]] == [rows] * (400_000 // rows) + [400_000 % rows] * (400_000 % rows > 0)
    assert found[0] == found[1] == found[2]


@given(st.lists(st.integers(0, 9)), st.integers(1, 12))
def test_batches_of_any_size_are_cut_into_equal_ones_with_the_same_rows(sizes, rows):
    whole = pa.record_batch({"r": pa.array(range(sum(sizes)), pa.int64())})
    given = [whole.slice(sum(sizes[:number]), size) for number, size in enumerate(sizes)]
    found = list(equal_batches(pa.RecordBatchReader.from_batches(whole.schema, given), rows))
    assert [value for batch in found for value in batch["r"].to_pylist()] == whole["r"].to_pylist()
    assert all(len(batch) == rows for batch in found[:-1]) and all(0 < len(batch) <= rows for batch in found)


def test_two_that_sort_in_the_same_folder_at_once_leave_each_others_files_alone(tmp_path):
    sort = "SELECT hash(range) AS h, repeat('x', 60) AS pad FROM range(1_500_000) ORDER BY h"
    with out_of_core(tmp_path, threads=1, memory_limit="64MB") as database:
        reader = database.sql(sort).to_arrow_reader(100_000)
        rows = reader.read_next_batch().num_rows
        spilled = set(tmp_path.glob(".spill*/*"))
        with out_of_core(tmp_path, threads=1, memory_limit="64MB") as other:
            other.sql(sort).to_arrow_reader(100_000).read_next_batch()
            assert len(list(tmp_path.glob(".spill*"))) == 2
        assert spilled and set(tmp_path.glob(".spill*/*")) == spilled
        assert rows + sum(batch.num_rows for batch in reader) == 1_500_000
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_sort_left_goes_with_the_next(tmp_path):
    left_by_a_killed_process(tmp_path, "spill")
    with out_of_core(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_running_out_of_memory_all_the_same_is_told_in_one_sentence(tmp_path):
    small = out_of_core(tmp_path, threads=1, memory_limit="1MB")
    with pytest.raises(PrectrError, match="Out of Memory"), small as database:
        database.sql("SELECT hash(range) AS h FROM range(500_000) ORDER BY h").to_arrow_reader(1000).read_all()


def test_what_fails_is_told_in_one_sentence(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with (
        pytest.raises(PrectrError, match=r"sorting in .* failed \(.*bad.parquet") as raised,
        out_of_core(tmp_path) as db,
    ):
        db.sql(f"SELECT * FROM read_parquet('{tmp_path}/bad.parquet')").to_arrow_table()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob(".spill*"))


ODD = [
    "it's",
    'say "a"',
    '"; DROP TABLE t; --',
    "s[1]",
    "a*b?",
    "{x,y}",
    "größe 日本",
    "x' OR '1'='1",
    "\\",
    "a\tb",
    "select",
]


@pytest.mark.parametrize("word", ODD)
def test_a_name_and_a_path_are_never_part_of_the_statement(tmp_path, word):
    folder = tmp_path / word
    folder.mkdir()
    pq.write_table(pa.table({word: ["found"]}), folder / "t.parquet")
    decoy = tmp_path / word.replace("[1]", "1").replace("*", "x").replace("?", "y")
    if decoy != folder:
        decoy.mkdir()
        pq.write_table(pa.table({word: ["decoy"]}), decoy / "t.parquet")
    with out_of_core(tmp_path / "work", [folder]) as database:
        assert distinct(database, folder / "t.parquet", word).to_pylist() == ["found"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_comes_back_from_sql_as_it_went_in(text):
    with duckdb.connect() as database:
        found = database.sql(
            f"SELECT {literal(text)} AS {identifier(text)} WHERE {literal(text)} IN {literals([text])}"
        )
        assert found.columns == [text] and found.fetchall() == [(text,)]


ESCAPES = [
    "COPY (SELECT 1) TO {outside}",
    "SELECT * FROM read_text({secret})",
    "SELECT * FROM {secret}",
    "ATTACH {outside}",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET memory_limit = '1TB'",
    "SELECT * FROM read_parquet('http://localhost:9/x.parquet')",
    "EXPORT DATABASE {outside}",
]


@pytest.mark.parametrize("statement", ESCAPES)
def test_a_statement_that_got_in_all_the_same_reaches_nothing(tmp_path: Path, statement: str):
    (tmp_path / "given").mkdir()
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    outside, secret = literal(tmp_path / "outside"), literal(tmp_path / "secret.csv")
    with connect(tmp_path / "spill", "100MB", [tmp_path / "given"]) as database, pytest.raises(duckdb.Error):
        database.execute(statement.format(outside=outside, secret=secret)).fetchall()
    assert not (tmp_path / "outside").exists()


def test_a_file_elsewhere_is_not_opened(tmp_path: Path):
    (tmp_path / "given").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with (
        connect(tmp_path / "spill", "100MB", [tmp_path / "given"]) as database,
        pytest.raises(duckdb.PermissionException),
    ):
        database.execute(f"SELECT * FROM {parquet(tmp_path / 'other.parquet')}")
