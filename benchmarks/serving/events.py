"""What events cost: how many are on disk in a second, what a user takes of memory, and what a kill loses or doubles."""

from __future__ import annotations

import http.client
import json
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.serving.pages import Page
from benchmarks.serving.server import Caller, Server, encoded
from prectr.rank.serving.live import LiveRanker
from prectr.shared.seeds import generator

EVENTS_OF_USER = 7
USERS_AT_ONCE = 100  # whose events are sent in one request
EVENTS_UNDER_LOAD = 50  # in each request that may be killed
CLIENTS = 4
MOST_SECONDS = 1.5  # before a kill


class Taken(NamedTuple):
    """Events acknowledged in a second, and bytes of memory a user with seven of them takes."""

    events_per_s: float
    bytes_per_user: float


def take(server: Server, pages: Sequence[Page], users: int, second: int) -> Taken:
    """Send the events of users whom nobody has seen, each with a page of the test weeks: five candidates that were
    shown, a click on one and a purchase. What stage one says of such pairs is known."""
    draws = generator(0, "serving", "events")
    chosen = draws.integers(0, len(pages), users)
    groups = [range(start, min(start + USERS_AT_ONCE, users)) for start in range(0, users, USERS_AT_ONCE)]
    callers = [server.caller() for _ in range(CLIENTS)]
    bodies = [
        encoded({"events": [event for user in group for event in _of_user(user, pages[chosen[user]], second)]})
        for group in groups
    ]
    before, started = server.memory(), time.perf_counter()

    def send(client: int) -> None:
        for body in bodies[client::CLIENTS]:
            callers[client].send("/v1/events", body)

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(send, range(CLIENTS)))
    seconds = time.perf_counter() - started
    for caller in callers:
        caller.close()
    grown = server.memory() - before
    return Taken(round(users * EVENTS_OF_USER / seconds, 1), round(grown / users, 1))


def _of_user(user: int, page: Page, second: int) -> list[dict[str, Any]]:
    shown = [each["item_id"] for each in page.candidates][: EVENTS_OF_USER - 2]
    shown += [shown[-1]] * (EVENTS_OF_USER - 2 - len(shown))
    common = {"user_id": f"new user {user}", "query_category": page.body["query_category"], "timestamp": second}
    of_page = {**common, "query": page.body["query"], "page_id": user}
    events = [{**of_page, "kind": "impression", "item_id": item} for item in shown]
    events.append({**of_page, "kind": "click", "item_id": shown[0]})
    events.append({**common, "kind": "purchase", "item_id": shown[0]})
    return [{"event_id": f"{user}:{place}", **event} for place, event in enumerate(events)]


class Killed(NamedTuple):
    """Events that were acknowledged and are gone; that are there more than once, in the journal or in memory."""

    lost: int
    doubled: int
    acknowledged: int


class _Load:
    """Clients that send purchases as fast as they are answered, until the server is gone."""

    def __init__(self, items: Sequence[str], second: int) -> None:
        self._items, self._second = items, second
        self.acknowledged, self.unanswered = list[dict[str, Any]](), list[dict[str, Any]]()

    def bodies(self, events: Sequence[dict[str, Any]]) -> list[bytes]:
        parts = range(0, len(events), EVENTS_UNDER_LOAD)
        return [encoded({"events": list(events[start : start + EVENTS_UNDER_LOAD])}) for start in parts]

    def run(self, caller: Caller, name: str) -> None:
        for number in count():
            events = [
                {
                    "event_id": f"{name}:{number}:{place}",
                    "kind": "purchase",
                    "user_id": name,
                    "item_id": self._items[(number + place) % len(self._items)],
                    "timestamp": self._second,
                }
                for place in range(EVENTS_UNDER_LOAD)
            ]
            try:
                caller.send("/v1/events", encoded({"events": events}))
            except (OSError, http.client.HTTPException):
                self.unanswered.extend(events)
                return
            self.acknowledged.extend(events)


def kill_under_load(run: Path, journal: Path, pages: Sequence[Page], kills: int, second: int) -> Killed:
    """Kill the server (SIGKILL) at random moments while clients send; start it again on the same journal, and send all
    that was sent: what had been acknowledged must be there already, and everything once."""
    draws, lost, sent, acknowledged = generator(0, "serving", "kills"), 0, 0, 0
    items = sorted({each["item_id"] for page in pages[:100] for each in page.candidates})
    with ExitStack() as servers:
        server = servers.enter_context(Server(run, journal))
        for kill in range(kills):
            load = _killed_under(server, _Load(items, second), f"kill {kill}", float(draws.uniform(0, MOST_SECONDS)))
            server = servers.enter_context(Server(run, journal))
            caller = server.caller()
            lost += sum(_new(caller, body) for body in load.bodies(load.acknowledged))
            for body in load.bodies(load.unanswered):
                caller.send("/v1/events", body)
            caller.close()
            acknowledged, sent = acknowledged + len(load.acknowledged), sent + len(load.acknowledged + load.unanswered)
    with closing(sqlite3.connect(journal)) as connection:
        rows, distinct = connection.execute("SELECT count(*), count(DISTINCT event_id) FROM events").fetchone()
    live = LiveRanker.open(run / "ranker", run / "data", journal)
    remembered = len(live.scorer.log) - len(live.scorer.live_log.base)
    live.close()
    return Killed(lost + max(sent - remembered, 0), max(rows - distinct, remembered - sent, 0), acknowledged)


def _killed_under(server: Server, load: _Load, name: str, seconds: float) -> _Load:
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(load.run, server.caller(), f"{name} client {client}") for client in range(CLIENTS)]
        time.sleep(seconds)
        server.kill()
        for each in running:
            each.result()
    return load


def _new(caller: Caller, body: bytes) -> int:
    """How many events of a body the server did not have."""
    new: int = json.loads(caller.send("/v1/events", body))["new"]
    return new
