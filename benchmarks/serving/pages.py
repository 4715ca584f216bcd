"""What a server is asked: pages of the test weeks with what the run predicts of them, and the events of those weeks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import SEARCH, read_table
from prectr.rank.history.rows import seconds_of
from prectr.shared.errors import PrectrError

KINDS = ("purchase",)  # of events without a page, that `/v1/events` takes
MOST_EVENTS = 2_000  # in one request; a second with more of them goes in one


@dataclass(frozen=True)
class Page:
    """A page of the test weeks.

    Attributes:
        second: when it was shown, since 1970. body: of `/v1/rank`. p_click [n]: as the run predicts it. clicked [n].
    """

    second: int
    body: dict[str, Any]
    p_click: np.ndarray
    clicked: np.ndarray

    @property
    def candidates(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["candidates"]
        return found


def judged_pages(run: Path) -> list[Page]:
    """The pages of the test weeks, in the order of time.

    Raises:
        PrectrError: the run has predicted other impressions than its data folder has.
    """
    impressions = read_table(run / "data", "impressions").filter(pc.field("split") == "test")
    predicted = pq.read_table(run / "ranker" / "predictions.parquet", columns=["impression_id", "split", "p_click"])
    predicted = predicted.filter(pc.field("split") == "test")
    p_click = dict(zip(predicted["impression_id"].to_pylist(), predicted["p_click"].to_pylist(), strict=True))
    seconds = pa.array(seconds_of(impressions["timestamp"]))
    impressions = impressions.set_column(impressions.column_names.index("timestamp"), "timestamp", seconds)
    pages: dict[int, list[dict[str, Any]]] = {}
    for row in impressions.to_pylist():
        if row["impression_id"] not in p_click:
            raise PrectrError(
                f"{run / 'ranker' / 'predictions.parquet'} lacks impression {row['impression_id']} of the test weeks: "
                "run `python -m rank run` on this data set."
            )
        pages.setdefault(row["page_id"], []).append(row)
    return sorted((_page(rows, p_click) for rows in pages.values()), key=lambda page: page.second)


def _page(rows: Sequence[dict[str, Any]], p_click: dict[int, float]) -> Page:
    first = rows[0]
    context = [name for name in first if name.startswith("ctx_")]
    body = {
        "query": first["query"],
        "candidates": [
            {"item_id": row["item_id"], "attributes": {name: row[name] for name in context}} for row in rows
        ],
        **{name: first[name] for name in ("user_id", "query_category", "timestamp")},
    }
    predicted = np.array([p_click[row["impression_id"]] for row in rows])
    return Page(first["timestamp"], body, predicted, np.array([row["clicked"] for row in rows]))


class Larger:
    """Pages of any size: a page's own candidates, then what stage one has judged under its query, then any items.

    Args:
        second: the time they are asked for: the moment after the log's last event, so that all of it is seen.
    """

    def __init__(self, run: Path, second: int) -> None:
        stored = pq.read_table(run / "level_prob" / "level_prob.parquet", columns=["query", "item_id"])
        self._judged = dict[str, list[str]]()
        for query, item in zip(stored["query"].to_pylist(), stored["item_id"].to_pylist(), strict=True):
            self._judged.setdefault(query, []).append(item)
        self._items = read_table(run / "data", "items", ["item_id"])["item_id"].to_pylist()
        self._second = second

    def of(self, page: Page, size: int, draws: np.random.Generator) -> dict[str, Any]:
        """The page with `size` candidates, or as many as there are items, each with the context of one of its own."""
        others = (self._items[place] for place in draws.permutation(len(self._items)))
        own = [each["item_id"] for each in page.candidates]
        ids = dict.fromkeys([*own, *self._judged.get(page.body["query"], []), *others])
        candidates = [
            {"item_id": item, "attributes": page.candidates[place % len(own)]["attributes"]}
            for place, item in zip(range(size), ids, strict=False)
        ]
        return {**page.body, "candidates": candidates, "timestamp": self._second}


def cut(run: Path, folder: Path, second: int) -> list[list[dict[str, Any]]]:
    """Write a data folder whose log ends strictly before a time; returns the events from then on, second by second, as
    `/v1/events` takes them.

    Raises:
        PrectrError: there is a type of event that the service does not take.
    """
    behaviours = read_table(run / "data", "behaviours")
    seconds = seconds_of(behaviours["timestamp"])
    folder.mkdir(parents=True)
    pq.write_table(behaviours.filter(pa.array(seconds < second)), folder / "behaviours.parquet")
    pq.write_table(read_table(run / "data", "items"), folder / "items.parquet")
    later = np.flatnonzero(seconds >= second)
    rows = behaviours.take(pa.array(later)).drop_columns("timestamp").to_pylist()
    for row in rows:
        if row["event_type"] not in (SEARCH, *KINDS):
            raise PrectrError(f"behaviours.parquet: events of type {row['event_type']!r} cannot be sent over HTTP.")
    events = [
        _event(number, row, at) for number, row, at in zip(later.tolist(), rows, seconds[later].tolist(), strict=True)
    ]
    return [list(together) for _, together in groupby(events, key=lambda event: event["timestamp"])]


def _event(number: int, row: dict[str, Any], second: int) -> dict[str, Any]:
    shown = row["event_type"] == SEARCH
    kind = ("click" if row["clicked"] else "impression") if shown else row["event_type"]
    names = ("user_id", "query", "query_category", "item_id", "page_id")
    return {"event_id": f"row {number}", "kind": kind, "timestamp": second, **{name: row[name] for name in names}}


def requests_of(seconds: Sequence[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Bodies of `/v1/events`; a second's events go together, which keeps them in the log's order."""
    events: list[dict[str, Any]] = []
    for together in seconds:
        if events and len(events) + len(together) > MOST_EVENTS:
            yield {"events": events}
            events = []
        events = events + together
    if events:
        yield {"events": events}
