"""A log of any length to measure with, written a part at a time: real in its skew, invented in everything else.

Users, queries and the popularity of items are skewed as logs are (log-uniform ranks, which is Zipf with exponent 1);
users and distinct queries grow with the log, one of each per hundred impressions, and the catalogue does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.contract import TableWriter, write_table
from prectr.rank.history.score_log import logged_pairs
from prectr.shared.run.console import progress_bar
from prectr.shared.seeds import generator

ITEMS, CATEGORIES, SHOWN, LEVELS = 50_000, 100, 10, 4
IMPRESSIONS_PER_USER = IMPRESSIONS_PER_QUERY = 100
BOUGHT_ELSEWHERE = 0.03  # events without a page, per impression
FIRST_SECOND, SECONDS = 1_700_000_000, 365 * 24 * 3600
PAGES_AT_ONCE = 1 << 14
WORDS = np.array([f"{onset}{vowel}{coda}" for onset in "bcdfghklmnprstvw" for vowel in "aeiou" for coda in "lmnrstx"])


@dataclass(frozen=True)
class Log:
    """Where a log of `rows` impressions lies: `data/` in the contract's tables, `level_prob/level_prob.parquet`."""

    folder: Path
    rows: int
    seed: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def level_prob(self) -> Path:
        return self.folder / "level_prob" / "level_prob.parquet"

    def write(self) -> None:
        """Write all tables."""
        self.data.mkdir(parents=True, exist_ok=True)
        rng = generator(self.seed, "scale", "catalogue")
        category = np.sort(_zipf(rng, CATEGORIES, ITEMS))
        begin = np.searchsorted(category, np.arange(CATEGORIES + 1))
        texts = WORDS[rng.integers(0, len(WORDS), (ITEMS, 6))]
        price = rng.lognormal(1.5, 0.8, ITEMS).astype(np.float32)
        write_table(self.data, "items", {
            "item_id": _names("i", np.arange(ITEMS)), "text": [" ".join(words) for words in texts],
            "category": _names("c", category), "num_price": price,
            "cat_brand": _names("b", rng.integers(0, 500, ITEMS)),
            "cat_type": _names("t", category * 20 + rng.integers(0, 20, ITEMS)),
        })  # fmt: skip
        levels = [f"level {level}" for level in range(LEVELS)]
        pairs = {
            "query": [_query(np.array([n]))[0] for n in range(LEVELS)],
            "item_id": [f"i{n}" for n in range(LEVELS)],
        }
        pairs |= {"item_text": pa.nulls(LEVELS, pa.string()), "level": list(range(LEVELS)), "split": ["train"] * LEVELS}
        write_table(self.data, "pairs", pairs, levels)
        with (
            TableWriter(self.data, "impressions") as impressions,
            TableWriter(self.data, "behaviours") as behaviours,
            progress_bar(f"a log of {self.rows:,} impressions", self.rows, "impressions") as advance,
        ):
            for page, first_row in _batches(self.rows // SHOWN):
                shown, events = self._pages(page, first_row, begin, price)
                impressions.write(shown)
                behaviours.write(events)
                advance(len(page) * SHOWN)

    def _pages(
        self, page: np.ndarray, first_row: int, begin: np.ndarray, price: np.ndarray
    ) -> tuple[dict[str, object], dict[str, object]]:
        """The impressions of some pages, and their events with purchases elsewhere among them."""
        rng = generator(self.seed, "scale", "pages", int(page[0]))
        pages, num_pages = len(page), self.rows // SHOWN
        # In the order of time; each page somewhere in its share of the year.
        second = FIRST_SECOND + ((page + rng.random(pages)) * SECONDS / num_pages).astype(np.int64)
        user = _zipf(rng, self.rows // IMPRESSIONS_PER_USER, pages)
        query = _zipf(rng, self.rows // IMPRESSIONS_PER_QUERY, pages)
        category = _scattered(query, CATEGORIES)
        size = np.diff(begin)[category][:, None]
        rank = np.sort(np.minimum(_log_uniform(rng, np.broadcast_to(size, (pages, SHOWN))), size - SHOWN), 1)
        place = np.arange(SHOWN)
        rank = np.maximum.accumulate(rank - place, 1) + place  # no item twice
        item = begin[category][:, None] + (rank + _scattered(query, 1 << 30)[:, None]) % size
        taste = _scattered(user[:, None] * 1_000_003 + item, 8) == 0
        clicked = rng.random((pages, SHOWN)) < 0.16 / (1 + 0.3 * place) * (1 + 2 * taste)
        position = np.broadcast_to(place, item.shape).ravel()
        page_of, item, clicked = np.repeat(np.arange(pages), SHOWN), item.ravel(), clicked.ravel()
        hour = second // 3600 % 24 // 6
        shown = {
            "impression_id": first_row + np.arange(len(item)), "page_id": page[page_of],
            "user_id": _names("u", user[page_of]), "query": _query(query)[page_of],
            "query_category": _names("c", category[page_of]), "item_id": _names("i", item), "position": position,
            "timestamp": pa.array(second[page_of], pa.timestamp("s")), "clicked": clicked,
            "split": pa.array(["train"]).take(pa.array(np.zeros(len(item), np.int8))),
            "ctx_num_price": price[item] * rng.choice([1.0, 0.9, 0.8], len(item)),
            "ctx_num_discount": rng.random(len(item)).astype(np.float32),
            "ctx_cat_hour": _names("h", hour[page_of]),
        }  # fmt: skip
        others = np.sort(rng.choice(pages, round(pages * SHOWN * BOUGHT_ELSEWHERE)))
        bought = item.reshape(pages, SHOWN)[others, rng.integers(0, SHOWN, len(others))]
        of = np.concatenate([page_of, others])
        search = np.arange(len(of)) < len(item)
        items, clicks = np.concatenate([item, bought]), np.concatenate([clicked, np.ones(len(others), bool)])
        order = np.lexsort((np.where(search, page[of], np.iinfo(np.int64).max), second[of]))
        of, search, items, clicks = of[order], search[order], items[order], clicks[order]
        events = {
            "user_id": _names("u", user[of]), "query": pa.array(_query(query)[of], mask=~search),
            "query_category": _names("c", category[of]), "item_id": _names("i", items), "clicked": clicks,
            "timestamp": pa.array(second[of], pa.timestamp("s")), 
            "event_type": pa.array(["purchase", "search"]).take(pa.array(search.astype(np.int8))),
            "page_id": pa.array(page[of], mask=~search),
        }  # fmt: skip
        return shown, events

    def write_level_prob(self) -> None:
        """Stage one's table, by its own pass over the log, a checksum in the place of the encoder's probabilities."""
        self.level_prob.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(self.level_prob, _LEVEL_PROB, compression="zstd") as writer:
            for number, pairs in enumerate(logged_pairs(self.data, self.level_prob.parent)):
                rng = generator(self.seed, "scale", "level_prob", number)
                prob = rng.dirichlet(np.ones(LEVELS) / 2, len(pairs)).astype(np.float32)
                lists = pa.FixedSizeListArray.from_arrays(pa.array(prob.ravel()), LEVELS)
                columns = [pairs["query"], pairs["item_id"], lists.cast(pa.list_(pa.float32()))]
                writer.write_table(pa.table(columns, schema=_LEVEL_PROB))


_LEVEL_PROB = pa.schema([("query", pa.string()), ("item_id", pa.string()), ("level_prob", pa.list_(pa.float32()))])


def _batches(num_pages: int) -> Iterator[tuple[np.ndarray, int]]:
    for start in range(0, num_pages, PAGES_AT_ONCE):
        yield np.arange(start, min(start + PAGES_AT_ONCE, num_pages)), start * SHOWN


def _log_uniform(rng: np.random.Generator, sizes: np.ndarray) -> np.ndarray:
    """Ranks from 0, below `sizes`, as frequent as 1 / (rank + 1)."""
    return (sizes.astype(np.float64) ** rng.random(sizes.shape)).astype(np.int64) - 1


def _zipf(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    return _log_uniform(rng, np.full(n, size + 1)).clip(0, size - 1)


def _scattered(codes: np.ndarray, below: int) -> np.ndarray:
    """A fixed number below `below` for every code, as if drawn."""
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(33)) % np.uint64(below)).astype(np.int64)


def _names(letter: str, codes: np.ndarray) -> pa.Array:
    distinct, place = np.unique(codes, return_inverse=True)
    names = [f"{letter}{code}" for code in distinct.tolist()]
    return pa.array(names, pa.string()).take(pa.array(place.ravel()))


def _query(codes: np.ndarray) -> np.ndarray:
    """Two or three words that name the query, an object array."""
    number = codes.astype(np.int64)
    words = [WORDS[number % len(WORDS)], WORDS[number // len(WORDS) % len(WORDS)]]
    return np.array(
        [f"{a} {b} {n}" for a, b, n in zip(*words, (number // len(WORDS) ** 2).tolist(), strict=True)], object
    )
