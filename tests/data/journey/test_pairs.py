from pathlib import Path

import numpy as np
import pytest

from prectr.data.journey.needs import Needs, bind
from prectr.data.journey.pages import NOTHING, Baskets, Policy, show_pages
from prectr.data.journey.pairs import PairCounts, Pairs, make_pairs
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.data.journey.raw import read_shop
from prectr.data.journey.searches import Households, Searches, choose_households, make_searches
from prectr.data.journey.shelf import stock_shelf

COUNTS = PairCounts(train=60, validation=12, test=24, test_types=12, unlabelled=400)


@pytest.fixture(scope="module")
def made(raw_folder: Path, phrasebook_path: Path) -> tuple[Pairs, Needs, Searches, Households, np.ndarray]:
    catalogue, purchases = read_shop(raw_folder, least_sales=10)
    needs = bind(read_phrasebook(phrasebook_path), catalogue, seed=3)
    households = choose_households(purchases, 20, seed=3)
    searches = make_searches(purchases, households, needs, seed=3)
    shelf, baskets = stock_shelf(purchases, catalogue), Baskets(purchases, len(catalogue))
    pages = show_pages(searches, shelf, needs, baskets, Policy(), seed=3)
    return make_pairs(searches, pages, households, needs, COUNTS, seed=3), needs, searches, households, pages.item


def test_a_judged_query_has_each_level_at_most_once(
    made: tuple[Pairs, Needs, Searches, Households, np.ndarray],
) -> None:
    pairs, needs = made[:2]
    for split in ("train", "validation", "test", "test_types"):
        rows = pairs.split == split
        keys = np.stack([pairs.query[rows], needs.levels(pairs.query[rows], pairs.item[rows])])
        assert np.unique(keys, axis=1).shape[1] == rows.sum() > 0
    train = pairs.split == "train"
    mix = np.bincount(needs.levels(pairs.query[train], pairs.item[train]), minlength=4) / train.sum()
    assert mix.min() > 0.15


def test_judged_queries_take_all_needs_in_turn(made: tuple[Pairs, Needs, Searches, Households, np.ndarray]) -> None:
    pairs, needs = made[:2]
    asked = needs.queries.need[pairs.query[pairs.split == "train"]]
    assert set(asked.tolist()) == set(np.flatnonzero(needs.has_gold).tolist())


def test_unlabelled_pairs_come_from_training_pages_and_beyond(
    made: tuple[Pairs, Needs, Searches, Households, np.ndarray],
) -> None:
    pairs, needs, searches, households, shown = made
    rows = pairs.split == "unlabelled"
    assert rows.sum() == COUNTS.unlabelled
    in_training = (searches.week < 43) & ~households.held_out[searches.user]
    assert np.isin(pairs.query[rows], searches.query[in_training]).all()
    row, position = np.nonzero(shown[in_training] != NOTHING)
    span = len(needs.catalogue)
    seen = searches.query[in_training][row].astype(np.int64) * span + shown[in_training][row, position]
    share = np.isin(pairs.query[rows].astype(np.int64) * span + pairs.item[rows], seen).mean()
    assert 0.5 <= share < 1
    assert set(needs.levels(pairs.query[rows], pairs.item[rows]).tolist()) == {0, 1, 2, 3}
    assert not needs.has_gold[needs.queries.need[pairs.query[rows]]].all()
