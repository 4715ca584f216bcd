from pathlib import Path

import numpy as np
import pytest

from prectr.data.journey.raw import Catalogue, Purchases, read_shop
from prectr.data.journey.shelf import WINDOW, Shelf, stock_shelf


@pytest.fixture(scope="module")
def shop(raw_folder: Path) -> tuple[Catalogue, Purchases]:
    return read_shop(raw_folder, least_sales=10)


@pytest.fixture(scope="module")
def shelf(shop: tuple[Catalogue, Purchases]) -> Shelf:
    return stock_shelf(shop[1], shop[0])


@pytest.mark.parametrize("week", [1, 2, 7, 8, 30, 52])
def test_sales_are_those_of_the_six_weeks_before(shelf: Shelf, shop: tuple[Catalogue, Purchases], week: int) -> None:
    catalogue, purchases = shop
    recent = (purchases.item >= 0) & (purchases.week < week) & (purchases.week >= week - WINDOW)
    expected = np.bincount(purchases.item[recent], minlength=len(catalogue))
    assert (shelf.chain_sales[week] == expected).all()
    assert (shelf.on_sale(week) == (expected > 0)).all()
    every = np.arange(len(catalogue))
    at_store = np.bincount(purchases.item[recent & (purchases.store == 2)], minlength=len(catalogue))
    assert (shelf.store_sales(np.full(len(every), week), np.full(len(every), 2), every) == at_store).all()


def test_popularity_agrees_with_the_counts(shelf: Shelf) -> None:
    for week, sold, expected in shelf.popularity(2):
        assert np.allclose(sold.sum(1), shelf.chain_sales[week])
        assert np.allclose(expected.sum(), sold.sum(), rtol=1e-4)
    assert week == 52


def test_the_price_is_that_of_the_last_week_that_sold_it(shelf: Shelf, shop: tuple[Catalogue, Purchases]) -> None:
    catalogue, purchases = shop
    for item, week in ((0, 1), (0, 10), (3, 30), (5, 52)):
        rows = (purchases.item == item) & (purchases.week < week) & np.isfinite(purchases.shelf_price)
        if not rows.any():
            assert shelf.price[week, item] == catalogue.price[item] and shelf.discount[week, item] == 0
            continue
        last = rows & (purchases.week == purchases.week[rows].max())
        assert shelf.price[week, item] == pytest.approx(purchases.shelf_price[last].mean())
        assert shelf.discount[week, item] == pytest.approx(purchases.discount[last].mean())


def test_a_later_sale_changes_no_earlier_week(shelf: Shelf, shop: tuple[Catalogue, Purchases]) -> None:
    catalogue, purchases = shop
    extra = np.append(np.arange(len(purchases.item)), np.flatnonzero((purchases.week == 40) & (purchases.item >= 0)))
    later = stock_shelf(purchases.take(extra), catalogue)
    for name in ("chain_sales", "price", "discount"):
        assert (getattr(later, name)[:41] == getattr(shelf, name)[:41]).all()
    assert (later.chain_sales[41] != shelf.chain_sales[41]).any()
