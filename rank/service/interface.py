"""What the service asks of the ranker behind it: scores that know every event so far, and a memory that takes more.

The values of these classes have been checked when they get there. All methods are called from worker threads, those
that score from one at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Value = str | float | None
"""Of an attribute: `cat_*` and `ctx_cat_*` are strings, `num_*` and `ctx_num_*` numbers."""


@dataclass(frozen=True)
class Candidate:
    """An item to be ranked: of the catalogue, or with its text. `attributes` hold `category`, `cat_*`, `num_*` and
    `ctx_*`; what is left out is as in the catalogue, or unknown."""

    item_id: str
    text: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class RankRequest:
    """A page to be ranked. `timestamp` [seconds since 1970] decides what it may see: events strictly before. `context`
    holds `ctx_*` of the whole page."""

    query: str
    candidates: Sequence[Candidate]
    user_id: str | None
    timestamp: int | None
    query_category: str | None
    context: Mapping[str, Value]


@dataclass(frozen=True)
class Ranked:
    """Scores of n candidates in the order of the request; `order` [n] best first, `level_prob` [n, K]."""

    item_id: Sequence[str]
    p_click: np.ndarray
    level_prob: np.ndarray
    p_click_given_level: np.ndarray
    tau: np.ndarray
    order: np.ndarray


@dataclass(frozen=True)
class Event:
    """Something a shopper did or was shown. `kind` "search": a row of a result page, clicked or not; any other, such as
    "purchase", stands without a page. Taken once per `event_id`."""

    event_id: str
    kind: str
    user_id: str | None
    query: str | None
    query_category: str | None
    item_id: str
    page_id: int | None
    timestamp: int
    clicked: bool


@dataclass(frozen=True)
class Item:
    """A row of the catalogue."""

    item_id: str
    text: str
    category: str | None
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Appended:
    """How many events were new, and how many had been taken before."""

    new: int
    repeated: int


class Live(Protocol):
    """A trained ranker with live memory."""

    level_names: Sequence[str]

    def rank(self, request: RankRequest) -> Ranked:
        """Raises: PrectrError: a candidate is neither in the catalogue nor has a text."""

    def explain(self, request: RankRequest, top_events: int, top_features: int) -> dict[str, Any]:
        """What `rank.serving.explain.explain_page` says of the page."""

    def add_events(self, events: Sequence[Event]) -> Appended:
        """Returns when they are on disk and in the next answer."""

    def put_items(self, items: Sequence[Item]) -> None:
        """Adds items to the catalogue, or replaces them."""

    def erase_user(self, user_id: str) -> None:
        """Forgets every event of a user."""

    def close(self) -> None:
        """Commits what is open."""
