"""What stage one hands over: its opinion of the pairs that occur in the log, and what is to be replayed."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import data.toy as toy
from data.contract import read_table
from distill.level_prob import logged_pairs, pairs_to_replay
from distill.pairs import Pairs
from tests.shared.tiny_encoder import tiny_encoder


def test_every_logged_pair_comes_once_in_order_with_the_text_of_its_item(tmp_path, monkeypatch):
    monkeypatch.setattr("distill.level_prob.PAIRS_AT_ONCE", 2048)
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


def test_what_has_no_gold_level_is_replayed_as_the_encoder_itself_judges_it(tmp_path, monkeypatch):
    monkeypatch.setattr("distill.level_prob.PAIRS_AT_ONCE", 2)
    encoder = tiny_encoder(tmp_path)
    gold = Pairs(np.array(["milk", "lamp"]), np.array(["red milk", "red shirt"]), np.array([3, 0]))
    taught = Pairs(np.array(["red", "milk", "soda"]), np.array(["red lamp", "lamp", "liter soda"]), np.full(3, -1))
    table = pairs_to_replay(encoder, gold, taught)
    assert table["query"].to_pylist() == ["milk", "lamp", "red", "milk", "soda"]
    assert table["item_text"].to_pylist() == ["red milk", "red shirt", "red lamp", "lamp", "liter soda"]
    level_prob = np.array(table["level_prob"].to_pylist())
    np.testing.assert_array_equal(level_prob[:2], [[0, 0, 0, 1], [1, 0, 0, 0]])
    own = encoder.score_pairs(taught.query.tolist(), taught.item_text.tolist())
    np.testing.assert_allclose(level_prob[2:], own, atol=1e-6)


def test_without_gold_pairs_everything_replayed_is_the_encoders_own_opinion(tmp_path):
    encoder = tiny_encoder(tmp_path)
    taught = Pairs(np.array(["red"]), np.array(["red lamp"]), np.array([-1]))
    table = pairs_to_replay(encoder, taught.take(np.array([], int)), taught)
    np.testing.assert_allclose(table["level_prob"].to_pylist(), encoder.score_pairs(["red"], ["red lamp"]), atol=1e-6)
