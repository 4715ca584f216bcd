"""A request as tables of the data contract: training's own code reads its items, its page and its past events."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from prectr.data.contract import SCHEMAS, SEARCH
from prectr.rank.features.columns import Columns
from prectr.rank.serving import given
from prectr.rank.serving.own_names import OwnNames
from prectr.shared.errors import PrectrError

USER = "the user"  # the one user of a scored page; the network never sees ids
OF_ITEMS = ("item_id", "text", "category")
OF_EVENTS = ("timestamp", "clicked", "query", "query_category", "page_id", "event_type")
OF_PAGE = ("timestamp", "query_category")


class RequestTables(NamedTuple):
    """One page to be scored: its `items` with those of the past events, the `impressions` of the page in the order of
    the request, and the user's past as `behaviours`."""

    items: pa.Table
    impressions: pa.Table
    behaviours: pa.Table


def request_tables(
    query: str,
    items: Iterable[Mapping[str, Any]],
    user_events: Iterable[Mapping[str, Any]] | None,
    context: Mapping[str, Any] | None,
    columns: Columns,
    means: Mapping[str, float],
    names: OwnNames | None = None,
) -> RequestTables:
    """The tables of one request; see `Ranker.score` for what items, events and context hold.

    Args:
        columns: the optional columns that the ranker was trained with. means: of every number in the training rows,
            which stands for one that nobody gave. names: the shop's own, which may be used too.

    Raises:
        PrectrError: what was given is no request, or could be meant in two ways.
    """
    asked = given.text(query, "query")
    if asked is None:
        raise PrectrError("query is missing or empty: give what was typed.")
    names = names or OwnNames()
    of_items = (*OF_ITEMS, *columns.items, *columns.context)
    page = _page(context, columns, names)
    candidates = [
        _item(names.read(item, of_items, f"candidate {number}"), f"candidate {number}", columns, columns.context, names)
        for number, item in enumerate(given.mappings(items, "items", "candidate"))
    ]
    if not candidates:
        raise PrectrError("score needs at least one item.")
    happened = given.mappings([] if user_events is None else user_events, "user_events", "event")
    events = sorted(
        (
            _event(names.read(event, (*of_items, *OF_EVENTS), f"event {number}"), f"event {number}", columns, names)
            for number, event in enumerate(happened)
        ),
        key=lambda event: event["timestamp"],
    )
    _tell_missing(candidates, page, columns)
    # An item is what its latest event says of it, and a candidate what is said of it now.
    catalogue = {item["item_id"]: item for item in events} | _distinct(candidates, columns)
    categories = [item["category"] for item in candidates if item["category"] is not None]
    most_frequent = max(sorted(set(categories)), key=categories.count, default=None)
    rows = len(candidates)
    shown: dict[str, list[Any]] = {
        "impression_id": list(range(rows)),
        "page_id": [0] * rows,
        "user_id": [USER] * rows,
        "query": [asked] * rows,
        "query_category": [page.get("query_category") or most_frequent] * rows,
        "item_id": [item["item_id"] for item in candidates],
        "position": [-1] * rows,
        "timestamp": [page["timestamp"]] * rows,
        "clicked": [False] * rows,
        "split": ["test"] * rows,
    }
    schema = SCHEMAS["impressions"]
    impressions = pa.table({name: pa.array(values, schema.field(name).type) for name, values in shown.items()})
    for name in columns.context:
        own = [page.get(name) if item.get(name) is None else item[name] for item in candidates]
        impressions = impressions.append_column(name, column_of(name, own, means))
    behaviours = pa.table(_behaviours(events), schema=SCHEMAS["behaviours"])
    return RequestTables(
        items=pa.table(
            {
                name: column_of(name, [item.get(name) for item in catalogue.values()], means)
                for name in (*OF_ITEMS, *columns.items)
            }
        ),
        impressions=impressions,
        behaviours=behaviours.sort_by([("timestamp", "ascending"), ("page_id", "ascending")]),
    )


def column_of(name: str, values: list[Any], means: Mapping[str, float]) -> pa.Array:
    """A column of the contract; a number nobody gave is the training rows' mean."""
    if not _is_number(name):
        return pa.array(values, pa.string())
    return pa.array([means[name] if value is None else value for value in values], pa.float32())


def _is_number(name: str) -> bool:
    return name.startswith(("num_", "ctx_num_"))


def _values(source: Mapping[str, Any], names: Iterable[str], where: str) -> dict[str, Any]:
    """The features among `names` that `source` has; None is one that is missing."""
    read = {name: given.number if _is_number(name) else given.name for name in names}
    return {name: read[name](source[name], f"{where}: {name!r}") for name in read if name in source}


def _item(
    item: Mapping[str, Any], where: str, columns: Columns, others: Sequence[str], names: OwnNames
) -> dict[str, Any]:
    """An item with every column the tables need; one without an id gets one that is in no vocabulary."""
    given.check_keys(item, {*OF_ITEMS, *columns.items, *columns.context, *others}, where)
    text = given.text(item.get("text"), f"{where}: 'text'")
    if text is None:
        raise PrectrError(
            f"{where}: {names.told('text')} is missing or empty; give the item's text: a ranker by itself has no "
            "catalogue to look an item_id up in (`rank serve` and `rank explain --items` have)."
        )
    return {
        "item_id": given.name(item.get("item_id"), f"{where}: 'item_id'") or f"unknown {where}",
        "text": text,
        "category": given.name(item.get("category"), f"{where}: 'category'"),
        **_values(item, (*columns.items, *columns.context), where),
    }


def _event(event: Mapping[str, Any], where: str, columns: Columns, names: OwnNames) -> dict[str, Any]:
    """A past event, with its item's columns."""
    item = _item(event, where, columns, OF_EVENTS, names)
    query = given.text(event.get("query"), f"{where}: 'query'")
    kind = given.text(event.get("event_type"), f"{where}: 'event_type'") or "purchase"
    category = given.name(event.get("query_category"), f"{where}: 'query_category'")
    return {
        **item,
        "query": query,
        "query_category": item["category"] if category is None else category,
        "clicked": given.truth(event.get("clicked", True), f"{where}: 'clicked'"),
        "timestamp": given.seconds(event.get("timestamp"), f"{where}: 'timestamp'"),
        "event_type": kind if query is None else SEARCH,
        "page_id": given.name(event.get("page_id"), f"{where}: 'page_id'"),
    }


def _page(context: Mapping[str, Any] | None, columns: Columns, names: OwnNames) -> dict[str, Any]:
    """What holds for the whole page."""
    if context is None:
        context = {}
    if not hasattr(context, "keys"):
        raise PrectrError(f"context is a {type(context).__name__}: give a mapping of ctx_* values and a timestamp.")
    known = {*OF_PAGE, *columns.context}
    context = names.read({key: context[key] for key in context.keys()}, known, "context")  # noqa: SIM118
    given.check_keys(context.keys(), known, "context")
    now = given.plain(context.get("timestamp"), "context: 'timestamp'")
    return {
        **_values(context, columns.context, "context"),
        "query_category": given.name(context.get("query_category"), "context: 'query_category'"),
        "timestamp": given.seconds(datetime.now(UTC) if now is None else now, "context: 'timestamp'"),
    }


def _distinct(candidates: Sequence[dict[str, Any]], columns: Columns) -> dict[str, dict[str, Any]]:
    """The candidates by their id; raises `PrectrError` where one id stands for two."""
    found: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(candidates):
        same = found.setdefault(item["item_id"], item)
        for name in ("text", "category", *columns.items):
            if same.get(name) != item.get(name):
                raise PrectrError(
                    f"candidate {number}: item_id {item['item_id']!r} has two values of {name!r}, {same.get(name)!r} "
                    f"and {item.get(name)!r}: give each item an id of its own, or none."
                )
    return found


def _tell_missing(candidates: Sequence[Mapping[str, Any]], page: Mapping[str, Any], columns: Columns) -> None:
    """Warns, once for a caller's line, of features that no candidate has."""
    names = [*columns.items, *columns.context]
    absent = [name for name in names if page.get(name) is None and all(item.get(name) is None for item in candidates)]
    if absent:
        warnings.warn(
            f"score: given for no candidate: {', '.join(absent)}; a number is then taken for the mean of the training "
            "rows, and a category is unknown.",
            stacklevel=5,
        )


def _behaviours(events: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    named = {event["page_id"] for event in events} - {None}
    pages = {page: number for number, page in enumerate(sorted(named, key=lambda page: (len(page), page)))}
    kept = ("query", "query_category", "item_id", "clicked", "timestamp", "event_type")
    return {
        "user_id": [USER] * len(events),
        **{name: [event[name] for event in events] for name in kept},
        "page_id": [pages.get(event["page_id"]) for event in events],
    }
