"""Events as the log knows them, of bodies of our own shape and of OpenSearch's User Behavior Insights."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from prectr.rank.service.bodies import MOST_PAGE_ID, EventBody, EventsBody, UbiEvent, UbiQuery
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.interface import Event

IMPRESSION, CLICK, PURCHASE = "impression", "click", "purchase"
UBI_KINDS = {
    "impression": IMPRESSION, "view": IMPRESSION, "click": CLICK, "item_click": CLICK, "product_click": CLICK,
    "purchase": PURCHASE, "item_purchase": PURCHASE,
}  # fmt: skip
PREFIX = "ubi:"
"""Of the ids of events that came as UBI's."""
MOST_QUERIES = 50_000
"""UBI's events name their query by an id: so many queries are kept for those still to come."""


def own_events(bodies: Sequence[EventBody], user_of: Callable[[str | None], str | None], now: int) -> list[Event]:
    """Events of our own shape. A purchase stands by itself: what was shown under a query is clicked or not.

    Raises:
        RefusedError: an impression or a click has no query.
    """
    events = []
    for number, body in enumerate(bodies):
        bought = body.kind == PURCHASE
        if body.query is None and not bought:
            raise RefusedError(422, f"events.{number}: a {body.kind} has no query: send what was typed.")
        events.append(
            Event(
                event_id=body.event_id,
                kind=body.kind,
                user_id=user_of(body.user_id),
                query=None if bought else body.query,
                query_category=body.query_category,
                item_id=body.item_id,
                page_id=None if bought else body.page_id,
                timestamp=now if body.timestamp is None else body.timestamp,
                clicked=body.kind != IMPRESSION,
            )
        )
    return events


class _Query(NamedTuple):
    text: str
    user_id: str | None


class UbiReader:
    """Puts UBI's queries and events together, though they come apart, or to two processes."""

    def __init__(self) -> None:
        self._queries, self._lock = OrderedDict[int, _Query](), Lock()  # by page

    def read(self, body: EventsBody, now: int) -> tuple[list[Event], int]:
        """The events of a body, and how many were of no use: other actions, no item, a query nobody knows."""
        events = [event for query in body.ubi_queries for event in self._shown(query, now)]
        found = [self._event(event, now) for event in body.ubi_events]
        return events + [event for event in found if event], found.count(None)

    def hear(self, events: Sequence[Event]) -> None:
        """What was shown under a query says what it was."""
        for event in events:
            if event.event_id.startswith(PREFIX) and isinstance(event.page_id, int) and event.query is not None:
                self._remember(event.page_id, _Query(event.query, event.user_id))

    def _remember(self, page: int, query: _Query) -> None:
        with self._lock:
            self._queries[page] = query
            while len(self._queries) > MOST_QUERIES:
                self._queries.popitem(last=False)

    def _shown(self, query: UbiQuery, now: int) -> list[Event]:
        """What a query returned was shown."""
        user = query.user_id or query.client_id
        self._remember(page_of(query.query_id), _Query(query.user_query, user))
        time = now if query.timestamp is None else query.timestamp
        hits = dict.fromkeys(query.query_response_hit_ids)
        return [self._row(IMPRESSION, query.query_id, item_id, query.user_query, user, time) for item_id in hits]

    def _event(self, event: UbiEvent, now: int) -> Event | None:
        kind = UBI_KINDS.get(event.action_name.lower())
        about = event.event_attributes.object if event.event_attributes else None
        if kind is None or about is None or about.object_id is None:
            return None
        known = self._queries.get(page_of(event.query_id)) if event.query_id else None
        user = event.user_id or event.client_id or (known.user_id if known else None)
        time = now if event.timestamp is None else event.timestamp
        query = event.user_query or (known.text if known else None)
        if kind != PURCHASE and (query is None or event.query_id is None):
            return None
        return self._row(kind, event.query_id or f"{user}:{event.timestamp}", about.object_id, query, user, time)

    def _row(self, kind: str, query_id: str, item_id: str, query: str | None, user: str | None, time: int) -> Event:
        bought = kind == PURCHASE
        return Event(
            # UBI's events have no id: one action on one item of one page is one event.
            event_id=f"{PREFIX}{_digest(kind, query_id, item_id).hex()[:32]}",
            kind=kind,
            user_id=user,
            query=None if bought else query,
            query_category=None,
            item_id=item_id,
            page_id=None if bought else page_of(query_id),
            timestamp=time,
            clicked=kind != IMPRESSION,
        )


def page_of(query_id: str) -> int:
    """The page that a UBI query's result is: a number made of its id."""
    return int.from_bytes(_digest(query_id)[:8]) & MOST_PAGE_ID


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
