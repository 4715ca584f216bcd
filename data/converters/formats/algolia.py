"""Algolia: search responses as the application logs them, and the events sent to Insights, one JSON object per line.

    python -m data convert algolia searches.jsonl insights.jsonl --name mine --item name brand

A search is the API's answer (`query`, `queryID`, `page`, `hitsPerPage`, `hits`) with a `userToken` and a `timestamp`
added; an event is what Insights takes (`eventType`, `eventSubtype`, `queryID`, `userToken`, `objectIDs`). Of the hits
the attributes are read (--item, --category, --item_numeric price); or the items lie in --items.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool, pairs


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The search, the event, or what a request of several `events` holds."""
    if isinstance(found.get("events"), list):
        for event in filter(lambda each: isinstance(each, dict), found["events"]):
            yield from happenings(event, arguments)
        return
    page, when = found.get("queryID"), found.get("timestamp")
    if "hits" in found:
        number, size = found.get("page"), found.get("hitsPerPage")
        place = number * size if type(number) is type(size) is int else 0
        yield Happening(SEARCH, found, pairs(found["hits"], "objectID"), when, found.get("query"), page, place)
    elif "eventType" in found:
        ids = found.get("objectIDs")
        items: list[tuple[Any, dict[str, Any]]] = [(each, {}) for each in ids] if isinstance(ids, list) else [(ids, {})]
        yield Happening(found.get("eventSubtype") or found["eventType"], found, items, when, page=page)


TOOL = Tool(
    happenings,
    users=("authenticatedUserToken", "userToken"),
    clicks=("click",),
    others=("addToCart", "purchase", "conversion"),
    text=("name",),
)
