"""A few shelves of an imaginary shop in the files of The Complete Journey, and a phrasebook for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.config import DataArguments

TYPES = {
    "DAIRY": ("FLUID MILK", "CHOC MILK", "YOGURT CUPS"),
    "BREAD": ("WHITE BRD", "WHEAT BRD"),
    "DRINKS": ("COLA", "LEMON SODA", "JUICE"),
    "SNACKS": ("CHIPS", "PRETZELS"),
}
SIZES = ("1 GA", ".5 GA", "12 OZ", None)
PRODUCT = ("product_id", "manufacturer_id", "department", "brand", "product_category", "product_type", "package_size")
LINE = (
    "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc",
    "coupon_match_disc", "week", "transaction_timestamp",
)  # fmt: skip
PHRASEBOOK = """# a test phrasebook
size: {size} {say} | {say} {size}
store-brand: store brand {say}

need: milk
types: DAIRY > FLUID MILK
subs: DAIRY > CHOC MILK
say: milk | white milk | cow juice | moo juice | milk for cereal

need: chocolate-milk
types: DAIRY > CHOC MILK
say: chocolate milk | brown milk | choc drink | kids milk | cocoa milk

need: yogurt
types: DAIRY > YOGURT CUPS
say: yogurt | yoghurt | yogurt cup | parfait | breakfast yogurt

need: white-bread
types: BREAD > WHITE BRD
subs: BREAD > WHEAT BRD
say: white bread | sandwich loaf | toast | sliced bread | soft bread

need: wheat-bread
types: BREAD > WHEAT BRD
say: wheat bread | brown bread | healthy bread | whole grain | dark bread

need: cola
types: DRINKS > COLA
subs: DRINKS > LEMON SODA
say: cola | coke | brown pop | caffeine soda | fizzy cola

need: lemon-soda
types: DRINKS > LEMON SODA
say: lemon soda | lemon lime | clear pop | citrus soda | seltzer

need: juice
types: DRINKS > JUICE
say: juice | oj | fruit juice | breakfast drink | apple juice

need: party
types: SNACKS > CHIPS ; SNACKS > PRETZELS ; DRINKS > COLA
say: party stuff | game night | movie night | snacks for guests | birthday food

need: chips
types: SNACKS > CHIPS
say: chips | crisps | potato chips | crunchy snack | salty snack
"""


def write_raw(folder: Path, seed: int = 0, households: int = 30, extra_line: Mapping[str, Any] | None = None) -> Path:
    """Write the four files; `extra_line` is one more line of transactions, by column."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    kinds = [(category, kind) for category, kinds in TYPES.items() for kind in kinds]
    products: list[tuple[int | str | None, ...]] = [
        (1000 + 10 * number, number % 7, "GROCERY", brand, category, kind, SIZES[(number + form) % len(SIZES)])
        for form, brand in enumerate(("National", "Private", "National", "National"))
        for number, (category, kind) in enumerate(kinds, start=10 * form)
    ]
    products += [(9001, 1, "FUEL", "Private", "FUEL", "GAS", None), (9002, 1, "GROCERY", "National", None, None, None)]
    pq.write_table(
        pa.table({name: list(values) for name, values in zip(PRODUCT, zip(*products, strict=True), strict=True)}),
        folder / "products.parquet",
    )
    pq.write_table(
        _transactions(rng, [int(row[0] or 0) for row in products], households, extra_line),
        folder / "transactions.parquet",
    )

    promoted = {"product_id": [1000, 1000, 1010], "store_id": [1, 2, 1], "week": [20, 20, 47]}
    locations = {"display_location": ["0", "9", "3"], "mailer_location": ["A", "0", "0"]}
    pq.write_table(pa.table({**promoted, **locations}), folder / "promotions.parquet")
    people = {
        "household_id": [1, 2],
        "age": ["65+", "25-34"],
        "income": ["15-24K", None],
        "home_ownership": ["Renter", "Renter"],
    }
    people |= {name: ["Married", "Unmarried"] for name in ("marital_status", "household_comp")}
    people |= {name: ["2", "1"] for name in ("household_size", "kids_count")}
    pq.write_table(pa.table(people), folder / "demographics.parquet")
    return folder


def _transactions(
    rng: np.random.Generator, products: list[int], households: int, extra_line: Mapping[str, Any] | None
) -> pa.Table:
    favourites = {household: rng.permutation(len(products))[:8] for household in range(1, households + 1)}
    lines = []
    for basket in range(households * 60):
        household = int(rng.integers(1, households + 1))
        day = int(rng.integers(0, 364))
        bought = np.unique(np.append(rng.choice(favourites[household], 3), rng.integers(0, len(products), 2)))
        when = np.datetime64("2017-01-01T12:00:00", "s") + np.timedelta64(day * 86400 + basket, "s")
        for product in bought:
            quantity = int(rng.integers(0, 3))
            price = 2.0 * quantity
            lines.append(
                (household, household % 3 + 1, basket, products[product], quantity, price, 0.5, 0.0, day // 7 + 1, when)
            )
    columns = {name: list(values) for name, values in zip(LINE, zip(*lines, strict=True), strict=True)}
    for name, value in (extra_line or {}).items():
        columns[name].append(value)
    timestamps = np.array(columns.pop("transaction_timestamp")).astype("datetime64[ns]")
    return pa.table({**columns, "transaction_timestamp": timestamps})


def write_phrasebook(folder: Path) -> Path:
    path = folder / "phrasebook.txt"
    path.write_text(PHRASEBOOK, encoding="utf-8")
    return path


def tiny_arguments(raw_folder: Path, phrasebook: Path, **changes: Any) -> DataArguments:
    """Settings for the tiny shop: every test page, a hundred training pages."""
    settings: dict[str, Any] = dict(
        name="tiny", source="journey", seed=3, households=20, train_pages=100, validation_pages=20, test_pages=None,
        open_pages=15, gold_pairs=40, validation_pairs=10, test_pairs=30, test_types_pairs=10, unlabelled_pairs=80,
        least_sales=10, phrasebook=str(phrasebook), raw_folder=str(raw_folder),
    )  # fmt: skip
    return DataArguments(**(settings | changes))
