"""LightGBM as rival: position_gain tells a leak from none."""

from __future__ import annotations

import numpy as np

from prectr.rank.evaluation.lightgbm import position_gain


def test_position_gain_is_nothing_for_chance_and_much_for_a_leak(rival, splits):
    rng = np.random.default_rng(5)
    chance = {split: rng.integers(0, 12, len(rows.clicked)) for split, rows in splits.items()}
    leak = {split: np.where(rows.clicked, 0, chance[split]) for split, rows in splits.items()}
    assert abs(position_gain(rival, splits, chance, seed=0, num_threads=1)) < 0.01
    assert position_gain(rival, splits, leak, seed=0, num_threads=1) > 0.05


def test_where_no_test_page_has_a_click_there_is_no_gain(rival, splits):
    none = {**splits, "test": splits["test"]._replace(clicked=np.zeros(len(splits["test"].clicked), int))}
    chance = {name: np.arange(len(rows.clicked)) % 9 for name, rows in splits.items()}
    assert position_gain(rival, none, chance, seed=0, num_threads=1) is None
