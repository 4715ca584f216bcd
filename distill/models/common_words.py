"""Texts whose words an encoder made from nothing may keep: its vocabulary is published, and a name typed once is nobody
else's business. [O]

A word of the catalogue is the shop's own. Any other word has to be typed by `LEAST_USERS` people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from prectr.data.contract import has_table, read_table, table_path
from prectr.distill.models.scratch import words_of
from prectr.shared.storage.duckdb import out_of_core, parquet

LEAST_USERS = 5


def without_rare_words(texts: Sequence[str], data: Path, spill: Path) -> list[str]:
    """`texts`, item texts of the data set as they are, others without the words that no item text has and fewer than
    `LEAST_USERS` users typed; what is left of nothing is left out.

    Users are counted in the data set's log, a page without a user as one; a query that is not in it, as of judged
    pairs, is one user's. Sorting the log takes disk in the folder `spill`.
    """
    items = set(read_table(data, "items", ["text"])["text"].to_pylist())
    catalogue = {word for text in items for word in words_of(text)}
    queries = {text for text in texts if text not in items}
    logged = _users_of(queries, data, spill)
    typed: dict[str, set[str]] = defaultdict(set)
    for query in queries:
        for word in set(words_of(query)) - catalogue:
            typed[word].update(logged.get(query, [f"typed {query}"]))
    common = catalogue | {word for word, users in typed.items() if len(users) >= LEAST_USERS}
    found = (text if text in items else " ".join(word for word in words_of(text) if word in common) for text in texts)
    return [text for text in found if text]


def _users_of(queries: Collection[str], data: Path, spill: Path) -> dict[str, list[str]]:
    """For each of the queries that is in the log up to `LEAST_USERS` of those who typed it."""
    parts = []
    for name in ("impressions", "behaviours"):
        if has_table(data, name):
            path = table_path(data, name)
            user = "'user ' || user_id, " if "user_id" in pq.read_schema(path).names else ""
            parts.append(f"SELECT query, coalesce({user}'page ' || page_id) AS who FROM {parquet(path)}")
    if not parts:
        return {}
    found: dict[str, list[str]] = defaultdict(list)
    with out_of_core(spill, [data]) as database:
        rows = database.execute(
            f"SELECT DISTINCT query, who FROM ({' UNION '.join(parts)}) WHERE query IS NOT NULL AND who IS NOT NULL "
            f"QUALIFY row_number() OVER (PARTITION BY query ORDER BY who) <= {LEAST_USERS}"
        )
        while part := rows.fetchmany(1 << 16):
            for query, who in part:
                if query in queries:
                    found[query].append(who)
    return found
