"""Reading a table part by part is reading it."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import prectr.data.toy as toy
from prectr.data.contract import read_table, table_path
from prectr.data.scan import scan_table
from prectr.shared.errors import PrectrError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy.build(folder, 1, num_users=12, pages_per_user=20, train_pages=40)
    return folder


@pytest.mark.parametrize("columns", [None, ["query", "user_id"], ["split"]])
def test_the_parts_are_the_table(folder, columns):
    parts = list(scan_table(folder, "impressions", columns, rows_at_once=100))
    assert len(parts) > 5 and max(part.num_rows for part in parts) == 100
    assert pa.concat_tables(parts).equals(read_table(folder, "impressions", columns))


def test_a_split_is_read_without_the_row_groups_of_the_others(folder, tmp_path):
    whole = read_table(folder, "impressions")
    pq.write_table(whole, table_path(tmp_path, "impressions"), row_group_size=50)
    found = pa.concat_tables(scan_table(tmp_path, "impressions", ["item_id"], 70, split="validation"))
    assert found["item_id"].equals(whole.filter(pc.field("split") == "validation")["item_id"])
    read = list(scan_table(tmp_path, "impressions", ["item_id"], 50, split="validation"))
    assert len(read) < whole.num_rows // 50
    assert list(scan_table(tmp_path, "impressions", ["item_id"], 50, split="zzz")) == []


def test_what_is_wrong_is_told_as_of_the_whole_table(folder, tmp_path):
    with pytest.raises(PrectrError, match=r"impressions.parquet is missing"):
        list(scan_table(tmp_path, "impressions"))
    table_path(tmp_path, "impressions").write_bytes(b"PAR1")
    with pytest.raises(PrectrError, match="not a Parquet file"):
        list(scan_table(tmp_path, "impressions"))
    whole = read_table(folder, "impressions")
    pq.write_table(whole.drop_columns(["query"]), table_path(tmp_path, "impressions"))
    with pytest.raises(PrectrError, match="column 'query' "):
        list(scan_table(tmp_path, "impressions"))
    far = whole.set_column(whole.column_names.index("position"), "position", pa.array([2**40] * whole.num_rows))
    pq.write_table(far, table_path(tmp_path, "impressions"))
    with pytest.raises(PrectrError, match="position, row 0: found 1099511627776"):
        list(scan_table(tmp_path, "impressions", ["position"]))
