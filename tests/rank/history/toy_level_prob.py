"""The toy shop as stage two sees it, with seeded random level probabilities in the place of stage one's."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import prectr.data.toy as toy
from prectr.data.contract import read_table
from prectr.rank.features.shop import Shop
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.stage_one import LevelProb


def toy_shop(folder: Path, seed: int) -> tuple[Shop, pa.Table]:
    """A toy shop built into `folder`, and its training impressions."""
    toy.build(folder, seed)
    items, behaviours, impressions = (read_table(folder, name) for name in ("items", "behaviours", "impressions"))
    level_prob = LevelProb(random_level_prob(impressions, behaviours))
    log = BehaviourLog.from_tables(items, behaviours, level_prob)
    shop = Shop(items, log, level_prob, sorted(set(impressions["query"].to_pylist())))
    return shop, impressions.filter(pc.field("split") == "train")


def random_level_prob(impressions: pa.Table, behaviours: pa.Table, num_levels: int = 4, seed: int = 0) -> pa.Table:
    pairs = set(zip(impressions["query"].to_pylist(), impressions["item_id"].to_pylist(), strict=True))
    pairs |= set(zip(behaviours["query"].to_pylist(), behaviours["item_id"].to_pylist(), strict=True))
    ordered = sorted(pair for pair in pairs if pair[0] is not None)
    prob = np.random.default_rng(seed).dirichlet(np.ones(num_levels), len(ordered)).astype(np.float32)
    return pa.table(
        {"query": [q for q, _ in ordered], "item_id": [i for _, i in ordered], "level_prob": list(prob)},
        schema=pa.schema([("query", pa.string()), ("item_id", pa.string()), ("level_prob", pa.list_(pa.float32()))]),
    )
