"""What stage one hands over to be replayed: gold levels, and its own opinion of the other pairs it learnt from."""

import numpy as np

from prectr.distill.pairs import Pairs
from prectr.distill.publishing.replay import pairs_to_replay
from tests.shared.encoder.tiny_encoder import tiny_encoder


def test_what_has_no_gold_level_is_replayed_as_the_encoder_itself_judges_it(tmp_path, monkeypatch):
    monkeypatch.setattr("prectr.distill.publishing.replay.PAIRS_AT_ONCE", 2)
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
