"""Skipped items for a log of clicks alone: drawn from what was on offer before, and called sampled everywhere. [O]

On offer is an item that had been clicked before, in the category of what was clicked, where that is known. `popularity`
draws an earlier click, so an item is drawn as often as it had been clicked; `uniform` draws an item.
"""

from __future__ import annotations

from dataclasses import dataclass

from prectr.data.converters.splits import dice
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError

DRAWS_PER_SKIP = 3
"""Draws, with repeats, for each skipped item wanted."""


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
    source = "clicks"
    if skips.draw == "uniform":
        source = (
            "(SELECT item_id, category, min(seconds) AS seconds, 0 AS page_id FROM clicks GROUP BY item_id, category)"
        )
    staging.table(
        "pool",
        f"""SELECT item_id, category, seconds,
            row_number() OVER (PARTITION BY category ORDER BY seconds, page_id, item_id) - 1 AS place
            FROM {source}""",
    )
    # Of equal times the last: what an ASOF join picks among ties is not told.
    staging.table("offer", "SELECT category, seconds, max(place) + 1 AS size FROM pool GROUP BY category, seconds")
    draw = dice(skips.seed, "skip", "page_id", "number")
    staging.table(
        "skipped",
        f"""SELECT page_id, item_id, min(number) AS number FROM
            (SELECT page_id, category, number, CAST(floor({draw} * size) AS BIGINT) AS place FROM
             (SELECT page_id, asked.category, size FROM
              (SELECT page_id, seconds, arg_min(category, item_id) AS category FROM clicks GROUP BY page_id, seconds)
              AS asked
              ASOF JOIN offer ON asked.category = offer.category AND asked.seconds > offer.seconds),
             range({skips.per_page * DRAWS_PER_SKIP}) AS r(number))
            JOIN pool USING (category, place) ANTI JOIN shown USING (page_id, item_id) GROUP BY page_id, item_id""",
    )
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
    staging.tell(f"{drawn:,} skipped items drawn; {bare:,} pages have none, as nothing had been clicked before them")
    how = "as often as they had been clicked before" if skips.draw == "popularity" else "each as likely as another"
    return (
        f"Skipped items are sampled, not logged: up to {skips.per_page} a page, from items {where} clicked earlier, "
        f"{how}; positions are random."
    )
