"""Typesense: its analytics events and, where the application logs them, its search responses, one JSON object per line.

    python -m data convert typesense events.jsonl --name mine --items products.jsonl --item name

An event names what was typed (`q`), the document and the user, as sent (`data`) or as the API lists them. A search is
the API's answer (`request_params.q`, `page`, `hits`) with a `user_id` and a `timestamp` added. Without searches it is
a log of clicks alone, and skipped items are sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool
from prectr.data.converters.reading.values import value_at


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The search, the event, or each of a list of `events`."""
    if isinstance(found.get("events"), list):
        for event in filter(lambda each: isinstance(each, dict), found["events"]):
            yield from happenings(event, arguments)
        return
    when = found.get("timestamp", value_at(found, "data.timestamp"))
    if isinstance(found.get("hits"), list):
        documents = [each.get("document") for each in found["hits"] if isinstance(each, dict)]
        number, size = found.get("page"), value_at(found, "request_params.per_page")
        place = (number - 1) * size if type(number) is type(size) is int and number > 0 else 0
        results = [(each.get("id"), each) for each in documents if isinstance(each, dict)]
        yield Happening(SEARCH, found, results, when, value_at(found, "request_params.q"), place=place)
        return
    data = found["data"] if isinstance(found.get("data"), dict) else found
    several = data.get("doc_ids")
    items: list[tuple[Any, dict[str, Any]]] = (
        [(each, {}) for each in several] if isinstance(several, list) else [(data.get("doc_id"), {})]
    )
    action = found.get("event_type") or found.get("type")
    if action is not None and action != SEARCH:
        yield Happening(str(action), found, items, when, data.get("q", data.get("query")))


TOOL = Tool(happenings, users=("data.user_id", "user_id"), clicks=("click",), others=("conversion",), text=("name",))
