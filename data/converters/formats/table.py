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

What was shown and what was clicked in two files, joined by the id of the query (or by user and time):
    python -m data convert table shown.csv --click_files clicks.jsonl --name mine --query q --item title --item_id sku
        --timestamp time --page query_id --click_page query_id --click_item sku

Clicks alone, the skipped items are sampled then, and reports say so:
    python -m data convert table clicks.jsonl.gz --name mine --query q --item title --item_id sku --timestamp time

The same flags can stand in a file, `--mapping mine.yaml`, as lines such as `query: search_term`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prectr.data.converters.arguments.clicks import ClickArguments
from prectr.data.converters.arguments.common import LogArguments, ReadingArguments
from prectr.data.converters.arguments.features import FeatureArguments
from prectr.data.converters.arguments.table import TableArguments
from prectr.data.converters.events.click_files import join_click_files
from prectr.data.converters.formats.showings import add_snippets, query_of
from prectr.data.converters.reading.flags import naming_flags
from prectr.data.converters.staging import Settings, Staging
from prectr.data.converters.times import add_seconds, add_truths
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literals
from prectr.shared.values.texts import plain_sql


def files(sources: Sequence[str], settings: Settings) -> dict[str, list[str]]:
    arguments: TableArguments = settings[TableArguments]
    clicks: ClickArguments = settings[ClickArguments]
    return {
        "source": list(sources),
        "items": arguments.items,
        "judgements": arguments.judgements,
        "click_files": clicks.click_files,
    }


def read(staging: Staging, sources: Sequence[str], settings: Settings) -> None:
    """The views `items_in`, and `judged_in` or `shown_in` or both."""
    arguments: TableArguments = settings[TableArguments]
    features: FeatureArguments = settings[FeatureArguments]
    reading = settings[ReadingArguments].reading
    source = ", ".join(sources)
    texts = {f"text_{place}": name for place, name in enumerate(arguments.item)}
    snippets = {f"snippet_{place}": name for place, name in enumerate(arguments.snippet)}
    of_items = features.of_items | ({"category": arguments.category} if arguments.category else {})
    of_rows = {**features.of_showings, **snippets}
    of_judgements = {name: getattr(arguments, name) for name in ("level", "split") if getattr(arguments, name)}
    of_rows |= {name: getattr(arguments, name) for name in ("query", "item_id", *_OF_LOG) if getattr(arguments, name)}
    if arguments.judgements:
        pair = {
            "query": arguments.judgements_query or arguments.query,
            "item_id": arguments.judgements_item_id or arguments.item_id,
        }
        of_judgements = {**pair, **of_judgements}
        with naming_flags(of_judgements, query="--judgements_query", item_id="--judgements_item_id"):
            staging.read("judgements", arguments.judgements, of_judgements, reading, ["level"], ["level"])
    else:
        of_rows |= of_judgements
    if arguments.items:
        catalogue = {"item_id": arguments.items_id or arguments.item_id, **texts, **of_items}
        numbers = [name for name in features.numbers if name in of_items]
        with naming_flags(catalogue, item_id="--items_id"):
            staging.read("catalogue", arguments.items, catalogue, reading, numbers=numbers)
    else:
        of_rows = {**texts, **of_items, **of_rows}
    of_source = [name for name in (*features.numbers, "level") if name in of_rows]
    with naming_flags(of_rows):
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
    if arguments.level:
        own = ["split AS own_split"] if arguments.split else []
        judged = "WHERE level IS NOT NULL" if arguments.is_log else ""
        columns = ", ".join(["file", "row", "query", f"{item_id} AS item_id", "level AS label", *own])
        staging.run(f"CREATE VIEW judged_in AS SELECT {columns} FROM {judged_in} {judged}")
    if arguments.is_log:
        _make_shown(staging, settings, item_id, of_rows, source)
    if snippets:
        add_snippets(staging, list(snippets))


_OF_LOG = ("clicked", "timestamp", "user", "page", "position", "query_category")


def _make_shown(staging: Staging, settings: Settings, item_id: str, of_rows: Mapping[str, str], source: str) -> None:
    """The view `shown_in`, with clicks of its own, of other files, or alone."""
    arguments: TableArguments = settings[TableArguments]
    renamed = {"user": "user AS user_id"}
    if arguments.clicked_value:
        renamed["clicked"] = f"{_is_click(staging, arguments, source)} AS clicked"
    others = ("ctx_", "snippet_")
    names = [renamed.get(name, name) for name in of_rows if name in _OF_LOG or name.startswith(others)]
    columns = ["file", "row", f"{query_of(staging, arguments)} AS query", f"{item_id} AS item_id", *names]
    rows = f"SELECT {', '.join(columns)} FROM source"
    if settings[ClickArguments].click_files:
        rows = _with_clicks(staging, settings, rows, source)
    staging.run(f"CREATE VIEW shown_in AS {rows}")


def _with_clicks(staging: Staging, settings: Settings, rows: str, source: str) -> str:
    """SQL of the rows with a column `clicked` by the click files too."""
    arguments: TableArguments = settings[TableArguments]
    if settings[ClickArguments].click_page and not arguments.page:
        raise PrectrError("--click_page: name the log's own column of the page with --page.")
    add_seconds(staging, "source", "timestamp", source, settings[LogArguments].times)
    user = "user_id" if arguments.user else "CAST(NULL AS VARCHAR)"
    page = "page" if arguments.page else "CAST(NULL AS VARCHAR)"
    staging.table("rows_in", f"SELECT *, row_number() OVER (ORDER BY file, row) AS hit FROM ({rows})")
    staging.table(
        "hits",
        f"""SELECT hit, {page} AS page, {user} AS user_id, {plain_sql("query")} AS query, item_id, seconds
            FROM rows_in LEFT JOIN source_seconds ON text = timestamp""",
    )
    join_click_files(staging, settings, source, arguments.item_id)
    own = ""
    staging.comes_from["rows_in"] = "source"
    if arguments.clicked:
        add_truths(staging, "rows_in", "clicked", source)
        own = "OR coalesce((SELECT truths FROM rows_in_truths WHERE text = rows_in.clicked), false)"
    without = "hit, clicked" if arguments.clicked else "hit"
    return f"""SELECT * EXCLUDE ({without}), CASE WHEN hit IN (SELECT hit FROM clicked) {own} THEN '1' ELSE '0' END
               AS clicked FROM rows_in"""


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
