"""`python -m data check DIR`: what a data set's tables allow, what is missing and how to get it, what to expect.

Everything wrong is told first (`data/checks/validate.py`). What is told after that is asked of the files in SQL, or of
a sample of texts, so that a large data set takes little memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prectr.data.checks.allowed import allowed
from prectr.data.checks.defects import DataError, shown
from prectr.data.checks.encoders import MAKES_PACKAGED, PACKAGED, verdict
from prectr.data.checks.sql import Checker
from prectr.data.checks.texts import Texts, read_texts
from prectr.data.checks.validate import find_defects, tables_of
from prectr.data.config import CheckArguments
from prectr.data.contract import SEARCH, levels, reconstructed
from prectr.data.next_command import show_next
from prectr.shared.run.console import console, table

LONG_TEXT = 100_000
LARGE_PAGE = 200
BUSY_USER = 100_000
SAMPLED_PAGES = 1000
DEPTHS = (1, 5, 20)

RATES = {
    "label": ("labelling, 270 M language model", 20.0, "pairs/s"),
    "score": ("scoring of logged pairs", 1590.0, "pairs/s"),
    "rank": ("one epoch of the ranker", 396.0, "impressions/s"),
}
"""Measured on 2 CPU cores with the default settings on the default data; a GPU or another encoder is another matter."""


def check(folder: Path, arguments: CheckArguments) -> None:
    """Tell everything that is wrong, or else print what the tables allow and what to expect of them.

    Raises:
        DataError: everything found wrong.
    """
    tables = tables_of(folder)
    if defects := find_defects(folder, tables):
        raise DataError(folder, defects)
    names = levels(folder)
    with Checker(folder, tables) as ask:
        facts = _facts(ask)
        note = reconstructed(folder) or None
        table("What these tables allow", ["part", "there", "how to get it"], allowed(ask, facts), note)
        table("What to expect", ["figure", "value"], _expected(ask, facts, names), note)
        texts = read_texts(ask, arguments.init_from)
        _show_texts(texts, arguments)
        table("Rough time", ["step", "at", "takes"], _times(facts), "On 2 CPU cores, with the default settings.")
        for line in _remarks(ask, facts, texts):
            console.print(f"• {line}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{folder} keeps the contract.", highlight=False, soft_wrap=True)
    gold = facts["gold"].get("train", 0)
    pairs = sum(facts["gold"].values()) + facts["unlabelled"]
    show_next(folder.resolve().parent.name, gold, pairs, facts["impressions"])


def _facts(ask: Checker) -> dict[str, Any]:
    """Counts that several tables need; 0 where a table is not there."""
    facts: dict[str, Any] = {}
    [(facts["items"], facts["texts"], facts["with_category"], facts["longest"])] = ask.ask(
        "SELECT count(*), count(DISTINCT text), count(category), max(length(text)) FROM items"
    )
    facts["gold"] = dict(ask.ask("SELECT split, count(*) FROM pairs WHERE level IS NOT NULL GROUP BY split"))
    [(facts["unlabelled"],)] = ask.ask("SELECT count(*) FROM pairs WHERE level IS NULL")
    facts |= {"splits": {}, "impressions": 0, "users": 0, "known": 0, "query_category": 0, "distinct_pairs": 0}
    if "impressions" in ask.tables:
        rows = ask.ask(
            "SELECT split, count(*), count(DISTINCT page_id), count(DISTINCT user_id), count(DISTINCT query), "
            "avg(clicked::INT) FROM impressions GROUP BY split"
        )
        facts["splits"] = {
            split: dict(zip(("rows", "pages", "users", "queries", "ctr"), of, strict=True)) for split, *of in rows
        }
        [(facts["impressions"], facts["users"], facts["known"], facts["query_category"])] = ask.ask(
            "SELECT count(*), count(DISTINCT user_id), count(user_id), count(query_category) FROM impressions"
        )
        [(facts["distinct_pairs"],)] = ask.ask(
            "SELECT count(*) FROM (SELECT query, item_id FROM impressions UNION SELECT query, item_id FROM behaviours "
            "WHERE query IS NOT NULL)"
        )
    return facts


def _expected(ask: Checker, facts: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Figures that say what training will find."""
    yield "relevance levels", " · ".join(f"{level} {name}" for level, name in enumerate(names))
    for split, rows in sorted(facts["gold"].items()):
        by_level = ask.ask("SELECT level, count(*) FROM pairs WHERE split = ? GROUP BY level ORDER BY level", [split])
        yield f"gold pairs, {split}", f"{rows:,} ({', '.join(f'{level}: {count:,}' for level, count in by_level)})"
    yield "pairs without a level", f"{facts['unlabelled']:,}"
    twins = 1 - _lonely(ask) / max(facts["items"], 1)
    yield "items, and the share that share their text", f"{facts['items']:,}, {twins:.1%}"
    for split, of in facts["splits"].items():
        told = f"{of['rows']:,} on {of['pages']:,} pages, {of['queries']:,} queries, {of['users']:,} users"
        yield f"impressions, {split}", f"{told}, click-through rate {of['ctr']:.2%}"
    if facts["splits"]:
        [(mean, most)] = ask.ask(
            "SELECT avg(n), max(n) FROM (SELECT count(*) AS n FROM impressions GROUP BY split, page_id)"
        )
        yield "candidates on a page, mean and most", f"{mean:,.1f}, {most:,}"
        yield "training impressions whose user has a past", _told_share(_with_past(ask))
        for key in ("query", "query_category"):
            shares = ", ".join(f"≥ {depth}: {_told_share(share)}" for depth, share in _coverage(ask, key).items())
            yield f"test pages with earlier searches of others, same {key}", shares


def _lonely(ask: Checker) -> int:
    return int(ask.ask("SELECT count(*) FROM (SELECT text FROM items GROUP BY text HAVING count(*) = 1)")[0][0])


def _told_share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _with_past(ask: Checker) -> float | None:
    [(share,)] = ask.ask(
        "SELECT avg((first < timestamp)::INT) FROM (SELECT timestamp, coalesce(first, timestamp) AS first "
        "FROM impressions LEFT JOIN (SELECT user_id, min(timestamp) AS first FROM behaviours GROUP BY user_id) "
        "USING (user_id) WHERE split = 'train')"
    )
    return None if share is None else float(share)


def _coverage(ask: Checker, key: str) -> dict[int, float | None]:
    """Share of a sample of test pages whose query, or category, others have searched so often before."""
    searches = (
        f"(SELECT {key} AS key, user_id, page_id, min(timestamp) AS at FROM behaviours WHERE event_type = '{SEARCH}' "
        f"AND {key} IS NOT NULL GROUP BY ALL)"
    )
    pages = (
        f"(SELECT * FROM (SELECT {key} AS key, user_id, page_id, min(timestamp) AS at FROM impressions "
        f"WHERE split = 'test' GROUP BY ALL) ORDER BY hash(page_id) LIMIT {SAMPLED_PAGES})"
    )
    others = "(s.user_id IS NULL OR p.user_id IS NULL OR s.user_id <> p.user_id)"
    counts = (
        f"(SELECT p.page_id, count(s.page_id) AS n FROM {pages} p LEFT JOIN {searches} s "
        f"ON s.key = p.key AND s.at < p.at AND {others} GROUP BY p.page_id)"
    )
    [found] = ask.ask(f"SELECT {', '.join(f'avg((n >= {depth})::INT)' for depth in DEPTHS)} FROM {counts}")
    return dict(zip(DEPTHS, found, strict=True))


def _show_texts(texts: Texts | str, arguments: CheckArguments) -> None:
    if isinstance(texts, str):
        console.print(f"Texts: not measured ({texts})", highlight=False, markup=False, soft_wrap=True)
        return
    rows = []
    for part, length in ((texts.queries, arguments.query_length), (texts.items, arguments.item_length)):
        cut = f"{part.cut(length):.1%} are cut at {length}"
        scripts = ", ".join(f"{name} {share:.0%}" for name, share in part.scripts.items())
        rows.append(
            (
                part.name,
                f"{part.tokens(50)} / {part.tokens(95)} / {part.tokens(100)}",
                cut,
                f"{part.pieces:.2f}",
                f"{part.unknown:.2%}",
                scripts,
                part.language or "–",
            )
        )
    columns = [
        "texts",
        "tokens: median / 95 % / most",
        "too long",
        "pieces per word",
        "unknown",
        "scripts of the letters",
        "language, a guess",
    ]
    table(
        f"Texts as {arguments.init_from} spells them",
        columns,
        rows,
        f"Of {texts.sampled:,} texts at most of each kind.",
    )
    said, others = verdict(texts, arguments.init_from)
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    if others:
        table("To start from instead (--init_from)", ["encoder", "reads", "parameters", "licence"], others)
        if PACKAGED in others:
            console.print(MAKES_PACKAGED, highlight=False, markup=False, soft_wrap=True)


def _times(facts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    sizes = {
        "label": min(facts["unlabelled"] or 5000, 5000),
        "score": facts["distinct_pairs"],
        "rank": facts["splits"].get("train", {"rows": 0})["rows"],
    }
    for name, (step, rate, unit) in RATES.items():
        if sizes[name]:
            yield f"{step}: {sizes[name]:,}", f"{rate:,.0f} {unit}", _duration(sizes[name] / rate)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _remarks(ask: Checker, facts: dict[str, Any], texts: Texts | str) -> Iterator[str]:
    """What is no error but should be known."""
    found = ask.ask(f"SELECT count(*), arg_max(item_id, length(text)) FROM items WHERE length(text) >= {LONG_TEXT}")
    for items, longest in found:
        if items:
            said = f"{items:,} items have texts of {LONG_TEXT:,} characters or more, the longest {shown(longest)} with"
            yield f"{said} {facts['longest']:,}: only the beginning is read."
    if "impressions" in ask.tables:
        pages = (
            "(SELECT page_id, count(*) AS n, count(DISTINCT item_id) AS different FROM impressions "
            "WHERE split <> 'open' GROUP BY split, page_id)"
        )
        [(large, largest, most, repeated, alone)] = ask.ask(
            f"SELECT count(*) FILTER (n >= {LARGE_PAGE}), arg_max(page_id, n), max(n), "
            f"count(*) FILTER (different < n), count(*) FILTER (n = 1) FROM {pages}"
        )
        if large:
            said = f"{large:,} pages show {LARGE_PAGE} items or more, page {largest} {most:,}"
            yield f"{said}: batches hold whole pages, so lower pages_per_batch."
        if repeated:
            yield f"{repeated:,} pages show an item twice: each showing counts."
        if alone:
            yield f"{alone:,} pages show one item only: nothing can be ranked there; is what was skipped not logged?"
        users = "(SELECT user_id, count(*) AS n FROM behaviours WHERE user_id IS NOT NULL GROUP BY user_id)"
        for busy, busiest, events in ask.ask(
            f"SELECT count(*), arg_max(user_id, n), max(n) FROM {users} WHERE n >= {BUSY_USER}"
        ):
            if busy:
                said = f"{busy:,} users have {BUSY_USER:,} events or more, {shown(busiest)} {events:,}"
                yield f"{said}: the last 50 are read; is that one person, or an id that stands for many?"
