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
    yield Happening(SEARCH, found, [(hit, {}) for hit in _ids(key, hits)], when, found.get("user_query"), page)


def _ids(key: str, hits: Any) -> list[Any]:
    """The ids of a query's results; a text is the id of one alone, and no list that was written as a text."""
    is_list_as_text = isinstance(hits, str) and (hits.lstrip().startswith("[") or "," in hits)
    is_odd = not isinstance(hits, list | str | None) or is_list_as_text
    if is_odd or any(isinstance(hit, list | dict) for hit in hits or ()):
        raise OddObjectError(key, f"found {repr(hits)[:80]}: it must be a list of ids.")
    return [hits] if isinstance(hits, str) else hits or []


TOOL = Tool(
    happenings,
    users=("user_id", "client_id"),
    clicks=("click", "click_through", "item_click", "product_click"),
    others=("add_to_cart", "purchase"),
)
