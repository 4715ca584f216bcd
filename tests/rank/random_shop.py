"""A small random shop for the tests of history: few users, queries and times, so that everything collides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from prectr.rank.history.slices import BehaviourLog
from prectr.rank.history.stage_one import LevelProb

DAY = 24 * 3600
NUM_LEVELS = 3
USERS = [f"U{number}" for number in range(5)] + ["U_new"]
CATEGORY_OF_QUERY = {"cola": "drinks", "tea": "drinks", "soap": "bath", "new query": "bath"}
ITEMS = pa.table(
    {
        "item_id": [f"I{number}" for number in range(8)],
        "text": [f"text {number}" for number in range(8)],
        "category": ["drinks"] * 5 + ["bath"] * 3,
        "num_price": np.linspace(1, 8, 8, dtype=np.float32),
        "cat_type": ["sodas", "sodas", "teas", "teas", "juices", "soaps", "soaps", "foams"],
        "cat_brand": ["own", "other"] * 4,
        "cat_department": ["food"] * 5 + ["care"] * 3,
    }
)
LEVELS = np.random.default_rng(0).dirichlet(np.ones(NUM_LEVELS), (len(CATEGORY_OF_QUERY), ITEMS.num_rows))


def level_prob() -> LevelProb:
    """Every pair of the shop, so that events can be added freely."""
    queries = np.repeat(list(CATEGORY_OF_QUERY), ITEMS.num_rows)
    items = np.tile(ITEMS["item_id"].to_pylist(), len(CATEGORY_OF_QUERY))
    values = list(LEVELS.reshape(-1, NUM_LEVELS).astype(np.float32))
    return LevelProb(
        pa.table({"query": queries, "item_id": items, "level_prob": pa.array(values, pa.list_(pa.float32()))})
    )


@dataclass(frozen=True, order=True)
class Event:
    """One row of `behaviours`; `page` None: an event without a page, of the type `kind`."""

    day: float
    page: int | None
    user: str
    query: str
    item: str
    clicked: bool
    kind: str = "purchase"

    @property
    def category(self) -> str:
        return CATEGORY_OF_QUERY[self.query]

    @property
    def seconds(self) -> int:
        return round(self.day * DAY)


def random_events(seed: int, num_pages: int = 40, days: int = 60) -> list[Event]:
    """Pages of three items and some purchases without a page; half of the times are shared."""
    rng = np.random.default_rng(seed)
    events = []
    for page in range(num_pages):
        day = float(rng.integers(0, days)) if rng.random() < 0.5 else float(rng.integers(0, days // 10) * 10)
        user, query = rng.choice(USERS[:-1]), rng.choice(list(CATEGORY_OF_QUERY)[:-1])
        for item in rng.choice(ITEMS["item_id"].to_pylist(), 3, replace=False):
            events.append(Event(day, page, str(user), str(query), str(item), bool(rng.random() < 0.4)))
        if rng.random() < 0.3:
            item = str(rng.choice(ITEMS["item_id"].to_pylist()))
            events.append(Event(day, None, str(user), str(query), item, True))
    return in_order(events)


def in_order(events: list[Event]) -> list[Event]:
    """In the order of a log: by (timestamp, page_id), rows without a page last, then user, item, type and click."""

    def key(event: Event) -> tuple:
        kind = "" if event.kind == "purchase" else event.kind
        return event.seconds, event.page is None, event.page or 0, event.user, event.item, kind, event.clicked

    return sorted(events, key=key)


def behaviours_table(events: list[Event]) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([event.user for event in events], pa.string()),
            "query": pa.array([None if event.page is None else event.query for event in events], pa.string()),
            "query_category": pa.array([event.category for event in events], pa.string()),
            "item_id": pa.array([event.item for event in events], pa.string()),
            "clicked": pa.array([event.clicked for event in events], pa.bool_()),
            "timestamp": pa.array([event.seconds for event in events], pa.timestamp("s")),
            "event_type": pa.array([event.kind if event.page is None else "search" for event in events], pa.string()),
            "page_id": pa.array([event.page for event in events], pa.int64()),
        }
    )


def make_log(events: list[Event]) -> BehaviourLog:
    return BehaviourLog.from_tables(ITEMS, behaviours_table(events), level_prob())


def random_impressions(seed: int, num_pages: int = 12, days: int = 60) -> pa.Table:
    """Pages of four candidates at times that events share; the last user and query are unknown to the log."""
    rng = np.random.default_rng(seed + 1000)
    pages, size = np.arange(num_pages).repeat(4), 4 * num_pages
    queries = rng.choice(list(CATEGORY_OF_QUERY), num_pages)[pages]
    return pa.table(
        {
            "page_id": pages,
            "user_id": rng.choice(USERS, num_pages)[pages],
            "query": queries,
            "query_category": [CATEGORY_OF_QUERY[query] for query in queries],
            "item_id": np.concatenate(
                [rng.choice(ITEMS["item_id"].to_pylist(), 4, replace=False) for _ in range(num_pages)]
            ),
            "timestamp": pa.array(rng.integers(0, days, num_pages)[pages] * DAY, pa.timestamp("s")),
            "clicked": rng.random(size) < 0.3,
            "split": ["train"] * size,
            "ctx_num_price": rng.uniform(1, 5, size).astype(np.float32),
            "ctx_num_display": (rng.random(size) < 0.5).astype(np.float32),
            "ctx_cat_store": rng.choice(["north", "south"], num_pages)[pages],
        }
    )


def with_event(events: list[Event], event: Event, day: float) -> list[Event]:
    """The events and one more, at `day`."""
    return in_order([*events, replace(event, day=day)])
