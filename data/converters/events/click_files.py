"""Clicks that lie in files of their own: rows of a table, or objects that may hold a list of items. [O]"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prectr.data.converters.arguments.clicks import ClickArguments
from prectr.data.converters.arguments.common import LogArguments, ReadingArguments
from prectr.data.converters.events.joining import place_clicks
from prectr.data.converters.reading.flags import naming_flags
from prectr.data.converters.reading.values import as_text, value_at
from prectr.data.converters.staging import Settings, Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literals
from prectr.shared.values.texts import plain_sql

_NAMES = ("page", "item_id", "user_id", "query", "timestamp", "type")

CLICK_COLUMNS = "view, file, row, page, user_id, query, item_id, timestamp, seconds"


def read_click_files(staging: Staging, settings: Settings, item_id: str = "item_id") -> bool:
    """The tables `filed_clicks` (`CLICK_COLUMNS`) and `filed_others` (and event_type).

    Args:
        item_id: what the log calls the item's id, where no flag says what these files call it.

    Returns:
        Whether there are such files; if not there is nothing else.

    Raises:
        PrectrError: a file cannot be read, or no row is a click.
    """
    arguments: ClickArguments = settings[ClickArguments]
    if not arguments.click_files:
        return False
    item_id = arguments.click_item or item_id or "item_id"
    paths = [arguments.click_page, item_id, arguments.click_user, arguments.click_query, arguments.click_timestamp]
    paths.append(arguments.click_type)

    def rows_of(path: Path, number: int, found: dict[str, Any]) -> Iterator[list[Any]]:
        values = [value_at(found, name) if name else None for name in paths]
        items = values[1] if isinstance(values[1], list) else [values[1]]
        for item in items or [None]:
            cells = [values[0], item, *values[2:]]
            yield [as_text(path, number, name, cell) for name, cell in zip(paths, cells, strict=True)]

    reading = settings[ReadingArguments].reading
    wanted = list(dict.fromkeys(filter(None, paths)))
    flags = ("click_page", "click_item", "click_user", "click_query", "click_timestamp", "click_type")
    with naming_flags(dict(zip(flags, paths, strict=True))):
        staging.read_objects("click_rows", arguments.click_files, _NAMES, reading, rows_of, columns=wanted)
    source = ", ".join(arguments.click_files)
    if not staging.value("SELECT count(item_id) FROM click_rows"):
        raise PrectrError(f"{source}: {item_id}: no row has one: name the column of the item with --click_item.")
    add_seconds(staging, "click_rows", "timestamp", source, settings[LogArguments].times)
    kind = "lower(trim(type))"
    clicks, others = (
        f"coalesce({kind} IN {literals([value.strip().lower() for value in values])}, false)" if values else "false"
        for values in (arguments.click_value, arguments.other_value)
    )
    columns = f"""'click_rows' AS view, file, row, page, user_id, {plain_sql("query")} AS query, item_id, timestamp,
        seconds"""
    rows = "click_rows LEFT JOIN click_rows_seconds ON text = timestamp"
    is_click = clicks if arguments.click_type else "true"
    staging.table("filed_clicks", f"SELECT {columns} FROM {rows} WHERE {is_click} ORDER BY file, row")
    _refuse_none(staging, arguments, source)
    staging.table("filed_others", f"SELECT {columns}, {kind} AS event_type FROM {rows} WHERE {others}")
    return True


def _refuse_none(staging: Staging, arguments: ClickArguments, source: str) -> None:
    if staging.value("SELECT count(*) FROM filed_clicks"):
        return
    found = [row[0] for row in staging.rows("SELECT type FROM click_rows GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 8")]
    raise PrectrError(
        f"{source}: {arguments.click_type}: no row says {' or '.join(map(repr, arguments.click_value))} "
        f"(--click_value); found {', '.join(repr(str(each)[:40]) for each in found)}: name one of these."
    )


def join_click_files(staging: Staging, settings: Settings, source: str, item_id: str) -> bool:
    """The table `clicked` of the table `hits` (`joining.place_clicks`), and the view `events_in` of what else counts.

    Returns:
        Whether there are such files.
    """
    if not read_click_files(staging, settings, item_id):
        return False
    arguments: ClickArguments = settings[ClickArguments]
    staging.table("clicks", f"SELECT row_number() OVER () AS click, {CLICK_COLUMNS} FROM filed_clicks")
    place_clicks(staging, source, arguments.click_minutes)
    if not staging.value("SELECT count(*) FROM clicked"):
        raise PrectrError(
            f"{', '.join(arguments.click_files)}: no click is on a page of {source}: compare the ids of both "
            "(--click_page, --click_item), or users and times."
        )
    if staging.value("SELECT count(*) FROM filed_others"):
        staging.comes_from["events_in"] = "click_rows"
        staging.run(
            "CREATE VIEW events_in AS SELECT file, row, user_id, item_id, timestamp, event_type FROM filed_others"
        )
    return True
