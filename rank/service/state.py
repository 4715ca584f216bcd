"""One running service: the ranker that answers now, what the page needs beside it, queues, counters and the clock."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from prectr.rank.service.errors import RefusedError
from prectr.rank.service.events import UbiReader
from prectr.rank.service.interface import Appended, Event, Live, Ranked, RankRequest
from prectr.rank.service.metrics import Metrics
from prectr.rank.service.queue import Queue
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import Settings
from prectr.rank.service.shop_window import ShopWindow

EVENT_WRITERS = 4
"""Threads that hand events on: those that wait for the disk together are committed together."""
REMEMBERED = 10_000
"""Queries and event ids that are told from new ones, in counters only."""


class Clock:
    """The present [seconds since 1970]. A request without a time comes after every event taken in without one, though
    both fall into one second and only what lies strictly before counts [O]."""

    def __init__(self, begins: int | None = None) -> None:
        self._ahead = 0.0 if begins is None else begins + 1 - time.time()
        self._latest, self._lock = 0, Lock()

    def now(self) -> int:
        """The time of a request."""
        with self._lock:
            return max(int(time.time() + self._ahead), self._latest + 1)

    def stamp(self) -> int:
        """The time of an event."""
        with self._lock:
            self._latest = max(int(time.time() + self._ahead), self._latest)
            return self._latest


class Recent:
    """The keys seen last."""

    def __init__(self) -> None:
        self._keys, self._lock = OrderedDict[str, None](), Lock()

    def is_new(self, key: str) -> bool:
        """Whether `key` is not among them; now it is."""
        with self._lock:
            new = key not in self._keys
            self._keys[key] = None
            self._keys.move_to_end(key)
            if len(self._keys) > REMEMBERED:
                self._keys.popitem(last=False)
            return new


@dataclass
class Service:
    """What the routes share.

    Args:
        opener: opens the ranker anew, for `/v1/reload`.
    """

    live: Live
    settings: Settings
    catalogue: Catalogue
    window: ShopWindow
    opener: Callable[[], Live] | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        most, retry = self.settings.most_waiting, self.settings.retry_after
        self.ranking = Queue("rank", 1, most, retry, self.metrics)
        self.retrieving = Queue("retrieve", 1, most, retry, self.metrics)
        self.writing = Queue("events", EVENT_WRITERS, most, retry, self.metrics)
        self.clock = Clock(self.window.newest if self.settings.log_time else None)
        self.ubi = UbiReader()
        self.ready = True
        self._queries, self._events = Recent(), Recent()
        self._reloading = asyncio.Lock()

    async def rank(self, request: RankRequest, page_id: int) -> Ranked:
        """Scores of a page, which later events of `page_id` are compared with."""
        ranked = await self.ranking.run(lambda: self.live.rank(request))
        self.metrics.candidates.observe(len(request.candidates))
        self.metrics.cache.labels("miss" if self._queries.is_new(request.query) else "hit").inc()
        self.metrics.clicks.answered(page_id, ranked.item_id, ranked.p_click)
        return ranked

    async def take(self, events: Sequence[Event]) -> Appended:
        """Hands events on; they are durable when this returns."""
        appended = await self.writing.run(lambda: self.live.add_events(events))
        new = [event for event in events if self._events.is_new(event.event_id)]
        self.window.add(new)
        for event in new:
            if isinstance(event.page_id, int) and event.item_id is not None:
                self.metrics.clicks.happened(event.page_id, event.item_id, event.clicked)
        self.metrics.events.labels("new").inc(appended.new)
        self.metrics.events.labels("repeated").inc(appended.repeated)
        return appended

    async def reload(self) -> None:
        """Opens the ranker's folder again and answers by it from then on; the old one finishes what it has.

        Raises:
            RefusedError: it is being reloaded already, or there is no folder.
            PrectrError: the folder is not a ranker's.
        """
        opener = self.opener
        if opener is None:
            raise RefusedError(409, "this service was not started from a folder: start it by `python -m rank serve`.")
        if self._reloading.locked():
            raise RefusedError(409, "it is being reloaded already: wait until that has answered.")
        async with self._reloading:
            old, self.live = self.live, await asyncio.get_running_loop().run_in_executor(None, opener)
            await self.ranking.drain()
            await self.writing.drain()
            old.close()

    def close(self) -> None:
        """Answers what it has, then commits."""
        self.ready = False
        for queue in (self.retrieving, self.ranking, self.writing):
            queue.close()
        self.live.close()
        self.catalogue.close()
