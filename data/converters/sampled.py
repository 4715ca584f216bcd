"""Skipped items for a log of clicks alone: drawn from what was clicked, and called sampled everywhere. [O]

On offer is what was clicked in the category of what was clicked, where that is known. `matched` draws among the next
`WINDOW` clicks: what others click a moment later has the same past as what is clicked now, so that neither recency nor
popularity nor trend tells the click. An item is drawn with a probability that is proportional to its clicks there; were
it drawn again and again until there are enough, the popular ones would be rarer among skips than among clicks.
`popularity` draws an earlier click, and `uniform` an item that had been clicked before; both let what is in trend
betray the click. How much is told by the past alone is measured (`gains.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from prectr.data.converters.gains import sampled_gain
from prectr.data.converters.splits import dice
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError

DRAWS_PER_SKIP = 3
"""Draws, with repeats, for each skipped item wanted, by popularity and uniformly."""

WINDOW = 15
"""The next clicks of the category after a page's own, of which `matched` draws."""

HOW = {
    "matched": f"among the next {WINDOW} clicks of others",
    "popularity": "clicked earlier, as often as they had been clicked before",
    "uniform": "clicked earlier, each as likely as another",
}


@dataclass(frozen=True)
class Skips:
    """How many are drawn a page, and how."""

    per_page: int
    draw: str
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.per_page <= 1000:
            raise PrectrError(f"--sampled_skips {self.per_page}: give 1 to 1000 skipped items a page.")


def add_skips(staging: Staging, skips: Skips) -> str:
    """Add skipped items to the table `shown`, whose rows are all clicks, and shuffle the positions of each page.

    Returns:
        The sentence that every report shows.
    """
    if features := [name for name in staging.columns("shown") if name.startswith("ctx_")]:
        raise PrectrError(
            f"{features[0]}: a log of clicks has no context for the items that were not clicked: leave the context "
            "columns out."
        )
    known = "category" in staging.columns("items")
    category = "coalesce(category, '')" if known else "''"
    staging.table(
        "clicks",
        f"""SELECT page_id, item_id, seconds, {category} AS category FROM shown JOIN pages USING (page_id)
            JOIN items USING (item_id)""",
    )
    staging.table("skipped", _matched(staging, skips) if skips.draw == "matched" else _earlier(staging, skips))
    staging.table(
        "shown",
        f"""SELECT page_id, item_id, clicked, row_number() OVER (PARTITION BY page_id ORDER BY
            {dice(skips.seed, "place", "page_id", "item_id")}, item_id) - 1 AS position
            FROM (SELECT page_id, item_id, true AS clicked FROM shown UNION ALL
                  SELECT page_id, item_id, false FROM (SELECT *, row_number() OVER
                  (PARTITION BY page_id ORDER BY number, item_id) AS rank FROM skipped)
                  WHERE rank <= {skips.per_page})""",
    )
    bare = staging.value("SELECT count(*) FROM (SELECT page_id FROM shown GROUP BY page_id HAVING bool_and(clicked))")
    drawn = staging.value("SELECT count(*) FROM shown WHERE NOT clicked")
    where = "of the same category" if known else "of the whole catalogue"
    staging.tell(f"{drawn:,} skipped items drawn; {bare:,} pages have none, as nothing else was on offer")
    return (
        f"Skipped items are sampled, not logged: up to {skips.per_page} a page, from items {where} {HOW[skips.draw]}; "
        f"positions are random. {sampled_gain(staging, skips.seed)}"
    )


def _pool(staging: Staging, source: str) -> None:
    """The table `pool`: what may be drawn, each with its place in the category, in order of time."""
    staging.table(
        "pool",
        f"""SELECT item_id, category, seconds, page_id,
            row_number() OVER (PARTITION BY category ORDER BY seconds, page_id, item_id) - 1 AS place
            FROM {source}""",
    )


def _matched(staging: Staging, skips: Skips) -> str:
    """SQL: page_id, item_id and number, by which they are chosen, of skips among the next clicks."""
    _pool(staging, "clicks")
    asked = "SELECT page_id, category, min(place) AS place FROM pool GROUP BY page_id, category"
    near = f"""SELECT asked.page_id, pool.item_id, count(*) AS n FROM
               (SELECT page_id, category, place + step AS place FROM ({asked}), range({WINDOW + 1}) AS r(step)) AS asked
               JOIN (SELECT category, place, item_id FROM pool) AS pool USING (category, place) GROUP BY ALL"""
    # Capped for all items of a page alike, so that it stays proportional.
    chance = f"n * least({skips.per_page} / {WINDOW + 1}, 1 / max(n) OVER (PARTITION BY page_id))"
    return f"""SELECT page_id, item_id, {dice(skips.seed, "order", "page_id", "item_id")} AS number FROM
               (SELECT page_id, item_id, {chance} AS chance FROM ({near}))
               ANTI JOIN shown USING (page_id, item_id)
               WHERE {dice(skips.seed, "skip", "page_id", "item_id")} < chance"""


def _earlier(staging: Staging, skips: Skips) -> str:
    """As `_matched`, of skips among what had been clicked before the page."""
    once = "(SELECT item_id, category, min(seconds) AS seconds, 0 AS page_id FROM clicks GROUP BY item_id, category)"
    _pool(staging, once if skips.draw == "uniform" else "clicks")
    # Of equal times the last: what an ASOF join picks among ties is not told.
    staging.table("offer", "SELECT category, seconds, max(place) + 1 AS size FROM pool GROUP BY category, seconds")
    draw = dice(skips.seed, "skip", "page_id", "number")
    return f"""SELECT page_id, item_id, min(number) AS number FROM
            (SELECT page_id, category, number, CAST(floor({draw} * size) AS BIGINT) AS place FROM
             (SELECT page_id, asked.category, size FROM
              (SELECT page_id, seconds, arg_min(category, item_id) AS category FROM clicks GROUP BY page_id, seconds)
              AS asked
              ASOF JOIN offer ON asked.category = offer.category AND asked.seconds > offer.seconds),
             range({skips.per_page * DRAWS_PER_SKIP}) AS r(number))
            JOIN (SELECT category, place, item_id FROM pool) AS pool USING (category, place)
            ANTI JOIN shown USING (page_id, item_id) GROUP BY page_id, item_id"""
