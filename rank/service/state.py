"""One running service: the ranker that answers now, what the page needs beside it, queues, counters and the clock."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import NamedTuple

from prectr.rank.service.contest import Contest, Ranking
from prectr.rank.service.errors import RefusedError, log
from prectr.rank.service.events import UbiReader
from prectr.rank.service.interface import Appended, Event, Live, News, RankRequest, Served
from prectr.rank.service.metrics import Metrics
from prectr.rank.service.queue import Queue
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import Settings
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.serving.traffic.served import MOST_KEPT, ServedItem

EVENT_WRITERS = 4
"""Threads that hand events on: those that wait for the disk together are committed together."""
REMEMBERED = 10_000
"""Queries that are told from new ones, in counters only."""
SECONDS_TO_FOLLOW = 0.02
"""Between looks at what other processes were told; every fiftieth time, the pages that were noted are written."""
FOLLOWED_TO_FLUSH = 50


class Clock:
    """The present [seconds since 1970], the same in all processes of a machine. A request without a time comes after
    every event taken in without one, though both fall into one second and only what lies strictly before counts [O]."""

    def __init__(self, ahead: float = 0.0) -> None:
        self._ahead, self._latest, self._lock = ahead, 0, Lock()

    def now(self) -> int:
        """The time of a request."""
        return self.stamp() + 1

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


class Opened(NamedTuple):
    """What a folder is opened as: a ranker, what can be searched, what the page shows, and the challenger, if any."""

    live: Live
    catalogue: Catalogue
    window: ShopWindow
    challenger: Live | None = None


@dataclass
class Service:
    """What the routes share. Whatever is told to the ranker's memory is heard here too, in the same order, whichever
    process was told it.

    Args:
        opener: opens all of it anew, for `/v1/reload`.
    """

    opened: Opened
    settings: Settings
    opener: Callable[[], Opened] | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        most, retry = self.settings.most_waiting, self.settings.retry_after
        self.ranking = Queue("rank", 1, most, retry, self.metrics)
        self.retrieving = Queue("retrieve", 1, most, retry, self.metrics)
        self.writing = Queue("events", EVENT_WRITERS, most, retry, self.metrics)
        self.clock = Clock(self.settings.ahead)
        self.ubi = UbiReader()
        self.ready = True
        self._queries = Recent()
        self._reloading = asyncio.Lock()
        self._take_over(self.opened)

    def _take_over(self, opened: Opened) -> None:
        def hear(news: News) -> None:
            if news.items:
                opened.catalogue.put(news.items)
            for user_id in news.erased:
                opened.window.erase(user_id)
            opened.window.add(news.events)
            self.ubi.hear(news.events)
            for event in news.events:
                if isinstance(event.page_id, int) and event.item_id is not None:
                    self.metrics.happened(event.page_id, event.item_id, event.clicked)

        opened.live.subscribe(hear)
        self.opened = opened
        self.contest: Contest | None = None
        if opened.challenger is not None:
            self.contest = Contest(opened.challenger, self.settings.share, self.settings.interleaved)

    @property
    def live(self) -> Live:
        return self.opened.live

    @property
    def catalogue(self) -> Catalogue:
        return self.opened.catalogue

    @property
    def window(self) -> ShopWindow:
        return self.opened.window

    async def rank(self, request: RankRequest, page_id: int, contested: bool = False) -> Ranking:
        """Scores of a page, which later events of `page_id` are compared with.

        Args:
            contested: the page may fall to the challenger.
        """
        contest = self.contest if contested else None
        if contest is None:
            ranking = Ranking(await self.ranking.run(lambda: self.live.rank(request)))
        else:
            ranking = await self.ranking.run(lambda: contest.rank(self.live, request, page_id))
        self.metrics.candidates.observe(len(request.candidates))
        self.metrics.cache.labels("miss" if self._queries.is_new(request.query) else "hit").inc()
        self.metrics.pages.labels(ranking.ranker).inc()
        self.metrics.clicks.answered(page_id, ranking.ranked.item_id, ranking.ranked.p_click)
        return ranking

    def note(self, request: RankRequest, page_id: int, order: Sequence[int], ranking: Ranking) -> None:
        """Keep a page in the order in which it is answered."""
        items = [
            ServedItem(each.item_id, _context({**request.context, **each.attributes}), ranking.team.get(each.item_id))
            for each in (request.candidates[place] for place in order[:MOST_KEPT])
        ]
        second = request.timestamp if request.timestamp is not None else self.clock.now()
        by_whom = (request.user_id, request.query, request.query_category, ranking.ranker)
        self.live.note(Served(page_id, second, *by_whom, items))

    async def take(self, events: Sequence[Event]) -> Appended:
        """Hands events on; they are durable when this returns."""
        appended = await self.writing.run(lambda: self.live.add_events(events))
        self.metrics.events.labels("new").inc(appended.new)
        self.metrics.events.labels("repeated").inc(appended.repeated)
        return appended

    def known(self, item_ids: Sequence[str]) -> set[str]:
        """Those of the ids that the catalogue has; one that another process has just been told of is among them."""
        found = self.catalogue.known(item_ids)
        if len(found) < len(set(item_ids)):
            self.live.follow()
            found = self.catalogue.known(item_ids)
        return found

    async def follow(self) -> None:
        """As long as it runs, know soon what other processes were told, asked or not."""
        loop = asyncio.get_running_loop()
        for number in count(1):
            await asyncio.sleep(SECONDS_TO_FOLLOW)
            try:
                for live in filter(None, (self.opened.live, self.opened.challenger)):
                    await loop.run_in_executor(None, live.follow)
                if number % FOLLOWED_TO_FLUSH == 0:
                    await loop.run_in_executor(None, self.opened.live.flush)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
                log.error("following the journal: %s", type(error).__name__)

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
            old, run = self.opened, asyncio.get_running_loop().run_in_executor
            opened = await run(None, opener)
            await run(None, self._take_over, opened)
            for queue in (self.retrieving, self.ranking, self.writing):
                await queue.drain()
            await run(None, _close, old)

    def close(self) -> None:
        """Answers what it has, then commits."""
        self.ready = False
        for queue in (self.retrieving, self.ranking, self.writing):
            queue.close()
        _close(self.opened)


def _close(opened: Opened) -> None:
    for live in filter(None, (opened.live, opened.challenger)):
        live.close()
    opened.catalogue.close()


def _context(attributes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in attributes.items() if name.startswith("ctx_")}
