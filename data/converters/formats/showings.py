"""What a table's showings may lack or have of their own: a query, a text. [O]"""

from __future__ import annotations

from collections.abc import Sequence

from prectr.data.converters.arguments.table import TableArguments
from prectr.data.converters.catalogue import visible
from prectr.data.converters.staging import Staging
from prectr.shared.storage.duckdb import identifier, literal
from prectr.shared.values.texts import plain_sql


def query_of(staging: Staging, arguments: TableArguments) -> str:
    """SQL: what a row of the view `source` is the answer to: its query, else its category, else one word for all."""
    if arguments.query and not arguments.query_category:
        return "query"
    if not arguments.query_category:
        staging.tell(f"no queries and no categories: every page is one of {arguments.no_query!r} (--no_query)")
        return literal(arguments.no_query)
    if not arguments.query:
        staging.tell("no queries: the category of a page stands for it")
        return "query_category"
    without = f"NOT {visible('query')} AND {visible('query_category')}"
    if browsed := staging.value(f"SELECT count(*) FROM source WHERE {without}"):
        staging.tell(f"{browsed:,} rows have no query: the category of the page stands for it")
    return f"CASE WHEN {without} THEN query_category ELSE query END"


def add_snippets(staging: Staging, snippets: Sequence[str]) -> None:
    """Make an item of every text that an item was shown with: its id, `#` and a mark of the snippet; `cat_item` is the
    item that it was. The views `items_in` and `shown_in` are made anew; what has no snippet stays as it is.
    """
    said = plain_sql(f"concat_ws(' ', {', '.join(snippets)})")
    mark = f"CASE WHEN {visible(said)} THEN item_id || '#' || left(md5({said}), 8) ELSE item_id END"
    others = [name for name in staging.columns("shown_in") if name not in ("item_id", *snippets)]
    kept = ", ".join(map(identifier, others))
    own = f"item_id AS whole, {said} AS snippet, {mark} AS item_id"
    staging.table("with_snippets", f"SELECT {kept}, {own} FROM shown_in")
    staging.run(f"CREATE OR REPLACE VIEW shown_in AS SELECT {kept}, item_id FROM with_snippets")
    of_items = [name for name in staging.columns("items_in") if name not in ("item_id", "text", "file", "row")]
    also = "".join(f", {identifier(name)}" for name in of_items)
    staging.table("whole_items", f"SELECT file, row, item_id, text{also}, item_id AS cat_item FROM items_in")
    staging.run(
        f"""CREATE OR REPLACE VIEW items_in AS SELECT * FROM whole_items UNION ALL
            SELECT file, row, shown.item_id, concat_ws(' ', text, snippet) AS text{also}, cat_item FROM
            (SELECT DISTINCT whole, item_id, snippet FROM with_snippets WHERE item_id <> whole) AS shown
            JOIN (SELECT DISTINCT ON (item_id) * FROM whole_items ORDER BY item_id, file, row) AS items
            ON items.item_id = shown.whole"""
    )
    made = staging.value("SELECT count(DISTINCT item_id) FROM with_snippets WHERE item_id <> whole")
    staging.tell(f"{made:,} texts that showings had of their own: each is an item, and cat_item says of which")
