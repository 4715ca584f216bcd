"""Clicks to the showings they were made on: by the page they name, else by who was shown the item last. [O]

No click is lost in silence: each is on a showing, repeats another one, or is told with its row and the reason.
"""

from __future__ import annotations

from prectr.data.converters.staging import Staging

_LONE = "page IS NULL AND item_id IS NOT NULL AND user_id IS NOT NULL AND seconds IS NOT NULL"
"""Clicks that name no page but could be joined all the same."""


def place_clicks(staging: Staging, source: str, minutes: int) -> None:
    """The table `clicked` (hit), of the tables `hits` and `clicks`.

    `hits` has hit (a number, in the order of the log), page, user_id, query, item_id and seconds; `clicks` has click (a
    number), view, file, row, page, user_id, query, item_id and seconds. A click that names its page is on that page.
    One that does not is of the last showing of the item to its user, at most so many minutes before, under its query
    where it names one.

    Args:
        source: what was read, for messages.
    """
    staging.table(
        "landed",
        f"""SELECT click, hit FROM clicks JOIN hits USING (page, item_id)
            UNION ALL SELECT click, arg_max(hit, (hits.seconds, hit)) AS hit FROM clicks JOIN hits
            ON hits.user_id = clicks.user_id AND hits.item_id = clicks.item_id
            AND (clicks.query IS NULL OR lower(clicks.query) = lower(hits.query))
            WHERE clicks.page IS NULL AND clicks.seconds - hits.seconds BETWEEN 0 AND {60 * minutes} GROUP BY click""",
    )
    staging.table("clicked", "SELECT DISTINCT hit FROM landed")
    made, lone = staging.rows(f"SELECT count(*), count(*) FILTER ({_LONE}) FROM clicks")[0]
    if lone:
        joined = staging.value(f"SELECT count(*) FROM clicks SEMI JOIN landed USING (click) WHERE {_LONE}")
        staging.tell(
            f"{lone:,} clicks name no query: {joined:,} are joined to the last one of the same user, up to {minutes} "
            "minutes before, that showed the item"
        )
    placed, first = staging.rows(
        "SELECT count(*), count(DISTINCT hit) FROM (SELECT click, min(hit) AS hit FROM landed GROUP BY click)"
    )[0]
    if placed > first:
        staging.tell(
            f"{placed - first:,} of {made:,} clicks repeat one on the same result: each result is clicked once"
        )
    page = "EXISTS (SELECT 1 FROM hits WHERE hits.page = clicks.page)"
    reasons = f"""CASE WHEN item_id IS NULL THEN 'name no item'
        WHEN page IS NOT NULL AND {page} THEN 'are of a query that did not return the item'
        WHEN page IS NOT NULL THEN 'are of a query that is not there'
        WHEN user_id IS NULL OR seconds IS NULL THEN 'name no query, and no user and time'
        ELSE 'are of a user who was not shown the item in the {minutes} minutes before' END"""
    tell_lost(staging, "landed", "on no result of their query", reasons, source)
    staging.tell(
        f"{made:,} clicks: {first:,} on a result of their own, {placed - first:,} repeated, {made - placed:,} left out"
    )


def tell_lost(staging: Staging, kept: str, what: str, reasons: str, source: str) -> None:
    """Tell which clicks are not in the table `kept` (click): how many, and for each reason where the first stands.

    Args:
        what: where they are. reasons: SQL of a click's reason.
    """
    made = staging.value("SELECT count(*) FROM clicks")
    lost = staging.rows(
        f"""SELECT why, count(*), arg_min(view, (file, row)), arg_min(file, (file, row)), arg_min(row, (file, row)) FROM
            (SELECT view, file, row, {reasons} AS why FROM clicks ANTI JOIN {kept} USING (click))
            GROUP BY why ORDER BY count(*) DESC, why"""
    )
    if lost:
        each = "; ".join(
            f"{times:,} {why} ({'first ' if times > 1 else ''}{staging.row_at(view, file, row, source)})"
            for why, times, view, file, row in lost
        )
        total = sum(row[1] for row in lost)
        staging.tell(f"{total:,} of {made:,} clicks are {what}: left out; {each}")
