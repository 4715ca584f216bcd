"""The loop on the toy shop, its training left out: what shoppers did is in the tables, and two rankers are compared."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.loop import LoopArguments, close_the_loop
from benchmarks.serving.shoppers import Shoppers
from prectr.data.checks.validate import validate
from prectr.data.contract import read_table
from tests.rank.toy_run import copy_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_run(tmp_path_factory, tmp_path_factory.mktemp("artifacts") / "toy")


def test_people_want_what_the_shops_own_generator_says(home: Path) -> None:
    shoppers = Shoppers(home / "data", 5, 0)
    gold = read_table(home / "data", "gold").to_pylist()
    assert all(shoppers.level(row["query"], row["item_id"]) == row["level"] for row in gold)
    session = next(shoppers.sessions(1, 10**9, "a"))
    shown, draws = [each["item_id"] for each in session.body["candidates"]], np.random.default_rng(0)
    found = [shoppers.behave(session, shown, draws) for _ in range(200)]
    assert all(looked == shown[: len(looked)] and 1 <= len(looked) <= 8 for looked, _ in found)
    clicked = [item for looked, item in found if item is not None]
    assert 0 < len(clicked) < 200 and min(shoppers.level(session.body["query"], item) for item in clicked) > 0


def test_the_loop(home: Path, tmp_path: Path) -> None:
    arguments = LoopArguments("toy", str(home.parent), sessions=30, judged=20, shoppers=12)

    def train(_: LoopArguments, artifacts: Path, name: str) -> None:
        data = artifacts / name / "data"
        validate(data)
        learnt = read_table(data, "impressions").filter(
            np.isin(read_table(data, "impressions")["user_id"].to_numpy(zero_copy_only=False), list(shoppers))
        )
        assert len(set(learnt["page_id"].to_pylist())) == 30
        for part in ("ranker", "level_prob", "text_vectors", "features"):
            shutil.copytree(home / part, artifacts / name / part)

    shoppers = {f"shopper {number}" for number in range(12)}
    found = close_the_loop(arguments, tmp_path, train)
    assert (found["sessions"], found["pages"]) == (30, 20)
    wins = found["challenger_wins"] + found["champion_wins"] + found["ties"]
    assert 0 < wins == found["clicked_pages"] <= 20
