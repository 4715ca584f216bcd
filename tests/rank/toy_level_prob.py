"""Seeded random level probabilities for every pair of the toy shop: stage one's table without stage one."""

import numpy as np
import pyarrow as pa


def random_level_prob(impressions: pa.Table, behaviours: pa.Table, num_levels: int = 4, seed: int = 0) -> pa.Table:
    pairs = set(zip(impressions["query"].to_pylist(), impressions["item_id"].to_pylist(), strict=True))
    pairs |= set(zip(behaviours["query"].to_pylist(), behaviours["item_id"].to_pylist(), strict=True))
    ordered = sorted(pair for pair in pairs if pair[0] is not None)
    prob = np.random.default_rng(seed).dirichlet(np.ones(num_levels), len(ordered)).astype(np.float32)
    return pa.table(
        {"query": [q for q, _ in ordered], "item_id": [i for _, i in ordered], "level_prob": list(prob)},
        schema=pa.schema([("query", pa.string()), ("item_id", pa.string()), ("level_prob", pa.list_(pa.float32()))]),
    )
