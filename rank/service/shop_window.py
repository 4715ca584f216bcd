"""What the page shows beside scores: queries people typed, shoppers with a past, and clicks under a query.

Counted once from the log and carried on with every event. Scores know nothing of it: what they see is `Live`'s.
A shopper of the log goes by a name of the page's own, `shopper:3`, so that no user id leaves the service.
"""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.rank.service.interface import Event

SHOPPERS, PAST = 8, 12
"""How many shoppers the page offers, and how much of the past of each it shows."""
HANDLE = "shopper:"
MOST_QUERIES = 20_000


@dataclass
class Shopper:
    """A shopper of the log: the user's id, how often it clicked, and the latest clicks, newest first."""

    user_id: str
    clicks: int
    past: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=PAST))


class LoggedClicks:
    """Clicks under each query of a log, in columns, not as an object for every query and item."""

    def __init__(self, clicked: pa.Table) -> None:
        """`clicked`: columns query, which no row lacks, and item_id."""
        pairs = clicked.group_by(["query", "item_id"]).aggregate([([], "count_all")]).sort_by("query").combine_chunks()
        queries = pairs["query"].combine_chunks().dictionary_encode()
        self._number = {query: number for number, query in enumerate(queries.dictionary.to_pylist())}
        self._begin = np.searchsorted(queries.indices.to_numpy(), np.arange(len(self._number) + 1))
        self._of_pairs = pairs.select(["item_id", "count_all"])

    def under(self, query: str) -> Counter[str]:
        if (number := self._number.get(query)) is None:
            return Counter()
        begin, end = self._begin[number : number + 2].tolist()
        items, counts = (column.to_pylist() for column in self._of_pairs.slice(begin, end - begin).columns)
        return Counter(dict(zip(items, counts, strict=True)))


class ShopWindow:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._typed = Counter[str]()
        self._logged: LoggedClicks | None = None
        self._clicks = defaultdict[str, Counter[str]](Counter)  # since then
        self._shoppers = dict[str, Shopper]()

    @classmethod
    def of_table(cls, behaviours: pa.Table) -> "ShopWindow":
        """Of the contract's behaviours: columns user_id, query, item_id, clicked, timestamp and page_id."""
        window = cls()
        if not behaviours.num_rows:
            return window
        pages = behaviours.select(["query", "page_id"]).filter(pc.field("query").is_valid())
        typed = pages.group_by("query").aggregate([("page_id", "count_distinct")])
        queries, pages_of_them = (typed[name].to_pylist() for name in ("query", "page_id_count_distinct"))
        window._typed.update(dict(zip(queries, pages_of_them, strict=True)))
        clicked = behaviours.filter(pc.field("clicked"))
        window._logged = LoggedClicks(clicked.filter(pc.field("query").is_valid()))
        window._choose(clicked)
        return window

    def _choose(self, clicked: pa.Table) -> None:
        """Shoppers from few clicks to many, so that the page shows what a past is worth."""
        users = clicked.filter(pc.field("user_id").is_valid()).group_by("user_id").aggregate([([], "count_all")])
        users = users.sort_by([("count_all", "ascending"), ("user_id", "ascending")])
        if not users.num_rows:
            return
        places = np.unique(np.linspace(0, users.num_rows - 1, SHOPPERS + 2).astype(int)[1:-1])
        for number, user in enumerate(users.take(pa.array(places)).to_pylist(), 1):
            self._shoppers[f"{HANDLE}{number}"] = shopper = Shopper(user["user_id"], user["count_all"])
            rows = (
                clicked.filter(pc.field("user_id") == user["user_id"]).sort_by("timestamp").select(["query", "item_id"])
            )
            shopper.past.extendleft(rows.slice(max(0, rows.num_rows - PAST)).to_pylist())

    def add(self, events: Sequence[Event]) -> None:
        """Events that are new."""
        with self._lock:
            handles = {shopper.user_id: shopper for shopper in self._shoppers.values()}
            for event in events:
                if not event.clicked or event.item_id is None:
                    continue
                if event.query is not None:
                    self._typed[event.query] += 1
                    self._clicks[event.query][event.item_id] += 1
                if event.user_id in handles:
                    shopper = handles[event.user_id]
                    shopper.clicks += 1
                    shopper.past.appendleft({"query": event.query, "item_id": event.item_id})

    def erase(self, user_id: str) -> None:
        """Forgets a shopper of the page; counts under queries name nobody and stay."""
        with self._lock:
            for handle in [name for name, shopper in self._shoppers.items() if shopper.user_id == user_id]:
                del self._shoppers[handle]

    def suggest(self, start: str, most: int = 8) -> list[str]:
        """Logged queries of which a word begins with what was typed so far, the most frequent first."""
        start = start.strip().lower()
        with self._lock:
            known = self._typed.most_common(MOST_QUERIES)
        fits = (query for query, _ in known if not start or f" {query.lower()}".find(f" {start}") >= 0)
        return [query for _, query in zip(range(most), fits, strict=False)]

    def clicks_under(self, query: str) -> Mapping[str, int]:
        """How often each item was clicked under exactly this query."""
        logged = Counter[str]() if self._logged is None else self._logged.under(query)
        with self._lock:
            logged.update(self._clicks.get(query, {}))
        return logged

    def user_of(self, name: str | None) -> str | None:
        """The user behind a name of the page; any other name is the user's own id."""
        with self._lock:
            shopper = self._shoppers.get(name) if name else None
        return shopper.user_id if shopper else name

    def shoppers(self) -> list[tuple[str, int, list[dict[str, Any]]]]:
        """Name, clicks and latest clicks of each shopper, from the one with the fewest clicks on."""
        with self._lock:
            return [(name, shopper.clicks, list(shopper.past)) for name, shopper in self._shoppers.items()]
