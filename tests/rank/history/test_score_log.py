"""The pairs that are scored before any click is met are those that occur in the log, each once, in order."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import prectr.data.toy as toy
from prectr.data.contract import SCHEMAS, read_table, table_path
from prectr.rank.history.score_log import logged_pairs


def test_every_logged_pair_comes_once_in_order_with_the_text_of_its_item(tmp_path, monkeypatch):
    monkeypatch.setattr("prectr.rank.history.score_log.PAIRS_AT_ONCE", 2048)
    toy.build(tmp_path, 2, num_users=12, pages_per_user=30, train_pages=40)
    parts = list(logged_pairs(tmp_path, tmp_path / "spill"))
    assert len(parts) > 0
    found = pa.concat_tables(parts)
    expected = set()
    for table in ("impressions", "behaviours"):
        rows = read_table(tmp_path, table, ["query", "item_id"])
        rows = rows.filter(pc.is_valid(rows["query"]))
        expected |= set(zip(rows["query"].to_pylist(), rows["item_id"].to_pylist(), strict=True))
    assert list(zip(found["query"].to_pylist(), found["item_id"].to_pylist(), strict=True)) == sorted(expected)
    items = read_table(tmp_path, "items")
    text = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    assert found["text"].to_pylist() == [text[item] for item in found["item_id"].to_pylist()]
    assert not list(tmp_path.glob("spill/*"))


@pytest.mark.parametrize("threads", [1, 2])
def test_parts_do_not_hang_on_the_number_of_cores(tmp_path, monkeypatch, threads):
    monkeypatch.setattr("prectr.rank.history.score_log.PAIRS_AT_ONCE", 100_000)
    monkeypatch.setattr("prectr.shared.storage.duckdb.threads", lambda: threads)
    logged = {"query": pa.array([str(n) for n in range(130_000)]), "item_id": pa.array(["i"] * 130_000)}
    for name in ("impressions", "behaviours"):
        columns = {each.name: logged.get(each.name, pa.nulls(130_000, each.type)) for each in SCHEMAS[name]}
        pq.write_table(pa.table(columns), table_path(tmp_path, name))
    pq.write_table(pa.table({"item_id": ["i"], "text": ["a shoe"]}), table_path(tmp_path, "items"))
    assert [len(part) for part in logged_pairs(tmp_path, tmp_path / "spill")] == [100_000, 30_000]
