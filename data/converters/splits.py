"""Who is trained on and who is judged on: whole queries for judgements, later time and unseen users for logs. [O]

A draw depends on the seed and on what it is drawn for (`dice`): md5 of both, so it is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError


@dataclass(frozen=True)
class Shares:
    """Shares of what is held out, 0..1; of judgements by pairs, of a log by pages in order of time."""

    validation: float
    test: float
    history: float
    new_users: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("validation", "test", "history", "new_users"):
            if not 0 <= getattr(self, name) < 1:
                raise PrectrError(f"--{name}_share {getattr(self, name)}: give a share from 0 up to, but not, 1.")
        for name in ("validation", "test"):
            if getattr(self, name) == 0:
                raise PrectrError(f"--{name}_share 0: both stages need some {name} rows: give a share above 0.")
        if self.validation + self.test + self.history >= 1:
            raise PrectrError(
                "--validation_share, --test_share and --history_share leave nothing to train on: lower them."
            )


def dice(seed: int, name: str, *columns: str) -> str:
    """SQL for a uniform draw in 0..1 that depends on the seed, a name of ours and the values of some columns."""
    values = " || chr(31) || ".join(f"coalesce(CAST({column} AS VARCHAR), '')" for column in columns)
    return f"(md5_number_lower('{seed}:{name}:' || {values}) / 18446744073709551616.0)"


def split_queries(staging: Staging, source: str, shares: Shares) -> None:
    """Give the table `judged` a column `split`: whole queries, in an order drawn by seed, to test, then validation.

    Rows whose `own_split` says `test` or `validation` stay where the source put them, and what is missing is taken
    from the others. Rows without a label are `unlabelled`.

    Raises:
        PrectrError: fewer than three judged queries, or a query on both sides of the source's own split.
    """
    both = staging.rows(
        "SELECT query FROM judged WHERE label IS NOT NULL GROUP BY query HAVING count(DISTINCT own_split) > 1 "
        "ORDER BY query LIMIT 1"
    )
    if both:
        raise PrectrError(f"{source}: split: query {both[0][0]!r} is in several: split by query, or leave --split out.")
    staging.table(
        "of_query",
        f"""SELECT query, any_value(own_split) AS own_split, count(*) AS pairs,
            {dice(shares.seed, "query", "query")} AS draw FROM judged WHERE label IS NOT NULL GROUP BY query""",
    )
    queries = staging.value("SELECT count(*) FROM of_query")
    if queries < 3:
        raise PrectrError(
            f"{source}: query: {queries} are judged: judge pairs of three queries at least, one each to train, "
            "validate and test on."
        )
    left = "(own_split IS NULL OR own_split = 'train')"
    given = {row[0] for row in staging.rows("SELECT DISTINCT own_split FROM of_query")}
    for split, share in (("test", shares.test), ("validation", shares.validation)):
        if split in given:
            continue
        # The first always, so that no split is empty, and never the last; else while those before are below the share.
        reserved = 2 if split == "test" and "validation" not in given else 1
        staging.table(
            "of_query",
            f"""SELECT query, pairs, draw, CASE WHEN {left} AND before < $share * (SELECT sum(pairs) FROM of_query)
                AND place <= (SELECT count(*) FROM of_query WHERE {left}) - $reserved THEN $split ELSE own_split END
                AS own_split FROM (SELECT *, count(*) FILTER ({left}) OVER (ORDER BY draw, query ROWS UNBOUNDED
                PRECEDING) AS place, coalesce(sum(pairs) FILTER ({left}) OVER (ORDER BY draw, query ROWS BETWEEN
                UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM of_query)""",
            share=share,
            split=split,
            reserved=reserved,
        )
    if not staging.value("SELECT count(*) FROM of_query WHERE own_split IS NULL OR own_split = 'train'"):
        raise PrectrError(f"{source}: query: none is left to train on: judge more queries, or lower --test_share.")
    staging.table(
        "judged",
        """SELECT judged.* EXCLUDE (own_split), CASE WHEN label IS NULL THEN 'unlabelled'
           ELSE coalesce(of_query.own_split, 'train') END AS split FROM judged LEFT JOIN of_query USING (query)""",
    )
    staging.tell(f"split by query: {queries:,} judged queries, none in two splits")


def split_pages(staging: Staging, source: str, shares: Shares) -> None:
    """Give the table `pages` (page_id, user_id, seconds) a column `split`, by time; null: history only.

    The last share of the pages is `test`, the one before `validation`, the first is history only. Of `new_users`, drawn
    by seed, all test pages are that split, and no other page is trained or validated on.

    Raises:
        PrectrError: all pages are of one time, so that nothing is earlier than the test pages.
    """

    def at(share: float) -> int:
        return staging.value(f"SELECT quantile_disc(seconds, {share!r}) FROM pages")

    train, validation, test = at(shares.history), at(1 - shares.test - shares.validation), at(1 - shares.test)
    first, last = staging.rows("SELECT min(seconds), max(seconds) FROM pages")[0]
    if shares.history == 0:
        train = first
    if not train < validation < test <= last:
        raise PrectrError(
            f"{source}: timestamp: the pages are from {moment(first)} to {moment(last)}, too few or too close in time "
            "to be split into training, validation and test: give more, or other shares."
        )
    new = f"(user_id IS NOT NULL AND {dice(shares.seed, 'new user', 'user_id')} < {shares.new_users!r})"
    staging.table(
        "pages",
        f"""SELECT *, CASE WHEN seconds >= {test} THEN CASE WHEN {new} THEN 'new_users' ELSE 'test' END
            WHEN {new} OR seconds < {train} THEN NULL WHEN seconds >= {validation} THEN 'validation' ELSE 'train' END
            AS split FROM pages""",
    )
    for split in ("train", "validation", "test"):
        if not staging.value("SELECT count(*) FROM pages WHERE split = $split", split=split):
            raise PrectrError(f"{source}: timestamp: no page is left for split {split!r}: give more, or other shares.")
    staging.tell(
        f"split by time: train from {moment(train)}, validation from {moment(validation)}, test from {moment(test)}"
    )


def moment(seconds: int) -> str:
    """Seconds since 1970 as people write it; just the number where no calendar reaches."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
