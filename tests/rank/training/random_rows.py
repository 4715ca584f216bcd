"""Rows whose clicks depend on one number and one category, for the tests of boosted trees."""

from __future__ import annotations

import numpy as np

from prectr.rank.training.trees import SETTINGS, Rows

SMALL = ({**SETTINGS[0], "min_data_in_leaf": 20}, {**SETTINGS[1], "num_leaves": 2, "min_data_in_leaf": 700})


def make_rows(seed: int, size: int = 1500) -> Rows:
    rng = np.random.default_rng(seed)
    numeric = rng.normal(size=(size, 3)).astype(np.float32)
    categorical = rng.integers(0, 4, (size, 2))
    logit = 2 * numeric[:, 0] + np.array([-3, 0, 3, 0])[categorical[:, 1]]
    return Rows(numeric, categorical, (rng.random(size) < 1 / (1 + np.exp(-logit))).astype(np.uint8))
