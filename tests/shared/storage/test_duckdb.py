"""DuckDB as it is used here: bounded, leaving nothing behind, failing in one sentence."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import distinct, out_of_core


def test_distinct_values_come_in_the_order_of_their_bytes_without_nulls(tmp_path):
    words = ["b", "é", None, "a", "Z", "b", "日本", "10", "9"]
    pq.write_table(pa.table({"word": pa.array(words, pa.large_string())}), tmp_path / "it's.parquet")
    with out_of_core(tmp_path) as database:
        found = distinct(database, tmp_path / "it's.parquet", "word")
        assert distinct(database, tmp_path / "it's.parquet", "absent").to_pylist() == []
    assert found.type == pa.string()
    assert found.to_pylist() == sorted({word for word in words if word}, key=str.encode)


def test_a_sort_larger_than_its_memory_spills_and_leaves_nothing_behind(tmp_path):
    with out_of_core(tmp_path) as database:
        database.execute("SET threads = 1; SET memory_limit = '64MB'")
        rows = database.sql("SELECT hash(range) AS h, repeat('x', 60) AS pad FROM range(1_500_000) ORDER BY h")
        last = -1
        for batch in rows.to_arrow_reader(100_000):
            assert batch["h"][0].as_py() >= last
            last = batch["h"][-1].as_py()
        assert list(tmp_path.glob(".spill*/*"))
    assert list(tmp_path.iterdir()) == []


def test_running_out_of_memory_all_the_same_is_told_in_one_sentence(tmp_path):
    with pytest.raises(PrectrError, match="Out of Memory"), out_of_core(tmp_path) as database:
        database.execute("SET threads = 1; SET memory_limit = '1MB'")
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
