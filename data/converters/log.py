"""The tables `impressions`, `behaviours` and `gold` from a log of what was shown, or of clicks alone. [O]

A page is what one user was shown for one query: the rows of one `page`, or where the log names none, of one user, query
and second. An item that a page shows twice counts once, clicked if it was clicked anywhere. Every page is history
(`behaviours`); which are trained and judged on, `splits` says.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from prectr.data.converters.catalogue import drop_unusable, number
from prectr.data.converters.categories import infer_categories
from prectr.data.converters.judgements import Unlabelled, cap_unlabelled
from prectr.data.converters.open_set import OpenSet, make_open
from prectr.data.converters.sampled import Skips, add_skips
from prectr.data.converters.splits import Shares, moment, split_pages
from prectr.data.converters.staging import Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from prectr.shared.values.texts import plain_sql

_MOMENT = "make_timestamp(seconds * 1000000) AS timestamp"


@dataclass(frozen=True)
class LogRules:
    """How a log is read."""

    times: str
    skips: Skips
    shares: Shares
    unlabelled: Unlabelled
    open_set: OpenSet


def make_log(staging: Staging, source: str, rules: LogRules) -> str:
    """The tables `pages` and `shown` from the view `shown_in`, and `unlabelled` where there are no judgements.

    `shown_in` has file, row, query, item_id, timestamp, and perhaps user_id, query_category, page, position, clicked,
    ctx_*; without `clicked` every row is a click. Its values have been checked (`refusals.check_values`).

    Returns:
        What was not observed, as a sentence; empty if all was.

    Raises:
        PrectrError: a value that cannot be read, or too few pages to split.
    """
    found = staging.columns("shown_in")
    clicked = "true"
    if "clicked" in found:
        clicked = "coalesce((SELECT truths FROM shown_in_truths WHERE text = shown_in.clicked), false)"
    position = _position(staging) if "position" in found else "CAST(NULL AS BIGINT)"
    features = [name for name in found if name.startswith("ctx_")]
    query = f"{plain_sql('query')} AS query"
    page = "page" if "page" in found else "CAST(NULL AS VARCHAR)"
    optional = [
        f"{name if name in found else 'CAST(NULL AS VARCHAR)'} AS {name}" for name in ("user_id", "query_category")
    ]
    contexts = [
        number(name, name) if name.startswith("ctx_num_") else f"coalesce({name}, 'unknown') AS {name}"
        for name in features
    ]
    staging.table(
        "showings",
        f"""SELECT {", ".join(["file", "row", query, "item_id", "seconds", *optional, *contexts])},
            CASE WHEN {page} IS NULL THEN 't' || seconds ELSE 'p' || {page} END AS key, {clicked} AS clicked,
            {position} AS position FROM shown_in LEFT JOIN shown_in_seconds ON shown_in_seconds.text = timestamp""",
    )
    staging.drop("showings", "no time", "seconds IS NULL")
    drop_unusable(staging, "showings", source)
    _refuse_future(staging, source)
    _refuse_mixed_pages(staging, source, "page" in found)
    _make_pages(staging, features, "position" in found)
    stated = ""
    if "clicked" not in found:
        stated = add_skips(staging, rules.skips)
    elif not staging.value("SELECT bool_or(clicked) FROM shown"):
        raise PrectrError(
            f"{source}: {staging.named('clicked')}: no row is clicked: name the column that tells, or say how it is "
            "written (--clicked_value)."
        )
    split_pages(staging, source, rules.shares)
    infer_categories(staging, shown_is_logged="clicked" in found)
    if staging.value("SELECT bool_and(clicked) FROM shown JOIN pages USING (page_id) WHERE split = 'train'"):
        if "clicked" not in found:
            where, remedy = "", "give more clicks."
            if "category" in staging.columns("items"):
                where, remedy = " in its category", "give more clicks, or leave the column of categories out."
            raise PrectrError(
                f"{source}: no skipped item can be drawn for any page of the training time, as nothing else is clicked"
                f"{where}: {remedy}"
            )
        raise PrectrError(
            f"{source}: {staging.named('clicked')}: every row of the training time is clicked: log what was skipped "
            "too, or leave --clicked out, and skipped items are sampled."
        )
    return " ".join(filter(None, [stated, make_open(staging, rules.open_set)]))


def make_unlabelled_of_log(staging: Staging, unlabelled: Unlabelled, judged: bool) -> None:
    """The table `unlabelled`: what was shown up to the last training page, but for queries judged to test on."""
    tested = "AND query NOT IN (SELECT query FROM judged WHERE split IN ('test', 'validation'))" if judged else ""
    staging.table(
        "unlabelled",
        f"""SELECT DISTINCT query, item_id FROM shown JOIN pages USING (page_id) WHERE seconds <=
            (SELECT max(seconds) FROM pages WHERE split = 'train') {tested}""",
    )
    staging.tell(f"{staging.value('SELECT count(*) FROM unlabelled'):,} pairs of the training time are for the teacher")
    cap_unlabelled(staging, unlabelled)


def write_log(staging: Staging, source: str, judged: bool, time_unit: str) -> None:
    """Write `impressions` and `behaviours`, and `gold` if every pair shown in test was judged."""
    users, categories = (_any(staging, column) for column in ("user_id", "query_category"))
    if not users:
        staging.tell("no user is known (--user): personal history is off")
    features = [name for name in staging.columns("shown") if name.startswith("ctx_")]
    who = [*(["user_id"] if users else []), "query", *(["query_category"] if categories else [])]
    columns = ", ".join(["page_id", *who, "item_id", "position", "seconds", "clicked"])
    candidates = f"SELECT {columns.replace('position', '-1 AS position')}, 'open' AS split FROM open_rows"
    order = "split = 'open', page_id, position, item_id"
    staging.write(
        "impressions",
        f"""SELECT row_number() OVER (ORDER BY {order}) - 1 AS impression_id, page_id,
            {", ".join([*who, "item_id", "position", _MOMENT, "clicked", "split", *features])} FROM
            (SELECT {", ".join([columns, "split", *features])} FROM shown JOIN pages USING (page_id)
             WHERE split IS NOT NULL UNION ALL BY NAME {candidates} JOIN pages USING (page_id)) ORDER BY {order}""",
    )
    searches = f"SELECT {', '.join([*who, 'item_id', 'clicked', 'seconds', 'page_id'])}, 'search' AS event_type"
    others = _events(staging, source, users, categories, time_unit)
    staging.write(
        "behaviours",
        f"""SELECT {", ".join([*who, "item_id", "clicked", _MOMENT, "event_type", "page_id"])} FROM
            ({searches} FROM shown JOIN pages USING (page_id) {others})
            ORDER BY seconds, page_id NULLS LAST, item_id{", user_id" if users else ""}, event_type""",
    )
    if judged:
        _write_gold(staging)


def _refuse_future(staging: Staging, source: str) -> None:
    latest = int(time.time()) + 86400
    bad = staging.rows(f"SELECT row, seconds FROM showings WHERE seconds > {latest} ORDER BY file, row LIMIT 1")
    if bad:
        raise PrectrError(
            f"{source}: {staging.named('timestamp')}, row {bad[0][0]}: {moment(bad[0][1])} lies in the future: correct "
            "it, or say another --time_unit."
        )


def _refuse_mixed_pages(staging: Staging, source: str, named: bool) -> None:
    """A page is of one user, query, category and time; where none is named, it is made of all but the category."""
    same = "key" if named else "key, user_id, query"
    whats = {"user_id": "users", "query": "queries", "query_category": "categories", "seconds": "times"}
    several = {name: f"min({name}) <> max({name}) OR count({name}) NOT IN (0, count(*))" for name in whats}
    of_pages = f"FROM showings WHERE starts_with(key, 'p') OR {not named} GROUP BY {same} HAVING"
    if not staging.rows(f"SELECT 1 {of_pages} {' OR '.join(several.values())} LIMIT 1"):  # one pass, as a rule
        return
    for column, what in whats.items():
        bad = staging.rows(
            f"""SELECT min(file), arg_min(row, (file, row)), min({column}), max({column}) {of_pages} {several[column]}
                ORDER BY min((file, row)) LIMIT 1"""
        )
        if bad:
            file, row, *values = bad[0]
            values = [moment(value) if column == "seconds" else str(value)[:40] for value in values]
            other = values[1] if values[0] != values[1] else "none"
            remedy = "give each search an id of its own."
            if staging.was_named("page"):
                remedy = "give each page its own, or leave --page out: user, query and time then tell pages apart."
            raise PrectrError(
                f"{staging.place('shown_in', 'page', file, row, source)}: its page has several {what}, such as "
                f"{values[0]!r} and {other!r}: {remedy}"
            )


def check_positions(staging: Staging, source: str) -> None:
    """Raises `PrectrError` for the first place on a page that is no whole number."""
    if "position" not in staging.columns("shown_in"):
        return
    bad = staging.rows(
        r"""SELECT file, row, position FROM shown_in
            WHERE NOT coalesce(regexp_matches(position, '^\s*\d{1,9}(\.0+)?\s*$'), false) ORDER BY file, row LIMIT 1"""
    )
    if bad:
        where = staging.place("shown_in", "position", bad[0][0], bad[0][1], source)
        raise PrectrError(
            f"{where}: found {bad[0][2]!r}: write a whole number, or leave --position out: the order of the rows then "
            "counts."
        )


def _position(staging: Staging) -> str:
    first = staging.value("SELECT min(CAST(CAST(position AS DOUBLE) AS BIGINT)) FROM shown_in") or 0
    if first:
        staging.tell(f"positions count from {first}: {first} subtracted")
    return f"CAST(CAST(position AS DOUBLE) AS BIGINT) - {first}"


def _make_pages(staging: Staging, features: list[str], has_position: bool) -> None:
    staging.table(
        "pages",
        """SELECT key, user_id, query, min(seconds) AS seconds, min(query_category) AS query_category,
            row_number() OVER (ORDER BY min(seconds), query, user_id, key) - 1 AS page_id
            FROM showings GROUP BY key, user_id, query""",
    )
    position = "min(position)" if has_position else "NULL"
    first = "file * 1099511627776 + row"
    kept = "".join(f", arg_min({name}, {first}) AS {name}" for name in features)
    staging.table(
        "shown",
        f"""SELECT page_id, item_id, bool_or(clicked) AS clicked, CAST({position} AS BIGINT) AS position,
            min({first}) AS first, count(*) AS times{kept} FROM showings JOIN pages ON showings.key = pages.key
            AND showings.query = pages.query AND showings.user_id IS NOT DISTINCT FROM pages.user_id
            GROUP BY page_id, item_id""",
    )
    if repeated := staging.value("SELECT sum(times - 1) FROM shown"):
        staging.tell(f"{repeated:,} rows repeat an item of their page: each item counts once a page")
    if not has_position:
        staging.table(
            "shown",
            "SELECT * REPLACE (row_number() OVER (PARTITION BY page_id ORDER BY first) - 1 AS position) FROM shown",
        )
        staging.tell("no positions: the order of the rows is taken for that of the page")
    rows, pages = staging.rows("SELECT count(*), count(DISTINCT page_id) FROM shown")[0]
    clicks = staging.value("SELECT count(*) FROM shown WHERE clicked")
    staging.tell(f"{rows:,} rows on {pages:,} pages, {clicks:,} clicked")


def _any(staging: Staging, column: str) -> bool:
    return staging.value(f"SELECT count({column}) FROM pages") > 0


def _events(staging: Staging, source: str, users: bool, categories: bool, time_unit: str) -> str:
    """SQL that adds the view `events_in` (file, row, user_id, item_id, timestamp, event_type), where there is one."""
    if not staging.value("SELECT count(*) FROM duckdb_views() WHERE view_name = 'events_in'"):
        return ""
    add_seconds(staging, "events_in", "timestamp", source, time_unit)
    staging.table("events", "SELECT * FROM events_in LEFT JOIN events_in_seconds ON text = timestamp")
    staging.drop("events", "no time", "seconds IS NULL")
    staging.drop(
        "events",
        "the item has no text, or no row of its own",
        "item_id IS NULL OR item_id NOT IN (SELECT item_id FROM items)",
    )
    has_category = categories and "category" in staging.columns("items")
    columns = [*(["user_id"] if users else []), "CAST(NULL AS VARCHAR) AS query"]
    columns += (
        [f"{'items.category' if has_category else 'CAST(NULL AS VARCHAR)'} AS query_category"] if categories else []
    )
    return f"""UNION ALL SELECT {", ".join(columns)}, item_id, true AS clicked, seconds,
        CAST(NULL AS BIGINT) AS page_id, event_type FROM events JOIN items USING (item_id)"""


def _write_gold(staging: Staging) -> None:
    shown = """SELECT query, item_id FROM shown JOIN pages USING (page_id) WHERE split IN ('test', 'new_users')
               UNION SELECT query, item_id FROM open_rows JOIN pages USING (page_id)"""
    staging.table("needed", f"SELECT query, item_id, level FROM ({shown}) LEFT JOIN judged USING (query, item_id)")
    all_pairs, known = staging.rows("SELECT count(*), count(level) FROM needed")[0]
    if known == all_pairs:
        staging.write("gold", "SELECT query, item_id, level FROM needed ORDER BY query, item_id")
    else:
        staging.tell(
            f"no table `gold`: {known:,} of the {all_pairs:,} pairs shown in test are judged, and it needs all"
        )
