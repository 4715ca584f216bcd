"""Turns searches and pages into the contract's tables: items, users, impressions, behaviours, queries, gold, pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from prectr.data.contract import IMPRESSION_SPLITS, TableWriter, write_table
from prectr.data.journey.draws import choose_smallest, uniform
from prectr.data.journey.needs import Needs
from prectr.data.journey.pages import NOTHING, Baskets, Pages
from prectr.data.journey.raw import Catalogue, Purchases, demographics, read_promotions
from prectr.data.journey.searches import Households, Searches
from prectr.data.journey.shelf import Shelf
from prectr.data.splits import LEVEL_NAMES, split_of_week
from prectr.shared.run.console import progress

OPEN_OTHERS = 50
"""Candidates of an open list from outside the need's categories."""

_CHUNK = 1 << 20
_UTC_TO_SHOP = -5 * 3600
"""The package's weeks turn at 05:00 (04:00 in summer) of its own clock: it is five hours ahead of the shop's."""

_PARTS_OF_DAY = np.array(["night", "morning", "afternoon", "evening"])
_WEEKDAYS = np.array(["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"])


@dataclass(frozen=True)
class SplitSizes:
    """Pages sampled into each split; None takes all there are. Of `new_users` all are always taken."""

    train: int | None
    validation: int | None
    test: int | None
    open: int | None


@dataclass(frozen=True)
class Rows:
    """Impressions as codes: one value per row."""

    page: np.ndarray
    item: np.ndarray
    position: np.ndarray
    clicked: np.ndarray
    split: np.ndarray


def sample_rows(
    searches: Searches, pages: Pages, households: Households, shelf: Shelf, needs: Needs, baskets: Baskets,
    sizes: SplitSizes, seed: int,
) -> Rows:  # fmt: skip
    """The impressions of each split; a page is in at most one of them, and its open list besides."""
    allowed = split_of_week(searches.week, households.held_out[searches.user])

    def sample(split: str, count: int | None, name: str) -> np.ndarray:
        rows = np.flatnonzero(allowed == split)
        return rows[choose_smallest(count, uniform(seed, f"sample {name}", searches.key[rows]))]

    parts = []
    for split, count in (
        ("train", sizes.train),
        ("validation", sizes.validation),
        ("test", sizes.test),
        ("new_users", None),
    ):
        chosen = sample(split, count, split)
        row, position = np.nonzero(pages.item[chosen] != NOTHING)
        page = chosen[row]
        parts.append(
            Rows(page, pages.item[page, position], position, pages.clicked[page, position], np.full(len(page), split))
        )
    parts.append(_open_rows(sample("test", sizes.open, "open"), searches, shelf, needs, baskets, seed))
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__))


def _open_rows(pages: np.ndarray, searches: Searches, shelf: Shelf, needs: Needs, baskets: Baskets, seed: int) -> Rows:
    """All on sale in the need's categories and 50 others; clicked is what the basket holds of the need."""
    rows, items = [], []
    for page in pages:
        stock = np.flatnonzero(shelf.on_sale(searches.week[page]))
        need = needs.queries.need[searches.query[page]]
        categories = needs.catalogue.category_of_kind[needs.fits[need]]
        inside = np.isin(needs.catalogue.category.of[stock], categories)
        outside = stock[~inside]
        draws = uniform(seed, "open others", searches.key[page], needs.catalogue.product[outside])
        candidates = np.concatenate([stock[inside], outside[choose_smallest(OPEN_OTHERS, draws)]])
        rows.append(np.full(len(candidates), page))
        items.append(candidates)
    page, item = (np.concatenate(part) if part else np.empty(0, np.int64) for part in (rows, items))
    clicked = baskets.hold(searches.basket[page], item) & needs.in_need(searches.query[page], item)
    return Rows(page, item, np.full(len(page), -1), clicked, np.full(len(page), "open"))


def level_mix(rows: Rows, searches: Searches, needs: Needs) -> dict[str, list[float]]:
    """Share of each gold level among the impressions of each split."""
    level = needs.levels(searches.query[rows.page], rows.item)
    counts = {split: np.bincount(level[rows.split == split], minlength=len(LEVEL_NAMES)) for split in IMPRESSION_SPLITS}
    return {split: (count / max(count.sum(), 1)).tolist() for split, count in counts.items()}


def write_items(folder: Path, catalogue: Catalogue) -> None:
    write_table(folder, "items", {
        "item_id": _ids(catalogue.product), "text": catalogue.text.astype(str),
        "category": catalogue.category.names[catalogue.category.of].astype(str), "num_price": catalogue.price,
        **{name: values.astype(str) for name, values in catalogue.columns.items()},
    })  # fmt: skip


def write_users(folder: Path, raw_folder: Path, households: Households) -> None:
    columns = demographics(raw_folder, households.number)
    write_table(folder, "users", {"user_id": _ids(households.number), **columns})


def write_impressions(
    folder: Path, raw_folder: Path, rows: Rows, searches: Searches, households: Households, shelf: Shelf, needs: Needs
) -> None:
    catalogue = needs.catalogue
    week, store = searches.week[rows.page], searches.store[rows.page]
    sales = np.stack([shelf.store_sales(week, store, rows.item), shelf.chain_sales[week, rows.item]], 1)
    promoted = read_promotions(raw_folder, catalogue.product, week, store, rows.item)
    with TableWriter(folder, "impressions") as writer:
        for part in _chunks(len(rows.page), "impressions"):
            page, item = rows.page[part], rows.item[part]
            seconds = searches.seconds[page]
            writer.write({
                "impression_id": np.arange(len(rows.page))[part], "page_id": page,
                "user_id": _coded(searches.user[page], _ids(households.number)),
                "query": _coded(searches.query[page], needs.queries.text),
                "query_category": _category(searches.query[page], needs),
                "item_id": _coded(item, _ids(catalogue.product)), "position": rows.position[part],
                "timestamp": seconds.astype("datetime64[s]"), "clicked": rows.clicked[part],
                "split": pa.array(rows.split[part]), "ctx_num_price": shelf.price[week[part], item],
                "ctx_num_discount": shelf.discount[week[part], item], "ctx_num_display": promoted[part, 0],
                "ctx_num_mailer": promoted[part, 1], "ctx_num_store_sales": np.log1p(sales[part, 0]),
                "ctx_num_chain_sales": np.log1p(sales[part, 1]), "ctx_cat_store": store[part].astype(str),
                "ctx_cat_hour": _PARTS_OF_DAY[(seconds + _UTC_TO_SHOP) % 86400 // 21600],
                "ctx_cat_weekday": _WEEKDAYS[(seconds + _UTC_TO_SHOP) // 86400 % 7],
            })  # fmt: skip


def write_behaviours(
    folder: Path, searches: Searches, pages: Pages, purchases: Purchases, households: Households, needs: Needs
) -> None:
    """All pages, clicked and skipped, and as `purchase` whatever else was bought, in order of (timestamp, page_id)."""
    page, position = np.nonzero(pages.item != NOTHING)
    clicked = pages.clicked[page, position]
    item = pages.item[page, position]
    lines = _unclicked_purchases(purchases, households, searches.basket[page[clicked]], item[clicked], needs)
    seconds = np.concatenate([searches.seconds[page], purchases.seconds[lines]])
    line = np.concatenate([np.full(len(page), -1), lines])
    page = np.concatenate([page, np.full(len(lines), len(searches))])
    item = np.concatenate([item, purchases.item[lines]])
    clicked = np.append(clicked, np.ones(len(lines), bool))
    order = np.lexsort((page, seconds))

    users, items = _ids(households.number), _ids(needs.catalogue.product)
    user_of_line = households.code(purchases.household)
    with TableWriter(folder, "behaviours") as writer:
        for part in _chunks(len(order), "behaviours"):
            row = order[part]
            is_search = page[row] < len(searches)
            source = np.where(is_search, page[row], 0)
            query = searches.query[source]
            user = np.where(is_search, searches.user[source], user_of_line[line[row]])
            category = np.where(
                is_search, needs.category[needs.queries.need[query]], needs.catalogue.category.of[item[row]]
            )
            writer.write({
                "user_id": _coded(user, users), "query": _coded(query, needs.queries.text, is_search),
                "query_category": _coded(category, needs.catalogue.category.names), "item_id": _coded(item[row], items),
                "clicked": clicked[row], "timestamp": seconds[row].astype("datetime64[s]"),
                "event_type": _coded((~is_search).astype(np.int32), np.array(["search", "purchase"])),
                "page_id": pa.array(page[row], mask=~is_search),
            })  # fmt: skip


def _unclicked_purchases(
    purchases: Purchases, households: Households, basket: np.ndarray, item: np.ndarray, needs: Needs
) -> np.ndarray:
    """Lines of the chosen households that no page of their basket had clicked."""
    lines = np.flatnonzero((households.code(purchases.household) >= 0) & (purchases.item >= 0))
    size = len(needs.catalogue)
    baskets = np.unique(purchases.basket[lines])
    bought = np.searchsorted(baskets, purchases.basket[lines]) * np.int64(size) + purchases.item[lines]
    return lines[~np.isin(bought, np.searchsorted(baskets, basket) * np.int64(size) + item)]


def write_queries(folder: Path, used: np.ndarray, needs: Needs) -> None:
    """`used`: distinct query codes of all tables."""
    write_table(folder, "queries", {
        "query": needs.queries.text[used], "query_category": _category(used, needs),
        "seen_in_training": ~needs.held_out(used), "has_gold_labels": needs.has_gold[needs.queries.need[used]],
    })  # fmt: skip


def write_gold(folder: Path, rows: Rows, searches: Searches, needs: Needs) -> None:
    evaluated = np.isin(rows.split, ["test", "new_users", "open"])
    size = len(needs.catalogue)
    distinct = np.unique(searches.query[rows.page[evaluated]] * np.int64(size) + rows.item[evaluated])
    query, item = distinct // size, distinct % size
    write_table(folder, "gold", {
        "query": _coded(query, needs.queries.text), "item_id": _coded(item, _ids(needs.catalogue.product)),
        "level": needs.levels(query, item),
    })  # fmt: skip


def write_pairs(folder: Path, query: np.ndarray, item: np.ndarray, split: np.ndarray, needs: Needs) -> None:
    unlabelled = split == "unlabelled"
    write_table(folder, "pairs", {
        "query": _coded(query, needs.queries.text), "item_id": _coded(item, _ids(needs.catalogue.product)),
        "item_text": pa.nulls(len(item), pa.string()), "level": pa.array(needs.levels(query, item), mask=unlabelled),
        "split": split,
    }, LEVEL_NAMES)  # fmt: skip


def _category(query: np.ndarray, needs: Needs) -> pa.DictionaryArray:
    return _coded(needs.category[needs.queries.need[query]], needs.catalogue.category.names)


def _ids(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(str)


def _coded(codes: np.ndarray, names: np.ndarray, known: np.ndarray | None = None) -> pa.DictionaryArray:
    """Strings by code, null where not `known`: kept as a dictionary until written."""
    mask = None if known is None else ~known
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=mask), pa.array(names.astype(str)))


def _chunks(rows: int, description: str) -> Iterator[slice]:
    """Slices of about a million rows, at least one, with a progress bar."""
    starts = range(0, max(rows, 1), _CHUNK)
    return progress((slice(start, start + _CHUNK) for start in starts), description, len(starts), "million rows")
