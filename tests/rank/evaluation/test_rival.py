"""LightGBM beside the ranker: on a page as on the whole set, and nothing where the run kept no trees."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from prectr.rank.evaluation.rival import Rival
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.serving.live import LiveRanker
from prectr.rank.training.trees import Rows, fit_lightgbm
from tests.rank.serving.live_shop import requests_of, worst
from tests.rank.toy_run import opened, split_of
from tests.rank.training.random_rows import SMALL


def test_it_says_of_a_page_what_it_says_of_the_set(home: Path) -> None:
    pages = list(requests_of(split_of(home, "test")).items())[::60]
    live = LiveRanker.open(home / "ranker", home / "data")
    assert Rival.beside(home / "ranker") is None
    assert live.rank(replace(pages[0][1], rivals=True)).rivals == {}
    rows = Rows.of(PreparedSet.open(home / "features" / "train"), 1.0)
    # The levels of a random encoder differ in their last bits alone, which are others of a page than of a set: no
    # threshold lies between them.
    rows = rows._replace(numeric=rows.numeric.round(3))
    trees = fit_lightgbm(rows, rows, 0, 1, SMALL[:1])
    (home / "lightgbm").mkdir()
    trees.save(home / "lightgbm" / "trees.txt")
    (home / "lightgbm" / "rival.json").write_text(json.dumps({"settings": dict(trees.settings)}))
    live = LiveRanker.open(home / "ranker", home / "data")
    _, _, prepared = opened(home, "test")
    expected = trees.predict(Rows.of(prepared, 1.0))[np.argsort(prepared.impression)]
    page_ids = split_of(home, "test")["page_id"].to_numpy()
    for page_id, request in pages:
        without = live.rank(request)
        ranked = live.rank(replace(request, rivals=True))
        assert without.rivals == {} and worst(ranked.p_click, without.p_click) < 1e-6
        assert worst(ranked.rivals["lightgbm"], expected[page_ids == page_id]) < 1e-6
