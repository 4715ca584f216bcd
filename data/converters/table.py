"""Any CSV, TSV, JSON, JSON lines or Parquet file, its columns named by flags.

Judged pairs:
    python -m data convert table train.csv --name mine --query search_term --item product_title --level relevance

Judged pairs whose products lie in other files:
    python -m data convert table ratings.csv --name mine --query query --item_id docid --level rating
        --items 1.json.zip 2.json.zip --items_id id --item title

What was shown, one row per item shown (add --level where some were judged too):
    python -m data convert table log.parquet --name mine --query q --item title --item_id sku
        --clicked click --timestamp time --user visitor --position rank

Clicks alone, the skipped items are sampled then, and reports say so:
    python -m data convert table clicks.jsonl.gz --name mine --query q --item title --item_id sku --timestamp time

The same flags can stand in a file, `--mapping mine.yaml`, as lines such as `query: search_term`.
"""

from __future__ import annotations

from collections.abc import Sequence

from prectr.data.converters.arguments import ReadingArguments, TableArguments
from prectr.data.converters.staging import Staging
from prectr.shared.values.texts import plain_sql


def files(sources: Sequence[str], settings: dict) -> list[str]:
    return [*sources, *settings[TableArguments].items]


def read(staging: Staging, sources: Sequence[str], settings: dict) -> None:
    """The views `items_in`, and `judged_in` or `shown_in` or both."""
    arguments: TableArguments = settings[TableArguments]
    reading = settings[ReadingArguments].reading
    features = arguments.features
    texts = {f"text_{place}": name for place, name in enumerate(arguments.item)}
    of_items = {name: source for name, source in features.items() if not name.startswith("ctx_")}
    of_items |= {"category": arguments.category} if arguments.category else {}
    of_rows = {name: source for name, source in features.items() if name.startswith("ctx_")}
    named = ("query", "item_id", "level", "split", "clicked", "timestamp", "user", "page", "position", "query_category")
    of_rows |= {name: getattr(arguments, name) for name in named if getattr(arguments, name)}
    if arguments.items:
        catalogue = {"item_id": arguments.items_id or arguments.item_id, **texts, **of_items}
        staging.read("catalogue", arguments.items, catalogue, reading)
        staging.read("source", sources, of_rows, reading, as_written=["level"])
    else:
        staging.read("source", sources, {**texts, **of_items, **of_rows}, reading, as_written=["level"])
    text = f"concat_ws(' ', {', '.join(texts)})"
    where = "catalogue" if arguments.items else "source"
    item_id = "item_id" if arguments.item_id else f"left(md5({plain_sql(text)}), 16)"
    when = ["timestamp"] if arguments.is_log and not arguments.items else []
    kept = ", ".join(["file", "row", f"{item_id} AS item_id", f"{text} AS text", *of_items, *when])
    staging.run(f"CREATE VIEW items_in AS SELECT {kept} FROM {where}")
    if not arguments.item_id:
        staging.tell("no item ids: an item is its text, and its id is made of it")
    pair = ["file", "row", "query", f"{item_id} AS item_id"]
    if arguments.level:
        own = ["split AS own_split"] if arguments.split else []
        judged = "WHERE level IS NOT NULL" if arguments.is_log else ""
        staging.run(
            f"CREATE VIEW judged_in AS SELECT {', '.join([*pair, 'level AS label', *own])} FROM source {judged}"
        )
    if arguments.is_log:
        renamed = {"user": "user AS user_id"}
        names = [renamed.get(name, name) for name in of_rows if name not in ("query", "item_id", "level", "split")]
        staging.run(f"CREATE VIEW shown_in AS SELECT {', '.join([*pair, *names])} FROM source")
