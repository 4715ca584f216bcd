"""A shop as a marketplace: an item's id lives one week, and only its text, category and price are known [O].

On a marketplace most of what is sold is listed by its sellers for days or weeks, so that the past of an id is short and
text has to stand in for it. The users, what they searched for, were shown and clicked, when, and the splits are those
of the shop: only what is known of an item is taken away.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import EVALUATED_SPLITS, TableWriter, has_table, levels, read_table, table_path, write_table
from prectr.data.scan import ROWS_AT_ONCE, scan_table
from prectr.shared.storage.duckdb import equal_batches, identifier, literals, out_of_core, parquet

SECONDS_OF_LIFE = 7 * 24 * 3600
"""How long an id lives; weeks are counted from 1970-01-01, a Thursday."""

ATTRIBUTES, SALES = "cat_", "_sales"
"""What is not known of a listing: columns of items that begin so, and of impressions that end so."""

_BASE = "split_part({}, '@', 1)"


def as_listings(shop: Path, folder: Path) -> None:
    """Write the tables of `shop` into `folder` with `id@week` in place of every id; those that name no item move there.

    Rows keep their order. Items are the listings that were shown or bought, by id; pairs name texts in place of items,
    since no pair is of a week; gold is of the listings shown in evaluated splits.
    """
    for table in ("users", "queries"):
        if has_table(shop, table):
            os.replace(table_path(shop, table), table_path(folder, table))
    for table in ("impressions", "behaviours"):
        _list_weekly(shop, folder, table)
    _name_texts(shop, folder)
    with out_of_core(folder, [shop]) as database:
        _write_items(database, shop, folder)
        _write_gold(database, shop, folder)


def _list_weekly(shop: Path, folder: Path, table: str) -> None:
    with TableWriter(folder, table) as writer:
        for rows in scan_table(shop, table):
            week = pc.divide(rows["timestamp"].cast(pa.int64()), SECONDS_OF_LIFE).cast(pa.string())
            listing = pc.binary_join_element_wise(rows["item_id"], week, "@")
            kept = {name: rows[name] for name in rows.column_names if not name.endswith(SALES)}
            writer.write(kept | {"item_id": listing})


def _name_texts(shop: Path, folder: Path) -> None:
    pairs, items = read_table(shop, "pairs"), read_table(shop, "items", ["item_id", "text"])
    text = items["text"].take(pc.index_in(pairs["item_id"], items["item_id"]))
    columns = {name: pairs[name] for name in pairs.column_names if name != "item_id"}
    columns["item_text"] = pc.coalesce(pairs["item_text"], text)
    write_table(folder, "pairs", columns, levels(shop))


def _write_items(database: duckdb.DuckDBPyConnection, shop: Path, folder: Path) -> None:
    names = [name for name in pq.read_schema(table_path(shop, "items")).names if not name.startswith(ATTRIBUTES)]
    columns = ", ".join("listed.item_id" if name == "item_id" else f"item.{identifier(name)}" for name in names)
    logs = " UNION ".join(f"SELECT item_id FROM {_file(folder, table)}" for table in ("impressions", "behaviours"))
    found = database.sql(
        f"SELECT {columns} FROM ({logs}) listed JOIN {_file(shop, 'items')} item "
        f"ON item.item_id = {_BASE.format('listed.item_id')} ORDER BY listed.item_id"
    )
    _write(folder, "items", found)


def _write_gold(database: duckdb.DuckDBPyConnection, shop: Path, folder: Path) -> None:
    found = database.sql(
        f"SELECT shown.query, shown.item_id, gold.level FROM (SELECT DISTINCT query, item_id "
        f"FROM {_file(folder, 'impressions')} WHERE split IN {literals(EVALUATED_SPLITS)}) shown "
        f"JOIN {_file(shop, 'gold')} gold ON gold.query = shown.query "
        f"AND gold.item_id = {_BASE.format('shown.item_id')} ORDER BY ALL"
    )
    _write(folder, "gold", found)


def _write(folder: Path, table: str, found: duckdb.DuckDBPyRelation) -> None:
    with TableWriter(folder, table) as writer:
        for batch in equal_batches(found.to_arrow_reader(ROWS_AT_ONCE), ROWS_AT_ONCE):
            rows = pa.Table.from_batches([batch])
            writer.write({name: rows[name] for name in rows.column_names})


def _file(folder: Path, table: str) -> str:
    return parquet(table_path(folder, table))
