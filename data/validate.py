"""Checks a data set whole: columns, types, references, splits, time, and that nothing held out is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.contract import (
    EVALUATED_SPLITS,
    IMPRESSION_SPLITS,
    OPTIONAL,
    SCHEMAS,
    SEARCH,
    Checker,
    check_items,
    check_pairs,
    has_table,
    level_range,
    levels,
)
from shared.config import PrectrError


def validate(folder: Path) -> None:
    """Check a data set whole: columns, types, references, splits, and that nothing held out is trained on.

    Raises:
        PrectrError: the first thing found wrong, as one sentence with file, column, row, what was found, what to do.
    """
    folder = Path(folder)
    tables = {name: Checker(folder, name) for name in SCHEMAS if name not in OPTIONAL or has_table(folder, name)}
    for table in tables.values():
        table.values()
    names = levels(folder)
    check_items(tables["items"])
    check_pairs(tables["pairs"], tables["items"], names)
    if "users" in tables:
        tables["users"].unique("user_id")
    _validate_impressions(tables)
    _validate_behaviours(tables)
    if "queries" in tables:
        _validate_queries(tables)
    if "gold" in tables:
        _validate_gold(tables, names)


def _validate_impressions(tables: dict[str, Checker]) -> None:
    impressions = tables["impressions"]
    impressions.one_of("split", IMPRESSION_SPLITS)
    impressions.unique("impression_id")
    impressions.refers_to("item_id", tables["items"])
    if "users" in tables:
        impressions.refers_to("user_id", tables["users"])
    is_open = pc.equal(impressions.column("split"), "open")
    wrong = pc.not_equal(is_open, pc.less(impressions.column("position"), 0))
    impressions.fail_where(wrong, "position", "positions count from 0, and are -1 exactly in split 'open'.")
    if "weight" in impressions.rows.column_names:
        lost = pc.less_equal(impressions.column("weight"), 0)
        impressions.fail_where(lost, "weight", "a weight is above 0: drop a row that should not count.")
    _one_value_per_page(impressions)

    ends = {split: impressions.where(split) for split in IMPRESSION_SPLITS}
    for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
        if ends[earlier].num_rows and ends[later].num_rows:
            last, first = pc.max(ends[earlier]["timestamp"]).as_py(), pc.min(ends[later]["timestamp"]).as_py()
            if last >= first:
                raise PrectrError(
                    f"{impressions.path}: timestamp: split {earlier!r} ends at {last} but {later!r} begins at {first}: "
                    "split by time."
                )
    nameless = pc.and_(pc.equal(impressions.column("split"), "new_users"), impressions.column("user_id").is_null())
    impressions.fail_where(nameless, "user_id", "split 'new_users' is of users with a name: put the page into 'test'.")
    held_out = pc.unique(ends["new_users"]["user_id"])
    trained = pc.is_in(impressions.column("split"), pa.array(["train", "validation"]))
    leaked = pc.and_(trained, pc.is_in(impressions.column("user_id"), held_out))
    impressions.fail_where(leaked, "user_id", "this user of split 'new_users' may not be trained on: drop the rows.")


def _one_value_per_page(impressions: Checker) -> None:
    keys = impressions.rows.select(["split", "page_id"])
    for column in ("user_id", "query", "query_category", "timestamp"):
        pages = keys.append_column(column, impressions.column(column)).group_by(["split", "page_id"])
        counts = pages.aggregate([(column, "count_distinct", pc.CountOptions(mode="all"))])
        mixed = counts.filter(pc.greater(counts[f"{column}_count_distinct"], 1))
        if mixed.num_rows:
            page = mixed["page_id"][0].as_py()
            raise PrectrError(
                f"{impressions.path}: {column}: page {page} has several: give each page one user, query and time."
            )


def _validate_behaviours(tables: dict[str, Checker]) -> None:
    behaviours = tables["behaviours"]
    behaviours.visible("event_type")
    behaviours.refers_to("item_id", tables["items"])
    is_search = pc.equal(behaviours.column("event_type"), SEARCH)
    for column in ("query", "page_id"):
        wrong = pc.equal(is_search, behaviours.column(column).is_null())
        behaviours.fail_where(wrong, column, "given exactly where event_type is 'search'.")
    skipped = pc.invert(pc.or_(is_search, behaviours.column("clicked")))
    behaviours.fail_where(
        skipped, "clicked", f"only a row of type {SEARCH!r} may be skipped: write true, or drop the row."
    )
    seconds = behaviours.column("timestamp").cast(pa.int64()).to_numpy()
    pages = pc.fill_null(behaviours.column("page_id"), np.iinfo(np.int64).max).to_numpy()
    back = (seconds[1:] < seconds[:-1]) | ((seconds[1:] == seconds[:-1]) & (pages[1:] < pages[:-1]))
    behaviours.fail_where(np.append(False, back), "timestamp", "sort the table by (timestamp, page_id), nulls last.")


def _validate_queries(tables: dict[str, Checker]) -> None:
    queries, impressions, pairs = tables["queries"], tables["impressions"], tables["pairs"]
    queries.unique("query")
    impressions.refers_to("query", queries)
    pairs.refers_to("query", queries)
    unseen = queries.rows.filter(pc.invert(queries.column("seen_in_training")))["query"].combine_chunks()
    for table, sides in ((impressions, ["train", "validation"]), (pairs, ["train", "validation", "unlabelled"])):
        training = pc.is_in(table.column("split"), pa.array(sides))
        leaked = pc.and_(training, pc.is_in(table.column("query"), unseen))
        table.fail_where(leaked, "query", "queries.parquet says it is not seen in training: drop the row or say so.")


def _validate_gold(tables: dict[str, Checker], names: list[str]) -> None:
    gold, impressions = tables["gold"], tables["impressions"]
    gold.refers_to("item_id", tables["items"])
    level_range(gold, names)
    evaluated = pc.is_in(impressions.column("split"), pa.array(EVALUATED_SPLITS))
    needed = impressions.rows.filter(evaluated).group_by(["query", "item_id"]).aggregate([])
    missing = needed.join(gold.rows.select(["query", "item_id"]), ["query", "item_id"], join_type="left anti")
    if missing.num_rows:
        query, item = missing["query"][0].as_py(), missing["item_id"][0].as_py()
        raise PrectrError(
            f"{gold.path}: level: {missing.num_rows} shown pairs have none, such as query {query!r} and item {item!r}: "
            f"label every pair of the splits {', '.join(EVALUATED_SPLITS)}."
        )
