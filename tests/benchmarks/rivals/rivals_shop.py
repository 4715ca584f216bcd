"""A workspace with the prepared sets of a small random shop: the item's type and the user's past decide clicks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import cold_cuts, prepare
from prectr.rank.features.shop import Shop
from prectr.shared.run.steps import run_step
from tests.rank.random_shop import CATEGORY_OF_QUERY, ITEMS, level_prob, make_log, random_events, random_impressions

PAGES = {"train": 240, "validation": 80, "test": 80, "open": 30, "new_users_0": 30, "new_users_1": 30}
LIKED = np.array([0.9, 0.1, 0.6, 0.1, 0.4, 0.8, 0.1, 0.2])


@dataclass
class SmallStage:
    """What rivals ask of `prectr.rank.workspace.Workspace`."""

    folder: Path
    run: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(seed=0))
    history: HistoryArguments = field(
        default_factory=lambda: HistoryArguments(
            history_in_category=4, history_overall=4, cross_history=4, cold_lengths=[0, 1]
        )
    )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def sets(self) -> list[str]:
        return list(PAGES)

    def shop(self) -> Shop:
        return Shop(ITEMS, make_log(random_events(0, 120)), level_prob(), sorted(CATEGORY_OF_QUERY))


def small_stage(folder: Path) -> SmallStage:
    """Build `folder/data` and `folder/features`, and the workspace that has them."""
    workspace = SmallStage(folder)
    workspace.data.mkdir(parents=True)
    pq.write_table(ITEMS, workspace.data / "items.parquet")
    shop = workspace.shop()

    def build(work: Path) -> None:
        feature_map = None
        for number, (name, pages) in enumerate(PAGES.items()):
            impressions = clicked_by_taste(random_impressions(number, pages), number)
            cut = int(name[-1]) if name.startswith("new_users") else -1
            cuts = (
                cold_cuts(pages, workspace.history.cold_share, workspace.history.cold_lengths, 0)
                if number == 0
                else cut
            )
            raw = prepare(impressions, shop, workspace.history, cuts)
            feature_map = feature_map or FeatureMap.fit(ITEMS, raw.impressions, raw.features)
            raw.finish(feature_map, shop).save(work / name)
        assert feature_map is not None
        (work / "feature_map.json").write_text(feature_map.to_json(), encoding="utf-8")

    run_step("features", folder / "features", {"shop": "random", "seed": 0}, build)
    return workspace


def clicked_by_taste(impressions: pa.Table, seed: int) -> pa.Table:
    item = np.array([int(name[1:]) for name in impressions["item_id"].to_pylist()])
    clicked = np.random.default_rng(seed).random(len(item)) < LIKED[item]
    return impressions.set_column(impressions.column_names.index("clicked"), "clicked", pa.array(clicked))
