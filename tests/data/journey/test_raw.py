from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.journey.raw import demographics, read_promotions, read_shop
from prectr.shared.errors import PrectrError
from tests.data.journey.tiny_journey import write_raw


def test_items_are_what_sells_and_is_named(raw_folder: Path) -> None:
    catalogue, purchases = read_shop(raw_folder, least_sales=10)
    assert 9001 not in catalogue.product and 9002 not in catalogue.product
    assert "FUEL > GAS" not in catalogue.kind.names
    sold = np.bincount(purchases.item[(purchases.item >= 0) & (purchases.week < 43)], minlength=len(catalogue))
    assert sold.min() >= 10
    assert purchases.week.max() == 52


def test_sales_in_validation_and_test_weeks_make_no_item(raw_folder: Path) -> None:
    lines = pq.read_table(raw_folder / "transactions.parquet")
    everything = np.bincount(lines["product_id"].to_numpy())
    before = np.bincount(
        lines.filter(lines["week"].to_numpy() < 43)["product_id"].to_numpy(), minlength=len(everything)
    )
    least = int(before[1000]) + 1
    assert everything[1000] >= least
    catalogue, _ = read_shop(raw_folder, least)
    assert 1000 not in catalogue.product


def test_the_text_is_the_retailers_own(raw_folder: Path) -> None:
    catalogue, _ = read_shop(raw_folder, least_sales=10)
    row = int(np.flatnonzero(catalogue.product == 1000)[0])
    assert catalogue.text[row] == "DAIRY FLUID MILK 1 GA NATIONAL"
    assert catalogue.columns["cat_type"][row] == "DAIRY > FLUID MILK"
    assert catalogue.size.names[catalogue.size.of[row]] == "gallon"
    assert not catalogue.private[row]


def test_the_price_is_the_median_before_validation(raw_folder: Path) -> None:
    catalogue, purchases = read_shop(raw_folder, least_sales=10)
    for item in range(len(catalogue)):
        rows = (purchases.item == item) & (purchases.week < 43) & np.isfinite(purchases.shelf_price)
        assert catalogue.price[item] == pytest.approx(np.median(purchases.shelf_price[rows]))


def test_lines_are_priced_with_their_discount(raw_folder: Path) -> None:
    _, purchases = read_shop(raw_folder, least_sales=10)
    # One line costs 2.00 a piece and 0.50 less for all: quantity 1 is 2.50 at 20 %, quantity 2 is 2.25 at 11 %.
    assert sorted(set(np.round(purchases.shelf_price[np.isfinite(purchases.shelf_price)], 3).tolist())) == [2.25, 2.5]
    single = purchases.shelf_price == np.float32(2.5)
    assert np.allclose(purchases.discount[single], 0.2)


def test_promotions_are_found_for_the_rows_asked(raw_folder: Path) -> None:
    products = np.array([1000, 1010, 1020])
    week, store, item = np.array([20, 20, 47, 20]), np.array([1, 2, 1, 3]), np.array([0, 0, 1, 0])
    found = read_promotions(raw_folder, products, week, store, item)
    assert found.tolist() == [[0, 1], [1, 0], [1, 0], [0, 0]]


def test_demographics_are_unknown_where_the_retailer_does_not_know(raw_folder: Path) -> None:
    columns = demographics(raw_folder, [2, 7])
    assert columns["cat_age"].tolist() == ["25-34", "unknown"]
    assert columns["cat_income"].tolist() == ["unknown", "unknown"]


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "raw", households=3)
    with pytest.raises(PrectrError, match="no product was sold 9999 times"):
        read_shop(folder, 9999)
    products = pq.read_table(folder / "products.parquet")
    pq.write_table(products.drop_columns(["brand"]), folder / "products.parquet")
    with pytest.raises(PrectrError, match="column 'brand' is missing"):
        read_shop(folder, 1)
    (folder / "transactions.parquet").unlink()
    with pytest.raises(PrectrError, match="transactions.parquet is missing"):
        read_shop(folder, 1)


def test_lines_are_in_order_of_time(raw_folder: Path) -> None:
    _, purchases = read_shop(raw_folder, least_sales=10)
    assert (np.diff(purchases.seconds) >= 0).all()
    first = pq.read_table(raw_folder / "transactions.parquet")["transaction_timestamp"].cast(pa.timestamp("s"))
    assert purchases.seconds[0] == first.cast(pa.int64()).to_numpy().min()
