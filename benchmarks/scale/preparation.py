"""All that is done with a log before anything is trained on it: what both benchmarks of scale measure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scale.log import Log
from prectr.data.contract import read_table, table_path
from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap, FeatureMapFit
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.features.write import apply_feature_map, write_features
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.engine.job import Engine
from prectr.shared.engine.plain import PLAIN
from prectr.shared.storage.duckdb import distinct, out_of_core

PHASES = ("pairs", "log", "features", "inputs")


class Ready(NamedTuple):
    """What a training starts from; `cuts` [G]: how many pages of history each training page keeps."""

    shop: Shop
    prepared: PreparedSet
    feature_map: FeatureMap
    cuts: np.ndarray


def no_phase(name: str) -> AbstractContextManager[Any]:
    """Nobody measures the phases one by one."""
    return nullcontext()


def prepare_log(
    log: Log,
    work: Path,
    history: HistoryArguments,
    seed: int,
    engine: Engine = PLAIN,
    phase: Callable[[str], AbstractContextManager[Any]] = no_phase,
) -> Ready:
    """Stage one's pairs, the behaviour log and its indices, features, feature map, training set: all into `work`."""
    with phase("pairs"):
        level_prob = LevelProb.build(log.level_prob, work / "pairs", engine)
    with phase("log"):
        behaviours = BehaviourLog.build(log.data, level_prob, work / "behaviours", engine=engine)
    with phase("features"):
        with out_of_core(work, [log.data]) as database:
            queries = distinct(database, table_path(log.data, "impressions"), "query").to_pylist()
        shop = Shop(read_table(log.data, "items"), behaviours, level_prob, queries)
        pages = PageParts(log.data, "train", work / "sorted")
        cuts = cold_cuts(pages.num_pages, history.cold_share, history.cold_lengths, seed)
        fit = FeatureMapFit(shop.items)
        features = write_features(pages, shop, history, cuts, fit, work / "train", engine)
    with phase("inputs"):
        feature_map = fit.finish(behaviours.event_types)
        prepared = apply_feature_map(pages, shop, cuts, features, feature_map, work / "train", engine)
    return Ready(shop, prepared, feature_map, cuts)
