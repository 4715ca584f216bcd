"""A ranker with live memory that is made in no time: relevance is shared words, and every click on an item counts."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from prectr.rank.service.interface import Appended, Event, Item, News, Ranked, RankRequest, Served
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.service.state import Opened
from prectr.rank.serving.journal import BEGINNING
from prectr.rank.serving.own_names import OwnNames

LEVELS = ["irrelevant", "related", "substitute", "exact"]
ITEMS = pa.table(
    {
        "item_id": ["1", "2", "3", "4"],
        "text": ["orange juice 1 liter", "orange soda 2 liter", "dog food", "<img src=x onerror=alert(1)> juice"],
        "category": ["drinks", "drinks", "pets", None],
        "num_price": pa.array([1.5, 2.0, 8.0, None], pa.float32()),
        "cat_brand": ["Sun", "Fizz", None, None],
    }
)
BEHAVIOURS = pa.table(
    {
        "user_id": ["secret-7", "secret-7", "secret-8", "secret-8"],
        "query": ["juice", "juice", "orange juice", None],
        "item_id": ["1", "2", "1", "3"],
        "clicked": [True, False, True, True],
        "timestamp": pa.array([1_000, 1_000, 2_000, 3_000], pa.timestamp("s")),
        "page_id": pa.array([1, 1, 2, None], pa.int64()),
    }
)


class FakeLive:
    """Keeps what it was given."""

    level_names = LEVELS
    own_names = OwnNames()

    def __init__(self) -> None:
        self.events, self.items = dict[str, Event](), {row["item_id"]: row["text"] for row in ITEMS.to_pylist()}
        self.requests, self.erased, self.closed = list[RankRequest](), list[str](), False
        self.error: Exception | None = None
        self.hearers, self.pages = list[Callable[[News], None]](), list[Served]()
        self.gate = threading.Event()
        self.gate.set()

    def rank(self, request: RankRequest) -> Ranked:
        self.gate.wait(10)
        if self.error:
            raise self.error
        self.requests.append(request)
        query = set(request.query.lower().split())
        texts = [each.text or self.items[each.item_id] for each in request.candidates]
        share = np.array([len(query & set(text.lower().split())) / len(query) for text in texts])
        level_prob = np.stack([0.7 * (1 - share), 0.3 * (1 - share), 0.3 * share, 0.7 * share], 1)
        seen = [
            event
            for event in self.events.values()
            if event.clicked and event.timestamp < (request.timestamp or 0) and event.user_id == request.user_id
        ]
        clicks = np.array([sum(event.item_id == each.item_id for event in seen) for each in request.candidates])
        given = 1 / (1 + np.exp(-(np.array([-3.0, -2, -1, 0]) + clicks[:, None])))
        p_click = (level_prob * given).sum(1)
        ids = [each.item_id for each in request.candidates]
        return Ranked(ids, p_click, level_prob, given, 0.1 * clicks, np.argsort(-p_click, kind="stable"))

    def explain(self, request: RankRequest, top_events: int, top_features: int) -> dict[str, Any]:
        ranked = self.rank(request)
        candidates = [
            {"item_id": ranked.item_id[row], "p_click": float(ranked.p_click[row]), "alpha": float("nan")}
            for row in ranked.order.tolist()
        ]
        return {
            "query": request.query,
            "user_id": request.user_id,
            "page": 0,
            "split": "test",
            "candidates": candidates,
        }

    def add_events(self, events: Sequence[Event]) -> Appended:
        new = {event.event_id: event for event in events if event.event_id not in self.events}
        self.events.update(new)
        self.tell([], [], list(new.values()))
        return Appended(len(new), len(events) - len(new))

    def put_items(self, items: Sequence[Item]) -> None:
        self.items.update({item.item_id: item.text for item in items})
        self.tell([], list(items), [])

    def erase_user(self, user_id: str) -> None:
        self.erased.append(user_id)
        self.events = {name: event for name, event in self.events.items() if event.user_id != user_id}
        self.tell([user_id], [], [])

    def note(self, page: Served) -> None:
        self.pages.append(page)

    def flush(self) -> None:
        pass

    def follow(self) -> None:
        pass

    def subscribe(self, hear: Callable[[News], None]) -> None:
        self.hearers.append(hear)

    def tell(self, erased: list[str], items: list[Item], events: list[Event]) -> None:
        for hear in self.hearers:
            hear(News(erased, items, events, BEGINNING))

    def close(self) -> None:
        self.closed = True


def catalogue() -> Catalogue:
    return Catalogue.of_table(ITEMS)


def window() -> ShopWindow:
    return ShopWindow.of_table(BEHAVIOURS)


def opened() -> Opened:
    """All anew."""
    return Opened(FakeLive(), catalogue(), window())
