"""A stream of events as showings, clicks and what else was done: the same rules for every tool. [O]

A page is a search with the results it returned, in that order; where the log says what came into view, only that. A
list of items without a query is of its user's last search. Clicks are placed by `joining`. Where no search names its
results, the log is one of clicks alone: each is of the search it names, or of its user's last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prectr.data.converters.arguments.clicks import ClickArguments
from prectr.data.converters.arguments.common import LogArguments, ReadingArguments
from prectr.data.converters.arguments.features import FeatureArguments
from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.click_files import CLICK_COLUMNS, read_click_files
from prectr.data.converters.events.happening import IMPRESSION, SEARCH, Happening, OddObjectError, Tool
from prectr.data.converters.events.joining import place_clicks, tell_lost
from prectr.data.converters.reading.values import as_text, value_at
from prectr.data.converters.staging import Settings, Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literals
from prectr.shared.values.texts import plain_sql

_FIXED = ("action", "part", "user_id", "page", "query", "timestamp", "item_id", "position", "screen")


_FURTHEST = 10**6
"""Place of a first result that is believed: a log may say anything."""


def files_of_stream(sources: Sequence[str], settings: Settings) -> dict[str, list[str]]:
    """The files by what they are."""
    arguments: EventArguments = settings[EventArguments]
    clicks: ClickArguments = settings[ClickArguments]
    return {"source": list(sources), "items": arguments.items, "click_files": clicks.click_files}


def read_stream(staging: Staging, sources: Sequence[str], settings: Settings, tool: Tool) -> None:
    """The views `items_in`, `shown_in` and `events_in`.

    Raises:
        PrectrError: the log has no click, or holds no texts and no --items are named.
    """
    arguments: EventArguments = settings[EventArguments]
    source = ", ".join(sources)
    own = _own_columns(settings, tool)
    users = arguments.user or tool.users

    def rows_of(path: Path, number: int, found: dict[str, Any]) -> Iterator[list[Any]]:
        unwrapped = found.get("_source", found)
        if not isinstance(unwrapped, dict):
            raise PrectrError(f"{path}: _source, row {number}: it must be an object: mend it.")
        if len(unwrapped) == 1 and set(unwrapped) & {"index", "create"}:  # the bulk format's commands
            return
        try:
            for part, happening in enumerate(tool.happenings(unwrapped, arguments)):
                yield from _rows(path, number, part, happening, users, own)
        except OddObjectError as odd:
            raise PrectrError(f"{path}: {odd.key}, row {number}: {odd}") from None

    names = (*_FIXED, *own)
    reading = settings[ReadingArguments].reading
    staging.read_objects("events", sources, names, reading, rows_of, parser=tool.parser)
    clicks, others = (literals(names) for names in _actions(arguments, tool))
    _read_times(staging, clicks, source, settings[LogArguments].times)
    contexts = "".join(f", {name}" for name in own if name.startswith("ctx_"))
    staging.table(
        "happened",
        f"""SELECT 'events' AS view, events.* REPLACE ({plain_sql("query")} AS query),
            CASE WHEN action = '{SEARCH}' THEN asked.seconds ELSE lone.seconds END AS seconds,
            coalesce(page, '#' || file || '.' || row || '.' || part) AS key,
            row_number() OVER (ORDER BY file, row, CAST(part AS INT), CAST(position AS INT)) AS hit
            FROM events LEFT JOIN asked_events_seconds AS asked ON asked.text = timestamp
            LEFT JOIN lone_events_seconds AS lone ON lone.text = timestamp""",
    )
    _make_items(staging, settings, own)
    filed = read_click_files(staging, settings)
    _make_searches(staging, settings[ClickArguments].click_minutes)
    _make_clicks(staging, clicks, filed, source)
    _make_hits(staging, contexts)
    if staging.value("SELECT count(*) FROM hits"):
        place_clicks(staging, source, settings[ClickArguments].click_minutes)
        staging.run(
            f"""CREATE VIEW shown_in AS SELECT file, row, user_id, query, item_id, position, timestamp, page,
                CASE WHEN clicked.hit IS NULL THEN '0' ELSE '1' END AS clicked{contexts}
                FROM hits LEFT JOIN clicked USING (hit)"""
        )
    else:
        _clicks_alone(staging, settings[ClickArguments].click_minutes, source)
    columns = "file, row, user_id, item_id, timestamp"
    more = f"UNION ALL SELECT {columns}, event_type FROM filed_others" if filed else ""
    staging.run(
        f"""CREATE VIEW events_in AS SELECT {columns}, action AS event_type FROM happened
            WHERE action IN {others} AND item_id IS NOT NULL {more}"""
    )
    staging.comes_from |= {"shown_in": "events", "events_in": "events"}


def _own_columns(settings: Settings, tool: Tool) -> dict[str, str]:
    """Columns beside the fixed ones: name in the view -> path in a result or in the object."""
    arguments: EventArguments = settings[EventArguments]
    features: FeatureArguments = settings[FeatureArguments]
    if arguments.items:
        return features.of_showings
    texts = arguments.item or tool.text
    if not texts:
        raise PrectrError(
            "--items: this log holds no texts of items: name the files that do, with --items_id and --item."
        )
    category = arguments.category or tool.category
    own = {f"text_{place}": name for place, name in enumerate(texts)}
    return own | ({"category": category} if category else {}) | features.features


def _rows(
    path: Path, number: int, part: int, happening: Happening, users: Sequence[str], own: Mapping[str, str]
) -> Iterator[list[Any]]:
    def text(name: str, value: Any) -> str | None:
        return as_text(path, number, name, value)

    whole = dict(happening.whole)
    user = next((found for name in users if (found := text(name, value_at(whole, name)))), None)
    said = (text("page", happening.page), text("query", happening.query), text("timestamp", happening.timestamp))
    screen = text("screen", happening.screen)
    first = happening.place if 0 <= happening.place <= _FURTHEST else 0
    for place, (item, of) in enumerate(happening.items or [(None, {})]):
        attributes, known = [], dict(of)
        for column, name in own.items():
            value = value_at(known, name)
            if value is None and column.startswith("ctx_"):
                value = value_at(whole, name)
            attributes.append(text(name, value))
        position = str(first + place)
        yield [happening.action, str(part), user, *said, text("item", item), position, screen, *attributes]


def _make_items(staging: Staging, settings: Settings, own: Mapping[str, str]) -> None:
    """The view `items_in`, of the files of the items, or of what the log says of them."""
    arguments: EventArguments = settings[EventArguments]
    features: FeatureArguments = settings[FeatureArguments]
    if arguments.items:
        texts = {f"text_{place}": name for place, name in enumerate(arguments.item or ["title"])}
        of = features.of_items | ({"category": arguments.category} if arguments.category else {})
        reading = settings[ReadingArguments].reading
        numbers = [name for name in features.numbers if name in of]
        staging.read(
            "catalogue", arguments.items, {"item_id": arguments.items_id, **of, **texts}, reading, numbers=numbers
        )
        kept, view = ["file", "row", "item_id", *of], "catalogue"
    else:
        texts = {name: path for name, path in own.items() if name.startswith("text_")}
        of = {name: path for name, path in own.items() if not name.startswith(("text_", "ctx_"))}
        kept, view = ["file", "row", "item_id", "seconds", *of], "happened"
    staging.comes_from["items_in"] = "events" if view == "happened" else view
    columns = ", ".join([*kept, f"concat_ws(' ', {', '.join(texts)}) AS text"])
    # An event that only names an item says nothing of it.
    said = f"item_id IS NOT NULL AND coalesce({', '.join(texts)}) IS NOT NULL"
    staging.run(f"CREATE VIEW items_in AS SELECT {columns} FROM {view} WHERE {said}")


def _read_times(staging: Staging, clicks: str, source: str, times: str) -> None:
    """The times of searches, and of clicks that name no search: two clocks may write in two units."""
    conditions = {"asked_events": f"action = '{SEARCH}'", "lone_events": f"action IN {clicks} AND page IS NULL"}
    for view, condition in conditions.items():
        staging.comes_from[view] = "events"
        staging.run(f"CREATE VIEW {view} AS SELECT * FROM events WHERE {condition}")
        add_seconds(staging, view, "timestamp", source, times)


def _actions(arguments: EventArguments, tool: Tool) -> tuple[list[str], list[str]]:
    clicks, others = arguments.click_actions or tool.clicks, arguments.other_actions or tool.others
    return list(clicks) or [""], list(others) or [""]


def _make_searches(staging: Staging, minutes: int) -> None:
    """The table `searches` (key, page, user_id, query, seconds, timestamp), one row each, those of lists filled in."""
    staging.table(
        "searches",
        f"""SELECT key, any_value(page) AS page, any_value(user_id) AS user_id, any_value(query) AS query,
            any_value(screen) AS screen, min(seconds) AS seconds, min(timestamp) AS timestamp, min(hit) AS first
            FROM happened WHERE action = '{SEARCH}' GROUP BY key""",
    )
    staging.table(
        "inherited",
        f"""SELECT shown.key, arg_max(asked.query, (asked.seconds, asked.first)) AS query
            FROM (SELECT * FROM searches WHERE query IS NULL) AS shown
            JOIN (SELECT * FROM searches WHERE query IS NOT NULL) AS asked USING (user_id)
            WHERE shown.seconds - asked.seconds BETWEEN 0 AND {60 * minutes}
            AND (shown.screen IS NULL OR asked.screen IS NULL OR shown.screen = asked.screen) GROUP BY shown.key""",
    )
    staging.table(
        "searches",
        """SELECT searches.* REPLACE (coalesce(searches.query, inherited.query) AS query)
           FROM searches LEFT JOIN inherited USING (key)""",
    )
    if count := staging.value("SELECT count(*) FROM inherited"):
        staging.tell(f"{count:,} lists are of the last search of their user, up to {minutes} minutes before")


def _make_clicks(staging: Staging, actions: str, filed: bool, source: str) -> None:
    """The table `clicks`: those of the stream and those of their own files."""
    more = f"UNION ALL SELECT {CLICK_COLUMNS} FROM filed_clicks" if filed else ""
    staging.table(
        "clicks",
        f"""SELECT row_number() OVER () AS click, * FROM (SELECT {CLICK_COLUMNS} FROM happened
            WHERE action IN {actions} {more})""",
    )
    if staging.value("SELECT count(item_id) FROM clicks"):
        return
    found = staging.rows("SELECT action FROM happened GROUP BY action ORDER BY count(DISTINCT key) DESC, 1 LIMIT 8")
    raise PrectrError(
        f"{source}: no event is {actions.strip('()')} on an item; found {', '.join(repr(row[0]) for row in found)}: "
        "name the clicks with --click_actions."
    )


def _make_hits(staging: Staging, contexts: str) -> None:
    """The table `hits`: what was shown of each search that has a query."""
    staging.table("seen", f"SELECT DISTINCT page, item_id FROM happened WHERE action = '{IMPRESSION}'")
    staging.table(
        "hits",
        f"""SELECT hit, file, row, happened.user_id, happened.key AS page, searches.query, item_id, position,
            happened.seconds, happened.timestamp{contexts} FROM happened JOIN searches USING (key)
            WHERE action = '{SEARCH}' AND item_id IS NOT NULL AND (happened.page IS NULL
            OR happened.page NOT IN (SELECT page FROM seen WHERE page IS NOT NULL)
            OR (happened.page, item_id) IN (SELECT (page, item_id) FROM seen WHERE item_id IS NOT NULL))""",
    )
    unasked = staging.value("SELECT count(DISTINCT page) FROM hits WHERE query IS NULL OR query = ''")
    if unasked:
        staging.tell(f"{unasked:,} lists are of no search: left out")
        staging.run("DELETE FROM hits WHERE query IS NULL OR query = ''")


def _clicks_alone(staging: Staging, minutes: int, source: str) -> None:
    """The view `shown_in` of clicks, each of the search it names or its user's last one, else of its own query."""
    staging.table(
        "landed",
        f"""SELECT click, key FROM clicks JOIN searches USING (page)
            UNION ALL SELECT click, arg_max(key, (searches.seconds, first)) FROM clicks JOIN searches USING (user_id)
            WHERE clicks.page IS NULL AND clicks.query IS NULL
            AND clicks.seconds - searches.seconds BETWEEN 0 AND {60 * minutes} GROUP BY click""",
    )
    staging.table(
        "asked",
        """SELECT click, clicks.view, clicks.file, clicks.row, coalesce(searches.user_id, clicks.user_id) AS user_id,
           coalesce(searches.query, clicks.query) AS query, item_id, key AS page,
           coalesce(searches.timestamp, clicks.timestamp) AS timestamp
           FROM clicks LEFT JOIN landed USING (click) LEFT JOIN searches USING (key)""",
    )
    staging.run("DELETE FROM asked WHERE item_id IS NULL OR query IS NULL OR query = '' OR timestamp IS NULL")
    reasons = f"""CASE WHEN item_id IS NULL THEN 'name no item'
        WHEN page IS NOT NULL THEN 'are of a query that is not there'
        ELSE 'are of a user who did not search in the {minutes} minutes before' END"""
    tell_lost(staging, "asked", "of no search", reasons, source)
    made, kept = staging.rows("SELECT (SELECT count(*) FROM clicks), (SELECT count(*) FROM asked)")[0]
    staging.tell(f"no search names its results: a log of clicks alone, {kept:,} of {made:,} with their search")
    if not kept:
        raise PrectrError(f"{source}: no click is of a search: log who searched, or the query's id with the click.")
    staging.run("CREATE VIEW shown_in AS SELECT file, row, user_id, query, item_id, page, timestamp FROM asked")
