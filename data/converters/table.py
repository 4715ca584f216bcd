"""Any CSV, TSV, JSON, JSON lines or Parquet file, its columns named by flags.

Judged pairs:
    python -m data convert table train.csv --name mine --query search_term --item product_title --level relevance

Judged pairs whose products lie in other files:
    python -m data convert table ratings.csv --name mine --query query --item_id docid --level rating
        --items 1.json.zip 2.json.zip --items_id id --item title

What was shown, one row per item shown (add --level where some were judged too):
    python -m data convert table log.parquet --name mine --query q --item title --item_id sku
        --clicked click --timestamp time --user visitor --position rank

The same with judged pairs and the catalogue in files of their own; every judged pair is kept, shown or not:
    python -m data convert table log.csv --judgements ratings.csv --items catalogue.csv --name mine --query q
        --item_id sku --item title --clicked click --timestamp time --level rating

Clicks alone, the skipped items are sampled then, and reports say so:
    python -m data convert table clicks.jsonl.gz --name mine --query q --item title --item_id sku --timestamp time

The same flags can stand in a file, `--mapping mine.yaml`, as lines such as `query: search_term`.
"""

from __future__ import annotations

from collections.abc import Sequence

from prectr.data.converters.arguments import ReadingArguments, TableArguments
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literals
from prectr.shared.values.texts import plain_sql


def files(sources: Sequence[str], settings: dict) -> list[str]:
    arguments: TableArguments = settings[TableArguments]
    return [*sources, *arguments.items, *arguments.judgements]


def read(staging: Staging, sources: Sequence[str], settings: dict) -> None:
    """The views `items_in`, and `judged_in` or `shown_in` or both."""
    arguments: TableArguments = settings[TableArguments]
    reading = settings[ReadingArguments].reading
    features = arguments.features
    texts = {f"text_{place}": name for place, name in enumerate(arguments.item)}
    of_items = {name: source for name, source in features.items() if not name.startswith("ctx_")}
    of_items |= {"category": arguments.category} if arguments.category else {}
    of_rows = {name: source for name, source in features.items() if name.startswith("ctx_")}
    of_log = ("clicked", "timestamp", "user", "page", "position", "query_category")
    of_judgements = {name: getattr(arguments, name) for name in ("level", "split") if getattr(arguments, name)}
    of_rows |= {name: getattr(arguments, name) for name in ("query", "item_id", *of_log) if getattr(arguments, name)}
    if arguments.judgements:
        pair = {
            "query": arguments.judgements_query or arguments.query,
            "item_id": arguments.judgements_item_id or arguments.item_id,
        }
        staging.read("judgements", arguments.judgements, {**pair, **of_judgements}, reading, ["level"], ["level"])
    else:
        of_rows |= of_judgements
    numbers = [name for name in features if name.startswith(("num_", "ctx_num_"))]
    if arguments.items:
        catalogue = {"item_id": arguments.items_id or arguments.item_id, **texts, **of_items}
        of_catalogue = [name for name in numbers if name in of_items]
        staging.read("catalogue", arguments.items, catalogue, reading, numbers=of_catalogue)
    else:
        of_rows = {**texts, **of_items, **of_rows}
    of_source = [name for name in (*numbers, "level") if name in of_rows]
    staging.read("source", sources, of_rows, reading, as_written=["level"], numbers=of_source)
    where, judged_in = (
        ("catalogue" if arguments.items else "source"),
        ("judgements" if arguments.judgements else "source"),
    )
    staging.comes_from |= {"items_in": where, "judged_in": judged_in, "shown_in": "source"}
    text = f"concat_ws(' ', {', '.join(texts)})"
    item_id = "item_id" if arguments.item_id else f"left(md5({plain_sql(text)}), 16)"
    when = ["timestamp"] if arguments.is_log and not arguments.items else []
    kept = ", ".join(["file", "row", f"{item_id} AS item_id", f"{text} AS text", *of_items, *when])
    staging.run(f"CREATE VIEW items_in AS SELECT {kept} FROM {where}")
    if not arguments.item_id:
        staging.tell("no item ids: an item is its text, and its id is made of it")
    pair_columns = ["file", "row", "query", f"{item_id} AS item_id"]
    if arguments.level:
        own = ["split AS own_split"] if arguments.split else []
        judged = "WHERE level IS NOT NULL" if arguments.is_log else ""
        columns = ", ".join([*pair_columns, "level AS label", *own])
        staging.run(f"CREATE VIEW judged_in AS SELECT {columns} FROM {judged_in} {judged}")
    if arguments.is_log:
        renamed = {"user": "user AS user_id"}
        if arguments.clicked_value:
            renamed["clicked"] = f"{_is_click(staging, arguments, ', '.join(sources))} AS clicked"
        names = [renamed.get(name, name) for name in of_rows if name in of_log or name.startswith("ctx_")]
        staging.run(f"CREATE VIEW shown_in AS SELECT {', '.join([*pair_columns, *names])} FROM source")


def _is_click(staging: Staging, arguments: TableArguments, source: str) -> str:
    """SQL: 1 where the column of clicks says one of `--clicked_value`, else 0.

    Raises:
        PrectrError: no row says so.
    """
    values = sorted({value.strip().lower() for value in arguments.clicked_value})
    says = f"coalesce(lower(trim(clicked)) IN {literals(values)}, false)"
    if not staging.value(f"SELECT bool_or({says}) FROM source"):
        found = [
            row[0] for row in staging.rows("SELECT clicked FROM source GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 8")
        ]
        raise PrectrError(
            f"{source}: {arguments.clicked}: no row says {' or '.join(map(repr, arguments.clicked_value))} "
            f"(--clicked_value); found {', '.join(repr(str(each)[:40]) for each in found)}: name one of these."
        )
    return f"CASE WHEN {says} THEN '1' ELSE '0' END"
