from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prectr.data.journey.needs import Needs, bind
from prectr.data.journey.pages import NOTHING, Baskets, Pages, Policy, show_pages
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.data.journey.raw import Catalogue, Purchases, read_shop
from prectr.data.journey.searches import Searches, choose_households, make_searches
from prectr.data.journey.shelf import Shelf, stock_shelf

CERTAIN = tuple(tuple(float(believed == level) for believed in range(4)) for level in range(4))


class Shop:
    """The tiny shop up to its searches."""

    catalogue: Catalogue
    purchases: Purchases
    needs: Needs
    searches: Searches
    shelf: Shelf

    def __init__(self, raw_folder: Path, phrasebook_path: Path) -> None:
        self.catalogue, self.purchases = read_shop(raw_folder, least_sales=10)
        self.needs = bind(read_phrasebook(phrasebook_path), self.catalogue, seed=3)
        households = choose_households(self.purchases, 10, seed=3)
        self.searches = make_searches(self.purchases, households, self.needs, seed=3)
        self.shelf = stock_shelf(self.purchases, self.catalogue)

    def show(self, policy: Policy, purchases: Purchases | None = None) -> Pages:
        baskets = Baskets(purchases or self.purchases, len(self.catalogue))
        return show_pages(self.searches, self.shelf, self.needs, baskets, policy, seed=3)


@pytest.fixture(scope="module")
def shop(raw_folder: Path, phrasebook_path: Path) -> Shop:
    return Shop(raw_folder, phrasebook_path)


def test_searches_are_one_for_each_basket_and_category_with_a_need(shop: Shop) -> None:
    searches, purchases, catalogue = shop.searches, shop.purchases, shop.catalogue
    users = choose_households(purchases, 10, seed=3)
    rows = (users.code(purchases.household) >= 0) & (purchases.item >= 0) & (purchases.week >= 2)
    rows &= shop.needs.kind_has_need[catalogue.kind.of[purchases.item]]
    events = np.unique(np.stack([purchases.basket[rows], catalogue.category.of[purchases.item[rows]]]), axis=1)
    assert len(searches) == events.shape[1]
    assert len(np.unique(searches.key)) == len(searches)
    assert (np.diff(searches.seconds) >= 0).all()


def test_a_search_asks_for_something_bought_in_its_basket(shop: Shop) -> None:
    baskets = Baskets(shop.purchases, len(shop.catalogue))
    every = np.arange(len(shop.catalogue))
    bought = baskets.hold(shop.searches.basket[:, None], every)
    exact = shop.needs.levels(shop.searches.query[:, None], every) == 3
    assert (bought & exact).any(1).all()


def test_only_what_was_on_sale_is_shown_and_nothing_twice(shop: Shop) -> None:
    pages = shop.show(Policy())
    for week in (2, 10, 52):
        rows = np.flatnonzero(shop.searches.week == week)
        shown = pages.item[rows]
        assert shop.shelf.on_sale(week)[shown[shown != NOTHING]].all()
    for shown in pages.item[::17]:
        real = shown[shown != NOTHING]
        assert len(np.unique(real)) == len(real)


def test_pages_do_not_depend_on_what_is_bought_in_the_end(shop: Shop) -> None:
    """Bought products are never forced onto a page: with empty baskets the same is shown, and not clicked."""
    pages = shop.show(Policy())
    nobodys = shop.show(Policy(), replace(shop.purchases, basket=shop.purchases.basket + 10**9))
    assert (pages.item == nobodys.item).all()
    assert pages.clicked.any() and not nobodys.clicked.any()


def test_a_certain_engine_ranks_by_level_then_popularity(shop: Shop) -> None:
    policy = Policy(confusion=CERTAIN, belief=(-300.0, 0.0, 300.0, 600.0), noise=0.0)
    pages = shop.show(policy)
    level = np.where(pages.level == NOTHING, -1, pages.level)
    assert (np.diff(level, axis=1) <= 0).all()
    loud = shop.show(replace(policy, belief=(0.0, 0.0, 0.0, 0.0)))
    week = 20
    sales = shop.shelf.store_sales(
        np.full(loud.item.shape, week), np.broadcast_to(shop.searches.store[:, None], loud.item.shape), loud.item
    )
    rows = shop.searches.week == week
    assert sales[rows, 0].mean() > sales[rows, -1].mean() + 1


def test_a_clicked_item_is_in_the_basket_and_related(shop: Shop) -> None:
    pages = shop.show(Policy())
    held = Baskets(shop.purchases, len(shop.catalogue)).hold(shop.searches.basket[:, None], pages.item)
    assert (pages.clicked == (held & (pages.level >= 1))).all()
    assert (pages.level[pages.item != NOTHING] == _levels(shop, pages)).all()


def _levels(shop: Shop, pages: Pages) -> np.ndarray:
    query = np.broadcast_to(shop.searches.query[:, None], pages.item.shape)
    shown = pages.item != NOTHING
    return shop.needs.levels(query[shown], pages.item[shown])


def test_the_engine_errs_the_same_way_each_time_it_sees_a_pair(shop: Shop) -> None:
    """Drawn once per (query, item): with belief alone deciding, the same query shows the same items in a week."""
    pages = shop.show(Policy(others=0, popularity=0.0, noise=0.0, belief=(0.0, 1.0, 2.0, 3.0)))
    searches = shop.searches
    groups = np.stack([searches.query, searches.week])
    _, group, count = np.unique(groups, axis=1, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(count > 1)
    assert len(repeated) > 5
    for number in repeated[:20]:
        shown = pages.item[group == number]
        assert (shown == shown[0]).all()
