"""The table `items`: every item once, with a text. [O]

Of an item that is named twice the first row counts, and in a log the earliest: what the rows of a log say of an item
(its price, what was sold of it) may change, and no row may be told what was not so before.
"""

from __future__ import annotations

from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import identifier
from prectr.shared.values.texts import plain_sql

VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"


def visible(column: str) -> str:
    """SQL: whether a text holds something to read; false for null."""
    return f"coalesce(regexp_matches({column}, '{VISIBLE}'), false)"


def number(column: str, name: str) -> str:
    """SQL: a numeric feature, 0 where there is none."""
    return f"CAST(coalesce(TRY_CAST({identifier(column)} AS DOUBLE), 0) AS FLOAT) AS {identifier(name)}"


def check_numbers(staging: Staging, view: str, source: str) -> None:
    """Refuse numeric features that are no finite numbers; say how many are missing."""
    for name in staging.columns(view):
        if not name.startswith(("num_", "ctx_num_")):
            continue
        no_number = f"NOT coalesce(isfinite(TRY_CAST({identifier(name)} AS FLOAT)), false)"
        bad = staging.rows(
            f"SELECT file, row, {identifier(name)}, count(*) OVER () FROM {view} WHERE {identifier(name)} IS NOT NULL "
            f"AND {no_number} ORDER BY file, row LIMIT 1"
        )
        if bad:
            file, row, text, times = bad[0]
            more = f" (and {times - 1:,} more)" if times > 1 else ""
            hint = ", or say --decimal ," if "," in text else ""
            where = staging.place(view, name, file, row, source)
            staging.refuse(f"{where}{more}: found {text[:80]!r}: write a finite number{hint}.")
        if missing := staging.value(f"SELECT count(*) FROM {view} WHERE {identifier(name)} IS NULL"):
            staging.tell(f"{missing:,} rows have no {name}: it is 0 there")


def make_items(staging: Staging, source: str) -> None:
    """The table `items` from the view `items_in` (file, row, item_id, text, and perhaps category, num_*, cat_*, and
    timestamp or seconds), whose values have been checked (`refusals.check_values`).

    Raises:
        PrectrError: no item has an id and a text.
    """
    columns = staging.columns("items_in")
    chosen = ["item_id", f"{plain_sql('text')} AS text"]
    chosen += ["CASE WHEN " + visible("category") + " THEN category END AS category"] if "category" in columns else []
    chosen += [number(name, name) for name in columns if name.startswith("num_")]
    chosen += [f"coalesce({name}, 'unknown') AS {name}" for name in columns if name.startswith("cat_")]
    others = [name for name in columns if name == "category" or name.startswith(("num_", "cat_"))]
    as_read = ", ".join(["item_id", "items_in.text", *map(identifier, others)])
    fit = f"{visible('item_id')} AND {visible('items_in.text')}"
    rows, first = "items_in", "file, row"
    if "seconds" in columns:
        first = "seconds NULLS LAST, file, row"
    elif "timestamp" in columns:
        rows = "items_in LEFT JOIN items_in_seconds AS moments ON moments.text = timestamp"
        first = "moments.seconds NULLS LAST, file, row"
    named = f"SELECT DISTINCT ON (item_id) {as_read} FROM {rows} WHERE {fit} ORDER BY item_id, {first}"
    staging.table("items", f"SELECT {', '.join(chosen)} FROM ({named})")
    kept = staging.value("SELECT count(*) FROM items")
    if not kept:
        raise PrectrError(f"{source}: no row has both an item id and a text: name the columns that hold them.")
    lost = staging.value(
        f"SELECT count(DISTINCT item_id) FROM items_in ANTI JOIN items USING (item_id) WHERE {visible('item_id')}"
    )
    staging.tell(f"{kept:,} items" + (f"; {lost:,} others have no text and are left out" if lost else ""))
    said = {"text": ("texts", plain_sql("text"))}
    said |= {name: (f"values of {name}", identifier(name)) for name in others}
    counts = "earliest" if {"timestamp", "seconds"} & {*columns} else "first"
    for name, (what, value) in said.items():
        several = staging.value(
            f"""SELECT count(*) FROM (SELECT item_id FROM (SELECT DISTINCT item_id, {identifier(name)} FROM items_in
                WHERE {fit}) GROUP BY item_id HAVING min({value}) <> max({value}))"""
        )
        if several:
            keep = " (--context_numeric and --context_categorical keep each row's own)" if name in others else ""
            staging.tell(f"{several:,} items have several {what}: the {counts} counts{keep}")


def write_items(staging: Staging) -> None:
    staging.write("items", "SELECT * FROM items ORDER BY item_id")


def drop_unusable(staging: Staging, table: str, source: str) -> None:
    """Leave out rows without a query, and those whose item is not in `items`.

    Raises:
        PrectrError: no row is left.
    """
    staging.drop(table, "no query", f"NOT {visible('query')}")
    staging.drop(table, "no item id", f"NOT {visible('item_id')}")
    staging.drop(table, "the item has no text, or no row of its own", "item_id NOT IN (SELECT item_id FROM items)")
    if not staging.value(f"SELECT count(*) FROM {table}"):
        raise PrectrError(f"{source}: no row has both a query and an item with a text: compare the ids of both files.")
