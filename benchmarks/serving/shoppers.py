"""People of the toy shop who search, look down a page and click what fits their need and their taste.

What they want is what the shop's own generator makes people want (data/toy.py): the level of an item for a query, a
taste in colours and materials that is each one's own, and chance. They look at less and less the further down it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prectr.data.contract import read_table
from prectr.data.toy import COLOURS, MATERIALS, SYNONYMS
from prectr.shared.seeds import generator

LOOKED_AT = 8
"""Places of a page that anybody may look at."""
WORTH = (-20.0, -1.0, 1.5, 3.5)
"""Of an item of each level, as in the shop's generator."""
NOTHING = 2.5
"""Worth of clicking on nothing."""
PATIENCE = 0.9
"""Chance to look at the next place, having looked at one."""
TASTE = 1.2
CANDIDATES = 24
SECONDS_BETWEEN = 600
_NAMES = {name: product for product, names in SYNONYMS.items() for name in names}


class Session(NamedTuple):
    """Somebody searches: what is asked of a ranker, as `/v1/rank` takes it."""

    user_id: str
    second: int
    body: dict[str, Any]


class Shoppers:
    """
    Args:
        data: the toy shop's tables. count: of shoppers, whom the log does not know.
    """

    def __init__(self, data: Path, count: int, seed: int) -> None:
        self._items = {row["item_id"]: row for row in read_table(data, "items").to_pylist()}
        queries = read_table(data, "queries", ["query", "query_category"]).to_pylist()
        self._queries = [(row["query"], row["query_category"]) for row in queries]
        self._seed = seed
        draws = generator(seed, "shoppers", "taste")
        words = [*COLOURS, *dict.fromkeys(word for group in MATERIALS.values() for word in group)]
        self._taste = {
            f"shopper {number}": dict(zip(words, draws.normal(0, TASTE, len(words)).tolist(), strict=True))
            for number in range(count)
        }

    def sessions(self, count: int, begin: int, name: str) -> Iterator[Session]:
        """Searches one after another from a time on; `name` draws others."""
        draws = generator(self._seed, "shoppers", name)
        users, ids = list(self._taste), sorted(self._items)
        for number in range(count):
            query, category = self._queries[int(draws.integers(len(self._queries)))]
            levels = np.array([self.level(query, item) for item in ids])
            # What a search engine finds: what fits rather than what does not, in no order.
            found = np.argsort(-(levels + draws.normal(0, 0.8, len(ids))))[:CANDIDATES]
            user, second = users[int(draws.integers(len(users)))], begin + number * SECONDS_BETWEEN
            candidates = [{"item_id": ids[place]} for place in draws.permutation(found).tolist()]
            more = {"query_category": category, "candidates": candidates, "timestamp": second}
            yield Session(user, second, {"query": query, "user_id": user, **more})

    def level(self, query: str, item_id: str) -> int:
        """0 another category, 1 the category, 2 the product, 3 all that was named."""
        item, words = self._items[item_id], query.split()
        product = next(_NAMES[word] for word in words if word in _NAMES)
        named = [word for word in words if word in COLOURS or any(word in group for group in MATERIALS.values())]
        if item["cat_product"] != product:
            same = any(other["category"] == item["category"] for other in self._of(product))
            return int(same)
        return 2 + all(word in (item["cat_colour"], item["cat_material"]) for word in named)

    def _of(self, product: str) -> list[dict[str, Any]]:
        return [row for row in self._items.values() if row["cat_product"] == product][:1]

    def behave(
        self, session: Session, shown: Sequence[str], draws: np.random.Generator
    ) -> tuple[list[str], str | None]:
        """What was looked at of a page, and which of it was clicked, if any."""
        looked = list(shown[: 1 + min(int(draws.geometric(1 - PATIENCE)), LOOKED_AT) - 1])
        taste = self._taste[session.user_id]
        worth = [NOTHING]
        for item_id in looked:
            item = self._items[item_id]
            level = self.level(session.body["query"], item_id)
            worth.append(WORTH[level] + taste[item["cat_colour"]] + taste[item["cat_material"]])
        chosen = int((np.array(worth) + draws.gumbel(size=len(worth))).argmax())
        return looked, None if chosen == 0 else looked[chosen - 1]
