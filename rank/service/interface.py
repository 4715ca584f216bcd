"""What the service asks of the ranker behind it: scores that know every event so far, and a memory that takes more.

`rank.serving.live.LiveRanker` is one. The values it is given have been checked when they get there. All methods are
called from worker threads, those that score from one at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from prectr.rank.serving.journal import News
from prectr.rank.serving.live import Appended, Candidate, Event, Item, Ranked, RankRequest
from prectr.rank.serving.own_names import OwnNames
from prectr.rank.serving.traffic.served import Served

__all__ = ["Appended", "Candidate", "Event", "Item", "Live", "News", "RankRequest", "Ranked", "Served", "Value"]

Value = str | float | None
"""Of an attribute: `cat_*` and `ctx_cat_*` are strings, `num_*` and `ctx_num_*` numbers."""


class Live(Protocol):
    """A trained ranker with live memory."""

    @property
    def level_names(self) -> list[str]: ...

    @property
    def own_names(self) -> OwnNames:
        """What the shop calls the columns of the contract."""

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

    def note(self, page: Served) -> None:
        """Keeps a page that was served; returns at once."""

    def flush(self) -> None:
        """Writes what was noted."""

    def follow(self) -> None:
        """Takes in what other processes were told."""

    def subscribe(self, hear: Callable[[News], None]) -> None:
        """Has `hear` told, in this call and from then on, whatever the memory is told beyond its tables."""

    def close(self) -> None:
        """Commits what is open."""
