"""The split `open` of one's own log: for some test pages what could have been shown, from the catalogue. [O]

Candidates are what the page showed, items whose texts share words with the query (rare words count more), and items of
the categories shown. An item that is first shown after the page may not have been there: it is no candidate. What was
not shown could not be clicked and counts as not clicked, so that figures compare systems and are no shop's.
"""

from __future__ import annotations

from dataclasses import dataclass

from prectr.data.converters.splits import dice
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError

_COMMON = 0.5
"""A word in more than this share of the items says nothing of one."""

_OF_CATEGORY = 1000
"""Items of a category that are looked at, drawn by seed."""


@dataclass(frozen=True)
class OpenSet:
    """Of how many pages, and how many candidates each besides what it showed."""

    pages: int
    candidates: int
    seed: int

    def __post_init__(self) -> None:
        if self.pages < 0 or not 1 <= self.candidates <= 10_000:
            raise PrectrError(
                "--open_pages, --open_candidates: give numbers of pages from 0 and of items, 1 to 10,000."
            )


def make_open(staging: Staging, open_set: OpenSet) -> str:
    """The table `open_rows` (page_id, item_id, clicked) of the tables `pages`, `shown` and `items`.

    Returns:
        What was made rather than logged, as a sentence; empty if nothing was.
    """
    staging.table("open_rows", "SELECT page_id, item_id, clicked FROM shown WHERE false")
    if not open_set.pages:
        return ""
    if contexts := [name for name in staging.columns("shown") if name.startswith("ctx_")]:
        staging.tell(f"no open candidates: {', '.join(contexts)} is not known of what was not shown")
        return ""
    draw = dice(open_set.seed, "open page", "page_id")
    staging.table(
        "open_pages",
        f"""SELECT page_id, query, seconds FROM pages WHERE split = 'test' AND page_id IN
            (SELECT page_id FROM shown WHERE clicked) ORDER BY {draw}, page_id LIMIT {open_set.pages}""",
    )
    _make_neighbours(staging)
    _make_relatives(staging, open_set.seed)
    order = f"score DESC, {dice(open_set.seed, 'open item', 'page_id', 'item_id')}, item_id"
    staging.table(
        "offered",
        f"""SELECT page_id, item_id FROM (SELECT *, row_number() OVER (PARTITION BY page_id ORDER BY {order}) AS place
            FROM (SELECT page_id, item_id, max(score) AS score FROM
                  (SELECT * FROM neighbours UNION ALL SELECT * FROM relatives) GROUP BY page_id, item_id)
            ANTI JOIN shown USING (page_id, item_id)
            JOIN open_pages USING (page_id)
            LEFT JOIN (SELECT item_id, min(seconds) AS first FROM shown JOIN pages USING (page_id) GROUP BY item_id)
            USING (item_id) WHERE first IS NULL OR first <= open_pages.seconds)
            WHERE place <= {open_set.candidates}""",
    )
    staging.table(
        "open_rows",
        """SELECT page_id, item_id, clicked FROM shown SEMI JOIN open_pages USING (page_id)
           UNION ALL SELECT page_id, item_id, false FROM offered""",
    )
    pages, shown, offered = staging.rows(
        """SELECT count(*), (SELECT count(*) FROM shown SEMI JOIN open_pages USING (page_id)),
           (SELECT count(*) FROM offered) FROM open_pages"""
    )[0]
    staging.tell(f"open candidates of {pages:,} test pages: {shown:,} shown on them and {offered:,} others")
    return (
        "Open candidates are made, not logged: what a page showed, and items that share words with the query or a "
        "category with what was shown; what was not shown counts as not clicked."
    )


def _make_neighbours(staging: Staging) -> None:
    """The table `neighbours` (page_id, item_id, score): items that share words with the query, by the words' rarity."""
    split = r"unnest(list_distinct(regexp_split_to_array(lower({}), '[^\p{{L}}\p{{N}}]+'))) AS word"
    staging.table("item_words", f"SELECT item_id, {split.format('text')} FROM items")
    staging.table("page_words", f"SELECT page_id, {split.format('query')} FROM open_pages")
    staging.table(
        "rarity",
        f"""SELECT word, ln(1 + total / count(*)) AS rarity FROM item_words, (SELECT count(*) AS total FROM items)
            WHERE word <> '' AND word IN (SELECT word FROM page_words) GROUP BY word, total
            HAVING count(*) <= {_COMMON} * total""",
    )
    staging.table(
        "neighbours",
        """SELECT page_id, item_id, sum(rarity) AS score FROM page_words JOIN rarity USING (word)
           JOIN item_words USING (word) GROUP BY page_id, item_id""",
    )


def _make_relatives(staging: Staging, seed: int) -> None:
    """The table `relatives`, likewise: items of the categories shown; behind all neighbours."""
    if "category" not in staging.columns("items"):
        staging.table("relatives", "SELECT page_id, item_id, score FROM neighbours WHERE false")
        return
    draw = dice(seed, "open category", "item_id")
    staging.table(
        "of_category",
        f"""SELECT category, item_id FROM (SELECT category, item_id, row_number() OVER
            (PARTITION BY category ORDER BY {draw}, item_id) AS place FROM items WHERE category IS NOT NULL)
            WHERE place <= {_OF_CATEGORY}""",
    )
    staging.table(
        "relatives",
        """SELECT page_id, of_category.item_id, 0.0 AS score FROM
           (SELECT DISTINCT page_id, category FROM shown SEMI JOIN open_pages USING (page_id) JOIN items USING (item_id)
            WHERE category IS NOT NULL) JOIN of_category USING (category)""",
    )
