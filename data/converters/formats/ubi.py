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

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import IMPRESSION, SEARCH, Happening, OddObjectError, Tool
from prectr.data.converters.reading.values import value_at

HITS = ("query_response_hit_ids", "query_response_hits_ids", "query_response_object_ids", "query_response_objects_ids")
OBJECTS = ("event_attributes.object.object_id", "event_attributes.data.data_id")
"""Names of the results of a query and of what an event is about: of this version, then of those before."""


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """A query with its results, or an event."""
    page, when = found.get("query_id"), found.get("timestamp")
    if "action_name" in found:
        item = next((value for name in OBJECTS if (value := value_at(found, name)) is not None), None)
        action = IMPRESSION if found["action_name"] == IMPRESSION else found["action_name"]
        yield Happening(action, found, [(item, {})], when, page=page)
        return
    key = next((name for name in HITS if found.get(name) is not None), HITS[0])
    hits = found.get(key)
    if hits is None and "user_query" not in found:
        raise OddObjectError("user_query", "it is no query, with user_query, and no event, with action_name: mend it.")
    if not isinstance(hits, list | str | None):
        raise OddObjectError(key, f"found {hits!r}: it must be a list of ids.")
    results: list[tuple[Any, dict[str, Any]]] = [(hit, {}) for hit in ([hits] if isinstance(hits, str) else hits or [])]
    yield Happening(SEARCH, found, results, when, found.get("user_query"), page)


TOOL = Tool(
    happenings,
    users=("user_id", "client_id"),
    clicks=("click", "click_through", "item_click", "product_click"),
    others=("add_to_cart", "purchase"),
)
