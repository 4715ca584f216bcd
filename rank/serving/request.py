"""A request as tables of the data contract: training's own code reads its items, its page and its past events."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from prectr.data.contract import SCHEMAS, SEARCH
from prectr.rank.features.columns import Columns
from prectr.shared.errors import PrectrError

USER = "the user"  # the one user of a scored page; the network never sees ids


class RequestTables(NamedTuple):
    """One page to be scored: its `items` with those of the past events, the `impressions` of the page in the order of
    the request, and the user's past as `behaviours`."""

    items: pa.Table
    impressions: pa.Table
    behaviours: pa.Table


def request_tables(
    query: str,
    items: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    context: Mapping[str, Any],
    columns: Columns,
    means: Mapping[str, float],
) -> RequestTables:
    """The tables of one request; see `Ranker.score` for what items, events and context hold.

    Args:
        columns: the optional columns that the ranker was trained with. means: of every number in the training rows,
            which stands for one that nobody gave.

    Raises:
        PrectrError: an item without text, or an event without a timestamp.
    """
    candidates = [_item(item, f"candidate {number}") for number, item in enumerate(items)]
    past = [_item(event, f"event {number}") for number, event in enumerate(events)]
    catalogue = {item["item_id"]: item for item in [*past, *candidates]}
    categories = [item["category"] for item in candidates if item["category"] is not None]
    most_frequent = max(sorted(set(categories)), key=categories.count, default=None)
    rows = len(candidates)
    page: dict[str, list[Any]] = {
        "impression_id": list(range(rows)),
        "page_id": [0] * rows,
        "user_id": [USER] * rows,
        "query": [query] * rows,
        "query_category": [context.get("query_category", most_frequent)] * rows,
        "item_id": [item["item_id"] for item in candidates],
        "position": [-1] * rows,
        "timestamp": [_seconds(context.get("timestamp", datetime.now(UTC)), "context")] * rows,
        "clicked": [False] * rows,
        "split": ["test"] * rows,
    }
    schema = SCHEMAS["impressions"]
    impressions = pa.table({name: pa.array(values, schema.field(name).type) for name, values in page.items()})
    for name in columns.context:
        given = [item.get(name, context.get(name)) for item in items]
        impressions = impressions.append_column(name, _column(name, given, means))
    behaviours = pa.table(_behaviours(events, past), schema=SCHEMAS["behaviours"])
    return RequestTables(
        items=pa.table(
            {
                name: _column(name, [item.get(name) for item in catalogue.values()], means)
                for name in ("item_id", "text", "category", *columns.items)
            }
        ),
        impressions=impressions,
        behaviours=behaviours.sort_by([("timestamp", "ascending"), ("page_id", "ascending")]),
    )


def _column(name: str, values: list[Any], means: Mapping[str, float]) -> pa.Array:
    """A column of the contract; a number nobody gave is the training rows' mean."""
    if not name.startswith(("num_", "ctx_num_")):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array([means[name] if value is None else float(value) for value in values], pa.float32())


def _item(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An item with every column the tables need; one without an id gets one that is in no vocabulary."""
    if not item.get("text"):
        raise PrectrError(f"{where}: 'text' is missing or empty; give the item's text.")
    text, category = str(item["text"]), item.get("category")
    known = {"text": text, "category": None if category is None else str(category)}
    return {**item, "item_id": str(item.get("item_id", f"unknown {where}")), **known}


def _behaviours(events: Sequence[Mapping[str, Any]], past: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {
        "user_id": [USER] * len(events),
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
