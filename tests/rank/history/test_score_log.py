"""The pairs that are scored before any click is met are those that occur in the log, each once, in order."""

import pyarrow as pa
import pyarrow.compute as pc

import prectr.data.toy as toy
from prectr.data.contract import read_table
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
