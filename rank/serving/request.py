"""A request's items and past events as rows of the contract's tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from prectr.data.contract import SEARCH
from prectr.rank.history.log import BehaviourLog
from prectr.shared.errors import PrectrError


@dataclass
class Columns:
    """Which columns the training tables had, so that a scored page is given the same.

    Attributes:
        items: attributes of items (`cat_*`, `num_*`). context: context of impressions (`ctx_*`).
        matched: the attributes whose past clicks are counted (`BehaviourLog.item_groups`).
    """

    items: list[str]
    context: list[str]
    matched: list[str]

    @classmethod
    def of(cls, items: pa.Table, impressions: pa.Table, log: BehaviourLog) -> "Columns":
        return cls(
            [name for name in items.column_names if name.startswith(("cat_", "num_"))],
            [name for name in impressions.column_names if name.startswith("ctx_")],
            list(log.item_groups),
        )


SHOPPER = "the shopper"  # the one user of a scored page; the model never sees ids


def _item(item: Mapping[str, Any], where: str, number: int) -> dict[str, Any]:
    """An item with every column the tables need; one without an id gets one that is in no vocabulary."""
    if not item.get("text"):
        raise PrectrError(f"{where}: 'text' is missing or empty; give the item's text.")
    text, category = str(item["text"]), item.get("category")
    known = {"text": text, "category": None if category is None else str(category)}
    return {**item, "item_id": str(item.get("item_id", f"unknown {where}")), **known}


def _behaviours(events: list[Mapping[str, Any]], past: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {
        "user_id": [SHOPPER] * len(events),
        "query": [event.get("query") for event in events],
        "query_category": [
            event.get("query_category", item["category"]) for event, item in zip(events, past, strict=True)
        ],
        "item_id": [item["item_id"] for item in past],
        "clicked": [bool(event.get("clicked", True)) for event in events],
        "timestamp": [_seconds(event.get("timestamp"), f"event {number}") for number, event in enumerate(events)],
        "event_type": [
            SEARCH if event.get("query") is not None else event.get("event_type", "purchase") for event in events
        ],
        "page_id": [event.get("page_id") for event in events],
    }


def _seconds(timestamp: Any, where: str) -> int:
    if isinstance(timestamp, datetime):
        return int(timestamp.replace(tzinfo=timestamp.tzinfo or UTC).timestamp())
    if isinstance(timestamp, int | float):
        return int(timestamp)
    raise PrectrError(f"{where}: 'timestamp' is {timestamp!r}; give a datetime or seconds since 1970.")
