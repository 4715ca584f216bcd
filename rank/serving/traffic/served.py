"""What was answered: a page as it was served, and by which ranker. [O]

Events say what was shown and clicked; which ranker put it there, at which place and in which context, only the page
that was served knows. `absorb` makes impressions of the two, `compare` says whose items were clicked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

CHAMPION, CHALLENGER, INTERLEAVED = "champion", "challenger", "interleaved"
MOST_KEPT = 50
"""Places of a page that are kept: what stands below is hardly ever looked at."""


class ServedItem(NamedTuple):
    """An item at its place: `context`, its `ctx_*` values; `team`, of an interleaved page, whose choice it was."""

    item_id: str
    context: Mapping[str, Any]
    team: str | None = None


class Served(NamedTuple):
    """A page, its items in the order in which they were answered; `ranker` is who ordered them."""

    page_id: int
    timestamp: int
    user_id: str | None
    query: str
    query_category: str | None
    ranker: str
    items: list[ServedItem]

    def row(self) -> tuple[Any, ...]:
        """As the journal keeps it."""
        items = [[item.item_id, dict(item.context), item.team] for item in self.items[:MOST_KEPT]]
        return (*self[:-1], json.dumps(items, ensure_ascii=False, separators=(",", ":")))

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """What `row` gave."""
        *page, items = row
        return cls._make([*page, [ServedItem(*item) for item in json.loads(items)]])
