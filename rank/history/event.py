"""What happened in a shop, one thing at a time: the events that a live memory is fed."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from prectr.data.contract import SEARCH
from prectr.rank.history.rows import NO_PAGE

IMPRESSION, CLICK = "impression", "click"
SHOWINGS = frozenset({IMPRESSION, CLICK, SEARCH})
"""Kinds that speak of an item of a page; every other kind (purchase, cart, …) happens without one."""


class Event(NamedTuple):
    """One event. `event_id` is its sender's: an event that is sent twice counts once.

    `impression`: an item of a page was shown; `clicked` says whether it is known to have been clicked. `click`: it was
    clicked; of a page whose impression is known, that impression is from then on a clicked one. `search` is an
    impression under its name in the contract; without an item it is kept and means nothing. Any other kind (`purchase`,
    `cart`) is the contract's event without a page.

    Attributes:
        user_id, query, query_category, item_id: None: unknown. page_id: any number or name; equal ones of one second
            are one page. timestamp: seconds since 1970.
    """

    event_id: str
    kind: str
    user_id: str | None = None
    query: str | None = None
    query_category: str | None = None
    item_id: str | None = None
    page_id: int | str | None = None
    timestamp: int = 0
    clicked: bool = False

    @property
    def event_type(self) -> str:
        """The contract's name of the kind."""
        return SEARCH if self.kind in SHOWINGS else self.kind

    @property
    def is_clicked(self) -> bool:
        """Whether it counts as a click: all do that happen without a page."""
        return self.clicked or self.kind == CLICK or self.kind not in SHOWINGS

    @property
    def page(self) -> int:
        """The page as the contract's number; a name becomes its hash."""
        if self.page_id is None or self.event_type != SEARCH:
            return NO_PAGE
        if isinstance(self.page_id, int):
            return self.page_id
        return int.from_bytes(hashlib.blake2b(self.page_id.encode(), digest_size=8).digest()) >> 2


def in_order(events: list[Event]) -> list[Event]:
    """Events in the order in which the log lists them: by time, page, user, item, type and click."""
    return sorted(
        events,
        key=lambda e: (
            int(e.timestamp),
            e.page,
            e.user_id or "",
            e.item_id or "",
            e.event_type != SEARCH,
            e.is_clicked,
        ),
    )
