"""Matomo: visits as `Live.getLastVisitsDetails` gives them, a JSON array or one object per line.

    python -m data convert matomo visits.json --name mine

A visit's actions are internal searches (`siteSearchKeyword`), product views (`productViewSku`) and orders. Matomo does
not know what a search returned, so it is a log of clicks alone: a product view is a click of the visitor's last search,
up to --click_minutes before, and skipped items are sampled. Texts, categories and prices are those of the product views
(`productViewName`, `productViewCategories`, `productViewPrice`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool, pairs

VIEW = "product_view"


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The actions of the visit."""
    actions = found.get("actionDetails")
    for action in actions if isinstance(actions, list) else []:
        if not isinstance(action, dict):
            continue
        when, kind = action.get("timestamp"), action.get("type")
        if kind == "search":
            yield Happening(SEARCH, found, [], when, action.get("siteSearchKeyword"))
        elif action.get("productViewSku"):
            yield Happening(VIEW, found, [(action["productViewSku"], action)], when)
        elif isinstance(action.get("itemDetails"), list):
            yield Happening(str(kind), found, [(each, {}) for each, _ in pairs(action["itemDetails"], "itemSKU")], when)


TOOL = Tool(
    happenings,
    users=("userId", "visitorId"),
    clicks=(VIEW,),
    others=("ecommerceOrder",),
    text=("productViewName",),
    category="productViewCategories.0",
)
