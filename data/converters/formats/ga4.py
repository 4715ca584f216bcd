"""Google Analytics 4 as BigQuery exports it: the events, as JSON lines or Parquet.

    python -m data convert ga4 events_20240516.json --name mine --lists "Search results"

`view_search_results` holds what was searched for (`event_params` key `search_term`); the items are its own or those of
a `view_item_list` of the same user and address after it (--lists names the lists that are results). A `select_item` is
a click: of the last list of its user that showed the item, up to --click_minutes before. Texts, categories and prices
are those of the items (`item_name`, `item_category`, `price`). A parameter is named as `event_params.KEY`, for instance
--context_categorical device.category event_params.page_language.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool, pairs
from prectr.data.converters.reading.values import value_at

_LISTS = ("item_list_name", "item_list_id")


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The event; a list that is none of --lists is nothing."""
    name, when = found.get("event_name"), found.get("event_timestamp")
    screen = value_at(found, "event_params.page_location")
    items = pairs(found.get("items"), "item_id")
    if name == "view_search_results":
        yield Happening(SEARCH, found, items, when, value_at(found, "event_params.search_term"), screen=screen)
    elif name == "view_item_list":
        results = [each for each in items if _is_result(found, each[1], arguments)]
        if results:
            results.sort(key=lambda each: _place(each[1]))
            yield Happening(SEARCH, found, results, when, screen=screen)
    elif name is not None:
        yield Happening(str(name), found, items, when)


def _is_result(found: dict[str, Any], item: Any, arguments: EventArguments) -> bool:
    lists = [item.get(name) for name in _LISTS] + [value_at(found, f"event_params.{name}") for name in _LISTS]
    return not arguments.lists or any(each in arguments.lists for each in lists)


def _place(item: Any) -> int:
    """Where an item stands in its list: `item_list_index`, which the export writes as a text."""
    index = str(item.get("item_list_index"))
    return int(index) if index.isdecimal() and len(index) < 10 else 0


TOOL = Tool(
    happenings,
    users=("user_id", "user_pseudo_id"),
    clicks=("select_item",),
    others=("add_to_cart", "add_to_wishlist", "purchase"),
    text=("item_name",),
    category="item_category",
)
