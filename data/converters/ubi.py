"""OpenSearch User Behavior Insights (UBI 1.x): the queries and the events, one JSON object per line, and the items.

    python -m data convert ubi ubi_queries.ndjson ubi_events.ndjson --name mine
        --items products.jsonl --items_id asin --item title brand

A page is a query with the results the engine returned (`query_response_hit_ids`), in that order; where the client sent
`impression` events for a query, only the items they name. An item is clicked where an event of --click_actions names
the query and the item; one that names no query is of the last query of its client, up to half an hour before, that
returned the item. Events of --other_actions count as what users did besides. Lines may be bare objects or hits of
a search (with `_source`). UBI holds no texts: --items names the files that do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prectr.data.converters.arguments import LogArguments, ReadingArguments, UbiArguments
from prectr.data.converters.reading.readers import as_text, value_at
from prectr.data.converters.staging import RowsOf, Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literal

IMPRESSION = "impression"
HITS = ("query_response_hit_ids", "query_response_hits_ids", "query_response_object_ids", "query_response_objects_ids")
OBJECTS = ("event_attributes.object.object_id", "event_attributes.data.data_id")
"""Names of the results of a query and of what an event is about: of this version, then of those before."""

JOINED_SECONDS = 1800
"""How long after a query a click that does not name it may be its."""

_SHOWN = ("user_id", "query_id", "query", "item_id", "position", "timestamp")
_EVENT = ("user_id", "query_id", "item_id", "action", "timestamp")


def files(sources: Sequence[str], settings: dict) -> list[str]:
    if len(sources) != 2:
        raise PrectrError(f"ubi: found {len(sources)} sources: name the file of the queries, then that of the events.")
    return [*sources, *settings[UbiArguments].items]


def read(staging: Staging, sources: Sequence[str], settings: dict) -> None:
    """The views `items_in`, `shown_in` and `events_in`."""
    arguments: UbiArguments = settings[UbiArguments]
    queries, events = map(Path, sources)
    reading = settings[ReadingArguments].reading
    users = arguments.user or ["user_id", "client_id"]
    staging.read_objects("hits", [str(queries)], _SHOWN, reading, _unwrapped(_hits, users))
    staging.read_objects("actions", [str(events)], _EVENT, reading, _unwrapped(_event, users))
    texts = {f"text_{place}": name for place, name in enumerate(arguments.item or ["title"])}
    category = {"category": arguments.category} if arguments.category else {}
    staging.read("catalogue", arguments.items, {"item_id": arguments.items_id, **category, **texts}, reading)
    kept = ["file", "row", "item_id", *category, f"concat_ws(' ', {', '.join(texts)}) AS text"]
    staging.run(f"CREATE VIEW items_in AS SELECT {', '.join(kept)} FROM catalogue")
    clicks, others = (_list(names) for names in (arguments.click_actions, arguments.other_actions))
    _join_clicks(staging, queries, events, clicks, settings[LogArguments].times)
    _tell(staging, events, clicks)
    staging.table("seen", f"SELECT DISTINCT query_id, item_id FROM actions WHERE action = '{IMPRESSION}'")
    staging.run(
        """CREATE VIEW shown_in AS SELECT 0 AS file, hits.row, user_id, query, hits.item_id, position, timestamp,
           hits.query_id AS page, CASE WHEN clicks.query_id IS NULL THEN '0' ELSE '1' END AS clicked FROM hits
           LEFT JOIN clicks_on_hits AS clicks ON hits.query_id = clicks.query_id AND hits.item_id = clicks.item_id
           WHERE hits.item_id IS NOT NULL
           AND (hits.query_id NOT IN (SELECT query_id FROM seen WHERE query_id IS NOT NULL) OR
           (hits.query_id, hits.item_id) IN (SELECT (query_id, item_id) FROM seen WHERE item_id IS NOT NULL))"""
    )
    if not staging.value("SELECT count(*) FROM shown_in"):
        raise PrectrError(
            f"{queries}: query_response_hit_ids: no query has any result: log the ids of what was returned."
        )
    staging.run(
        f"""CREATE VIEW events_in AS SELECT 1 AS file, row, user_id, item_id, timestamp, action AS event_type
            FROM actions WHERE action IN ({others}) AND item_id IS NOT NULL"""
    )


def _tell(staging: Staging, events: Path, clicks: str) -> None:
    if not staging.value("SELECT count(item_id) FROM clicks"):
        found = [
            row[0] for row in staging.rows("SELECT action FROM actions GROUP BY action ORDER BY count(*) DESC LIMIT 8")
        ]
        names = ", ".join(repr(name) for name in found)
        raise PrectrError(
            f"{events}: action_name: none is {clicks} on an {OBJECTS[0]}; found {names}: name the "
            "clicks with --click_actions."
        )
    made, placed = staging.rows(
        """SELECT (SELECT count(*) FROM clicks), count(*) FROM clicks
           SEMI JOIN hits ON clicks.query_id = hits.query_id AND clicks.item_id = hits.item_id"""
    )[0]
    if made - placed:
        nameless = staging.value("SELECT count(*) FROM clicks WHERE item_id IS NULL")
        unasked = staging.value("SELECT count(*) FROM clicks WHERE item_id IS NOT NULL AND query_id IS NULL")
        staging.tell(
            f"{made - placed:,} of {made:,} clicks are on no result of their query (or their query is not there): left "
            f"out; {nameless:,} of them name no item and {unasked:,} no query, nor did their client ask for the item "
            "before"
        )
    if repeated := placed - staging.value(
        "SELECT count(*) FROM clicks_on_hits SEMI JOIN hits USING (query_id, item_id)"
    ):
        staging.tell(f"{repeated:,} of {made:,} clicks repeat one on the same result: each result is clicked once")


def _join_clicks(staging: Staging, queries: Path, events: Path, actions: str, time_unit: str) -> None:
    """The tables `clicks` (row, query_id, item_id of every click event) and `clicks_on_hits` (query_id, item_id)."""
    staging.table("clicks", f"SELECT 1 AS file, * FROM actions WHERE action IN ({actions})")
    lone = "query_id IS NULL AND item_id IS NOT NULL AND user_id IS NOT NULL AND timestamp IS NOT NULL"
    staging.table("lone", f"SELECT * FROM clicks WHERE {lone}")
    if count := staging.value("SELECT count(*) FROM lone"):
        add_seconds(staging, "lone", "timestamp", str(events), time_unit)
        add_seconds(staging, "hits", "timestamp", str(queries), time_unit)
        staging.table(
            "joined",
            f"""SELECT lone.row, arg_max(hits.query_id, (asked.seconds, hits.row)) AS query_id
                FROM lone JOIN lone_seconds AS clicked ON clicked.text = lone.timestamp
                JOIN hits ON hits.user_id = lone.user_id AND hits.item_id = lone.item_id
                JOIN hits_seconds AS asked ON asked.text = hits.timestamp
                WHERE clicked.seconds - asked.seconds BETWEEN 0 AND {JOINED_SECONDS} GROUP BY lone.row""",
        )
        staging.table(
            "clicks",
            """SELECT clicks.* REPLACE (coalesce(clicks.query_id, joined.query_id) AS query_id)
               FROM clicks LEFT JOIN joined USING (row)""",
        )
        staging.tell(
            f"{count:,} clicks name no query: {staging.value('SELECT count(*) FROM joined'):,} are joined to the last "
            f"query of the same client, up to {JOINED_SECONDS // 60} minutes before, that returned the item"
        )
    staging.table("clicks_on_hits", "SELECT DISTINCT query_id, item_id FROM clicks WHERE item_id IS NOT NULL")


def _unwrapped(rows: Callable[..., Iterator[list[Any]]], users: Sequence[str]) -> RowsOf:
    """Passes on the object itself, of a search's hit its `_source`, of a line of the bulk format's commands nothing."""

    def rows_of(path: Path, number: int, found: dict[str, Any]) -> Iterator[list[Any]]:
        source = found.get("_source", found)
        if not isinstance(source, dict):
            raise PrectrError(f"{path}: _source, row {number}: found a {type(source).__name__}: it must be an object.")
        if not (len(found) == 1 and set(found) & {"index", "create"}):
            yield from rows(path, number, source, users)

    return rows_of


def _hits(path: Path, number: int, found: dict[str, Any], users: Sequence[str]) -> Iterator[list[Any]]:
    key = next((name for name in HITS if name in found), HITS[0])
    hits = found.get(key)
    if hits is None and "user_query" not in found:
        raise PrectrError(
            f"{path}: row {number} has neither user_query nor query_response_hit_ids: name the queries first."
        )
    if not isinstance(hits, list | str | None):
        raise PrectrError(f"{path}: {key}, row {number}: found {hits!r}: it must be a list of ids.")
    text = {name: as_text(path, number, name, found.get(name)) for name in ("query_id", "user_query", "timestamp")}
    user = _user(path, number, found, users)
    for position, hit in enumerate([hits] if isinstance(hits, str) else hits or []):
        item = as_text(path, number, key, hit)
        yield [user, text["query_id"], text["user_query"], item, str(position), text["timestamp"]]


def _event(path: Path, number: int, found: dict[str, Any], users: Sequence[str]) -> Iterator[list[Any]]:
    if "action_name" not in found:
        raise PrectrError(f"{path}: row {number} has no action_name: name the file of the events second.")
    key, item = next(
        ((name, value) for name in OBJECTS if (value := value_at(found, name)) is not None), (OBJECTS[0], None)
    )
    text = {name: as_text(path, number, name, found.get(name)) for name in ("query_id", "action_name", "timestamp")}
    item = as_text(path, number, key, item)
    yield [_user(path, number, found, users), text["query_id"], item, text["action_name"], text["timestamp"]]


def _user(path: Path, number: int, found: dict[str, Any], users: Sequence[str]) -> str | None:
    values = (as_text(path, number, name, value_at(found, name)) for name in users)
    return next((value for value in values if value), None)


def _list(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names) or "''"
