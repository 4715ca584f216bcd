"""Shopify's customer events, as a web pixel logs them, one JSON object per line.

    python -m data convert shopify events.jsonl --name mine --item title vendor --item_numeric price.amount

`search_submitted` holds what was searched for and the variants found (`data.searchResult`). `product_viewed` is a
click: of the last search of its client that found the product, up to --click_minutes before. An item is a product; its
title, vendor and type are the product's, its price and sku those of the variant named first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening, Tool
from prectr.data.converters.reading.values import value_at


def happenings(found: dict[str, Any], arguments: EventArguments) -> Iterator[Happening]:
    """The event."""
    name, when = found.get("name"), found.get("timestamp")
    if name == "search_submitted":
        results = _products(value_at(found, "data.searchResult.productVariants"))
        yield Happening(SEARCH, found, results, when, value_at(found, "data.searchResult.query"))
    elif name is not None:
        lines = value_at(found, "data.checkout.lineItems")
        variants = [each.get("variant") for each in lines if isinstance(each, dict)] if isinstance(lines, list) else []
        variants += [value_at(found, path) for path in ("data.productVariant", "data.cartLine.merchandise")]
        yield Happening(str(name), found, _products(variants), when)


def _products(variants: Any) -> list[tuple[Any, Mapping[str, Any]]]:
    """The products of variants, each once: id, and what is known of it."""
    found: dict[str, Mapping[str, Any]] = {}
    for variant in variants if isinstance(variants, list) else []:
        if isinstance(variant, dict) and isinstance(product := variant.get("product"), dict):
            found.setdefault(str(product.get("id", "")), {**variant, **product})
    return list(found.items())


TOOL = Tool(
    happenings,
    users=("customerId", "clientId"),
    clicks=("product_viewed",),
    others=("product_added_to_cart", "checkout_completed"),
    text=("title",),
    category="type",
)
