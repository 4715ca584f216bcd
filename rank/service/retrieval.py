"""Candidates for a query: BM25 over the catalogue's texts, by SQLite FTS5.

Enough for the page and for small shops; a shop with a search engine of its own sends that one's candidates to
`/v1/rank` instead.
"""

import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import pyarrow as pa

from prectr.rank.service.interface import Item, Value

MOST_WORDS = 32
"""Of a query; what comes behind them finds hardly anything new and costs as much."""
MOST_SEEN = 100_000
"""Ids that are known without asking the base."""


class Found(NamedTuple):
    """An item that matches, and how well: BM25, higher is better."""

    item: Item
    bm25: float


class Catalogue:
    """Items by id and by words. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = set[str]()  # ids that are there, as far as they were asked for
        self._base = sqlite3.connect(":memory:", check_same_thread=False)
        self._base.execute(
            "CREATE TABLE items (number INTEGER PRIMARY KEY, item_id TEXT UNIQUE, text TEXT, category TEXT, "
            "attributes TEXT)"
        )
        # Stemmed, so that "drinks" finds DRINK; the texts themselves lie in `items` only.
        self._base.execute(
            "CREATE VIRTUAL TABLE words USING fts5(text, category, content='', "
            "tokenize='porter unicode61 remove_diacritics 2')"
        )

    @classmethod
    def of_table(cls, items: pa.Table) -> Self:
        """The contract's items."""
        catalogue = cls()
        names = [name for name in items.column_names if name.startswith(("cat_", "num_"))]
        for batch in items.to_batches(10_000):
            catalogue.put(
                Item(row["item_id"], row["text"], row["category"], {name: row[name] for name in names})
                for row in batch.to_pylist()
            )
        return catalogue

    def put(self, items: Iterable[Item]) -> None:
        """Adds items, or replaces those of the same id."""
        with self._lock, self._base:
            for item in items:
                old = self._base.execute(
                    "SELECT number, text, category FROM items WHERE item_id = ?", (item.item_id,)
                ).fetchone()
                if old:
                    self._base.execute(
                        "INSERT INTO words (words, rowid, text, category) VALUES ('delete', ?, ?, ?)",
                        (old[0], old[1], old[2] or ""),
                    )
                number = self._base.execute(
                    "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)",
                    (
                        old[0] if old else None,
                        item.item_id,
                        item.text,
                        item.category,
                        json.dumps({name: value for name, value in item.attributes.items() if value is not None}),
                    ),
                ).lastrowid
                self._base.execute(
                    "INSERT INTO words (rowid, text, category) VALUES (?, ?, ?)",
                    (number, item.text, item.category or ""),
                )

    def search(self, query: str, size: int) -> list[Found]:
        """Items that share a word with the query, the best first."""
        words = re.findall(r"\w+", query)[:MOST_WORDS]
        if not words:
            return []
        # In quotes nothing is an operator of FTS5.
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._base.execute(
                "SELECT item_id, items.text, items.category, attributes, found.score FROM "
                "(SELECT rowid, -bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?) AS found "
                "JOIN items ON items.number = found.rowid ORDER BY found.score DESC, items.number",
                (wanted, size),
            ).fetchall()
        return [Found(_item(row), row[4]) for row in rows]

    def get(self, item_ids: Sequence[str]) -> Mapping[str, Item]:
        """Items by id; those that are not there are left out."""
        return {row[0]: _item(row) for row in self._rows("item_id, text, category, attributes", item_ids)}

    def known(self, item_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are there; one that is there stays."""
        asked = set(item_ids)
        found = asked & self._seen
        if len(found) < len(asked):
            more = {item_id for (item_id,) in self._rows("item_id", sorted(asked - found))}
            if len(self._seen) + len(more) > MOST_SEEN:
                self._seen = set()
            self._seen |= more
            found |= more
        return found

    def _rows(self, columns: str, item_ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for start in range(0, len(item_ids), 500):
            some = item_ids[start : start + 500]
            marks = ", ".join("?" * len(some))
            with self._lock:
                rows = self._base.execute(f"SELECT {columns} FROM items WHERE item_id IN ({marks})", some).fetchall()
            yield from rows

    def __len__(self) -> int:
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM items").fetchone()[0])

    def close(self) -> None:
        self._base.close()


def _item(row: Sequence[str]) -> Item:
    attributes: dict[str, Value] = json.loads(row[3])
    return Item(row[0], row[1], row[2], attributes)
