"""Elasticsearch's behavioral analytics: the events of a collection, one JSON object per line, and the items.

    python -m data convert elasticsearch events.ndjson --name mine --items products.jsonl --item title

A `search` event names its results in their order (`search.results.items`, as the tracker sends them); a `search_click`
names a document and the words, no search: it is of the last search of its user for these words that returned the
document, up to --click_minutes before. Lines may be bare events or hits of a search (with `_source`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool, pairs
from prectr.data.converters.reading.values import value_at


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The event."""
    action, when, query = (value_at(found, name) for name in ("event.action", "@timestamp", "search.query"))
    if action == SEARCH:
        current, size = (value_at(found, f"search.page.{name}") for name in ("current", "size"))
        place = (current - 1) * size if type(current) is type(size) is int and current > 0 else 0
        results = pairs(value_at(found, "search.results.items"), "document.id")
        yield Happening(SEARCH, found, results, when, query, place=place)
    elif action is not None:
        yield Happening(str(action), found, [(value_at(found, "document.id"), {})], when, query)


TOOL = Tool(happenings, users=("user.id", "session.id"), clicks=("search_click",))
