"""Rows of `impressions` of what a service showed, so that the next training learns from it. [O]

Events say what of a page was shown and clicked, and the page as it was served at which place and in which context.
A training reads weeks before those it is judged on, so the splits move on: the latest of the new pages become `test`,
those before them `validation`, and all else `train`. What the former test weeks alone had (`open`, `new_users`, gold)
is left out, since they are trained on now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import has_table, read_table
from prectr.rank.history.event import IMPRESSION, SHOWINGS, Event
from prectr.rank.history.rows import seconds_of
from prectr.rank.serving.traffic.served import Served

LEAST_PAGES = 10
"""Fewer new pages can neither teach nor judge: the table stays as it is."""
SHOWN = ("train", "validation", "test")


class Shown(NamedTuple):
    """A page of which something was shown: its time, and by item whether it was clicked, in the order of places."""

    page: int
    second: int
    user_id: str | None
    query: str
    query_category: str | None
    clicked: dict[str, bool]
    context: dict[str, dict[str, Any]]


def shown_pages(events: Iterable[Event], served: Iterable[Served]) -> list[Shown]:
    """The pages that events speak of, in the order of time; one whose clicks alone were told is none: nobody knows what
    was passed over.

    A page's time is the earliest that is known of it, so that none of its own events is before it.
    """
    noted, of_page = {page.page_id: page for page in served}, dict[int, list[Event]]()
    for event in events:
        if event.kind in SHOWINGS and event.query is not None and event.page_id is not None:
            of_page.setdefault(event.page, []).append(event)
    pages = []
    for number, rows in of_page.items():
        if not any(event.kind == IMPRESSION for event in rows):
            continue
        clicked = dict.fromkeys((str(event.item_id) for event in rows), False)
        for event in rows:
            clicked[str(event.item_id)] |= event.is_clicked
        page, first = noted.get(number), rows[0]
        places = {} if page is None else {item.item_id: place for place, item in enumerate(page.items)}
        # What was not kept of a page comes behind, as it was told.
        in_order = sorted(clicked, key=lambda item: places.get(item, len(places)))
        pages.append(
            Shown(
                number,
                min([event.timestamp for event in rows] + ([] if page is None else [page.timestamp])),
                first.user_id,
                str(first.query),
                first.query_category if page is None else page.query_category or first.query_category,
                {item: clicked[item] for item in in_order},
                {} if page is None else {item.item_id: dict(item.context) for item in page.items},
            )
        )
    return sorted(pages, key=lambda page: (page.second, page.page))


def with_pages(impressions: pa.Table, pages: Sequence[Shown], held_out: float) -> pa.Table | None:
    """The table with new pages, and its splits moved on; None: it stays as it is.

    Args:
        held_out: share of the new pages that is not trained on, half of it `validation`, the latest half `test`.
    """
    known = set(pc.unique(impressions["page_id"]).to_pylist())
    pages = [page for page in pages if page.page not in known]
    has_labels = any(name.startswith("label_") for name in impressions.column_names)
    begins = _begins(np.array([page.second for page in pages], np.int64), held_out)
    if begins is None or has_labels:
        return None
    old = impressions.filter(pc.is_in(impressions["split"], pa.array(SHOWN)))
    new = _rows(pages, old, int(pc.max(impressions["impression_id"]).as_py() or 0) + 1)
    table = pa.concat_tables([old, new])
    seconds = seconds_of(table["timestamp"])
    split = np.array(SHOWN)[np.searchsorted(np.array(begins), seconds, "right")]
    table = table.set_column(table.column_names.index("split"), "split", pa.array(split, pa.string()))
    keys = ("timestamp", "page_id", "position")
    return table.sort_by([(name, "ascending") for name in keys])


def _begins(seconds: np.ndarray, held_out: float) -> tuple[int, int] | None:
    """When `validation` and `test` begin; None: there are too few pages, or they are all of one time."""
    if len(seconds) < LEAST_PAGES:
        return None
    first, second = (int(np.quantile(seconds, 1 - share, method="higher")) for share in (held_out, held_out / 2))
    return (first, second) if seconds[0] < first < second else None


def _rows(pages: Sequence[Shown], like: pa.Table, first_id: int) -> pa.Table:
    """New rows, in the columns of `like`."""
    numbers = [name for name in like.column_names if name.startswith("ctx_num_")]
    means = {name: pc.mean(like[name]).as_py() or 0.0 for name in numbers}
    columns: dict[str, list[Any]] = {name: [] for name in like.column_names}
    for page in pages:
        for position, (item, clicked) in enumerate(page.clicked.items()):
            row = {
                "impression_id": first_id + len(columns["impression_id"]),
                "page_id": page.page,
                "user_id": page.user_id,
                "query": page.query,
                "query_category": page.query_category,
                "item_id": item,
                "position": position,
                "timestamp": page.second,
                "clicked": clicked,
                "split": "",
                "weight": 1.0,
            }
            context = page.context.get(item, {})
            for name, values in columns.items():
                value = row[name] if name in row else context.get(name)
                values.append(stand_in(name, means) if value is None else value)
    arrays = {name: pa.array(values, like.schema.field(name).type) for name, values in columns.items()}
    return pa.table(arrays, schema=like.schema)


def stand_in(name: str, means: Mapping[str, float]) -> float | str | None:
    """What the contract writes where nothing is known: a mean for a number, a word for a category."""
    return "unknown" if name.startswith(("cat_", "ctx_cat_")) else means.get(name)


def tables_beside(data: Path, impressions: pa.Table) -> dict[str, pa.Table]:
    """`users` and `queries` as they go with new impressions, of those that the folder has."""
    found = {}
    if has_table(data, "users"):
        found["users"] = _with_names(read_table(data, "users"), "user_id", impressions["user_id"])
    if has_table(data, "queries"):
        queries = _with_names(read_table(data, "queries"), "query", impressions["query"])
        learnt = pc.unique(impressions.filter(pc.field("split") != "test")["query"])
        seen = pc.or_(pc.fill_null(queries["seen_in_training"], False), pc.is_in(queries["query"], learnt))
        queries = queries.set_column(queries.column_names.index("seen_in_training"), "seen_in_training", seen)
        gold = pc.fill_null(queries["has_gold_labels"], False)
        found["queries"] = queries.set_column(queries.column_names.index("has_gold_labels"), "has_gold_labels", gold)
    return found


def _with_names(table: pa.Table, key: str, names: pa.ChunkedArray) -> pa.Table:
    """The table with a row for each name that it lacks, of which nothing else is known."""
    names = pc.drop_null(pc.unique(names))
    new = names.filter(pc.invert(pc.is_in(names, value_set=table[key].combine_chunks())))
    columns = {}
    for field in table.schema:
        means = {field.name: pc.mean(table[field.name]).as_py() or 0.0} if field.name.startswith("num_") else {}
        unknown = pa.array([stand_in(field.name, means)] * len(new), field.type)
        columns[field.name] = new if field.name == key else unknown
    schema = pa.schema([field.with_nullable(True) for field in table.schema])
    return pa.concat_tables([table.cast(schema), pa.table(columns, schema=schema)])
