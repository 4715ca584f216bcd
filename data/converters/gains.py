"""How well three counts tell a click from a sampled skip, with no text, user or query: what sampling alone gives. [O]

Each is an AUC within pages: the share of pairs of a clicked and a skipped item of one page where the clicked one has
more, ties counting half. .5 is as it should be; above it a ranker is paid for knowing how the skips were drawn.
"""

from __future__ import annotations

from prectr.data.converters.splits import dice
from prectr.data.converters.staging import Staging

DAYS = 3
"""Clicks so recent, over all so far, are the trend."""

MOST_PAGES = 20_000

MOST_GAIN = 0.02
"""How far from .50 an AUC may be without a remark; of a log of a few thousand clicks chance alone is as far."""

COUNTS = {"popularity": "past", "recency": "coalesce(last, -1)", "trend": "coalesce(lately / nullif(past, 0), -1)"}
"""Clicks on the item before the page; the time of the last one; the share of them in the last `DAYS` days."""


def sampled_gain(staging: Staging, seed: int) -> str:
    """The three AUCs over `shown` (page_id, item_id, clicked) and `clicks` (page_id, item_id, seconds), as a sentence;
    empty where no page has both.
    """
    staging.table(
        "click_counts",
        """SELECT item_id, seconds, sum(count(*)) OVER (PARTITION BY item_id ORDER BY seconds) AS n FROM clicks
           GROUP BY item_id, seconds""",
    )
    staging.table(
        "measured",
        f"""SELECT page_id, item_id, clicked, seconds, seconds - {DAYS * 86400} AS since FROM shown
            JOIN (SELECT page_id, min(seconds) AS seconds FROM clicks GROUP BY page_id
                  ORDER BY {dice(seed, "measured", "page_id")}, page_id LIMIT {MOST_PAGES}) USING (page_id)""",
    )
    staging.table(
        "measured",
        """SELECT rows.*, coalesce(upto.n, 0) AS past, upto.seconds AS last FROM measured AS rows
           ASOF LEFT JOIN click_counts AS upto ON rows.item_id = upto.item_id AND rows.seconds > upto.seconds""",
    )
    staging.table(
        "measured",
        """SELECT rows.*, past - coalesce(older.n, 0) AS lately FROM measured AS rows
           ASOF LEFT JOIN click_counts AS older ON rows.item_id = older.item_id AND rows.since > older.seconds""",
    )
    wins = ", ".join(
        f"avg(CASE WHEN yes.{name} > no.{name} THEN 1 WHEN yes.{name} = no.{name} THEN 0.5 ELSE 0 END)"
        for name in COUNTS
    )
    values = ", ".join(f"{count} AS {name}" for name, count in COUNTS.items())
    found = staging.rows(
        f"""WITH counted AS (SELECT page_id, clicked, {values} FROM measured)
            SELECT {wins} FROM counted AS yes JOIN counted AS no ON yes.page_id = no.page_id
            AND yes.clicked AND NOT no.clicked"""
    )[0]
    if found[0] is None:
        return ""
    told = ", ".join(f"{name} {value:.2f}" for name, value in zip(COUNTS, found, strict=True))
    far = max(abs(value - 0.5) for value in found) > MOST_GAIN
    remark = f" More than {MOST_GAIN:.2f} from .50: here how skips are drawn is part of every figure." if far else ""
    return f"By itself, what was clicked before tells clicks from them with AUC: {told} (.50: nothing).{remark}"
