"""Checks a data set whole: columns, types, references, splits, time, and that nothing held out is trained on.

`data/checks/rows.py` reads each table once, a batch at a time; the rest is asked of the files in SQL, by an embedded
engine (DuckDB) that works on disk where memory does not do. All that is found is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prectr.data.checks.defects import SHOWN, DataError, Defect, shown
from prectr.data.checks.rows import scan
from prectr.data.checks.sql import CLICKS, Checker
from prectr.data.contract import (
    EVALUATED_SPLITS,
    IMPRESSION_SPLITS,
    OPTIONAL,
    PAIR_SPLITS,
    SCHEMAS,
    SEARCH,
    has_table,
    level_remedy,
    levels,
    table_path,
)
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literals

STAGE_ONE = ("items", "pairs")
MOST_LEVELS = 32
MOST_EVENT_TYPES = 256


def validate(folder: Path, at_most: int | None = None) -> None:
    """Check a data set whole. `pairs` and `items` are enough for stage one; `impressions` and `behaviours` come
    together.

    Args:
        at_most: how many defects are told; None: all.

    Raises:
        DataError: everything found wrong, each with table, column, row, what was found, what to do.
    """
    _raise(Path(folder), find_defects(folder, tables_of(folder)), at_most)


def validate_pairs(folder: Path) -> None:
    """Check `pairs` and the items they name, which is all that stage one trains on.

    Raises:
        DataError: as `validate`; a few of the defects, and how to see all.
    """
    _raise(Path(folder), find_defects(folder, STAGE_ONE, gold_splits=False), SHOWN)


def _raise(folder: Path, defects: Sequence[Defect], at_most: int | None) -> None:
    if defects:
        raise DataError(folder, defects, at_most)


def tables_of(folder: Path) -> list[str]:
    """The tables a data set has or must have: without clicks neither `impressions` nor `behaviours`."""
    clicks = any(has_table(folder, name) for name in CLICKS)
    needed = (*STAGE_ONE, *(CLICKS if clicks else ()))
    return [name for name in SCHEMAS if name in needed or (name in OPTIONAL and has_table(folder, name))]


def find_defects(folder: Path, tables: Sequence[str], gold_splits: bool = True) -> list[Defect]:
    """All that is wrong with these tables; what needs a table that is not there or not to be read is left out.

    Args:
        gold_splits: whether gold, where there is some, must do for training and validation.
    """
    remedy = "is missing: build the data set with `python -m data build`, convert one, or write that table."
    defects = [Defect(name, remedy) for name in tables if not has_table(folder, name)]
    sound = []
    for name in (name for name in tables if has_table(folder, name)):
        found, readable = scan(folder, name)
        defects += found
        if readable:
            sound.append(name)
    names: list[str] = []
    if "pairs" in sound:
        try:
            names = levels(folder)
        except PrectrError as error:
            defects.append(Defect("pairs", str(error).removeprefix(f"{table_path(folder, 'pairs')}: ")))
    with Checker(folder, sound) as check:
        for name in sound:
            defects += check.rows(name)
        for name, part in PARTS.items():
            defects += part(check) if name in sound else []
        if "pairs" in sound and gold_splits:
            defects += _gold_splits(check)
        if "gold" in sound and names:
            outside = f"level < 0 OR level >= {len(names)}"
            defects += check.where("gold", "level", outside, level_remedy(names))
    if len(names) > MOST_LEVELS:
        remedy = f"there are {len(names)} levels: merge them into at most {MOST_LEVELS}."
        defects.append(Defect("pairs", f"level: {remedy}"))
    return defects


def _items(check: Checker) -> Iterator[Defect]:
    yield from check.unique("items", "item_id")


def _users(check: Checker) -> Iterator[Defect]:
    yield from check.unique("users", "user_id")


def _pairs(check: Checker) -> Iterator[Defect]:
    yield from check.one_of("pairs", "split", PAIR_SPLITS)
    both_or_none = "(item_id IS NULL) = (item_text IS NULL)"
    yield from check.where("pairs", "item_id", both_or_none, "give exactly one of item_id and item_text.")
    yield from check.refers_to("pairs", "item_id", "items")
    wrong = "(split = 'unlabelled') <> (level IS NULL)"
    remedy = "a level is null exactly where split is 'unlabelled': change one of the two."
    yield from check.where("pairs", "level", wrong, remedy)
    judged = "(SELECT * FROM pairs WHERE split <> 'unlabelled')"
    for column, remedy in (
        ("split", "a gold pair belongs to one split: drop one of the two rows."),
        ("level", "a gold pair has one level: drop one of the two rows, or merge them."),
    ):
        yield from _one_judgement(check, "pairs", judged, column, ("item_id", "item_text"), remedy)


def _gold_splits(check: Checker) -> Iterator[Defect]:
    """Where there is gold, there is some of two levels to train and to validate on."""
    judged = "(SELECT * FROM pairs WHERE split <> 'unlabelled')"
    gold = dict(check.ask(f"SELECT split, count(DISTINCT level) FROM {judged} GROUP BY split"))
    for split in ("train", "validation"):
        if gold and split not in gold:
            said = (
                f"no row is {split!r}: where there are gold levels stage one needs some, so move whole queries there."
            )
            yield Defect("pairs", f"split: {said}")
        elif gold.get(split) == 1:
            [(level,)] = check.ask("SELECT min(level) FROM pairs WHERE split = ?", [split])
            said = f"every row of split {split!r} is of level {level}: judge pairs of other levels too."
            yield Defect("pairs", f"level: {said}")


def _one_judgement(
    check: Checker, table: str, judged: str, column: str, items: Sequence[str], remedy: str
) -> Iterator[Defect]:
    """No two of the `judged` rows are of one pair and differ in `column`.

    Items that share a text remain different pairs: what is the same to read may differ in what the judge knew.
    """
    found = check.ask(
        f"SELECT min(row) AS row, count(*) OVER () FROM {judged} GROUP BY query, {', '.join(items)} "
        f"HAVING min({column}) <> max({column}) ORDER BY row LIMIT 1"
    )
    for first, pairs in found:
        same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in ("query", *items))
        [(row, said, before, query, *ids)] = check.ask(
            f"SELECT b.row, b.{column}, a.{column}, b.query, {', '.join(f'b.{name}' for name in items)} "
            f"FROM {judged} a JOIN {judged} b ON {same} WHERE a.row = {first} AND b.{column} <> a.{column} "
            "ORDER BY b.row LIMIT 1"
        )
        name, item = next((name, item) for name, item in zip(items, ids, strict=True) if item is not None)
        more = f" (and {pairs - 1:,} more pairs differ)" if pairs > 1 else ""
        pair = f"row {first} says {before!r} of the same pair, query {shown(query)} and {name} {shown(item)}"
        yield Defect.of_rows(table, column, row, 1, said, f"{pair}{more}: {remedy}")


def _impressions(check: Checker) -> Iterator[Defect]:
    table = "impressions"
    yield from check.one_of(table, "split", IMPRESSION_SPLITS)
    yield from check.unique(table, "impression_id")
    yield from check.refers_to(table, "item_id", "items")
    yield from check.refers_to(table, "user_id", "users")
    remedy = "positions count from 0, and are -1 exactly in split 'open'."
    yield from check.where(table, "position", "(split = 'open') <> (position < 0)", remedy)
    if "weight" in check.columns[table]:
        remedy = "a weight is above 0: drop a row that should not count."
        yield from check.where(table, "weight", "weight <= 0", remedy)
    yield from _one_value_per_page(check, table, ("user_id", "query", "query_category", "timestamp"))
    yield from _splits_in_time(check)
    nameless = "split = 'new_users' AND user_id IS NULL"
    remedy = "split 'new_users' is of users with a name: put the page into 'test'."
    yield from check.where(table, "user_id", nameless, remedy)
    held_out = "(SELECT user_id FROM impressions WHERE split = 'new_users' AND user_id IS NOT NULL)"
    leaked = f"split IN ('train', 'validation') AND user_id IN {held_out}"
    remedy = "this user of split 'new_users' may not be trained on: drop the rows."
    yield from check.where(table, "user_id", leaked, remedy)
    found = check.ask("SELECT count(*), count(*) FILTER (clicked) FROM impressions WHERE split = 'train'")
    has_labels = any(name.startswith("label_") for name in check.columns[table])
    for rows, clicks in found if not has_labels else ():
        if rows and clicks in (0, rows):
            said = "no row of split 'train' is clicked" if not clicks else "every row of split 'train' is clicked"
            remedy = "a click model learns from both: write what was shown and what of it was clicked."
            yield Defect(table, f"clicked: {said}: {remedy}")


def _one_value_per_page(check: Checker, table: str, columns: Sequence[str]) -> Iterator[Defect]:
    """Rows of one page agree; where it has a value and none, it has several too."""
    key = "split, page_id" if table == "impressions" else "page_id"
    differ = [f"min({c}) <> max({c}) OR count({c}) NOT IN (0, count(*)) AS {c}" for c in columns]
    pages = f"(SELECT page_id, {', '.join(differ)} FROM {table} WHERE page_id IS NOT NULL GROUP BY {key})"
    counts = ", ".join(f"count(*) FILTER ({c}), min(page_id) FILTER ({c})" for c in columns)
    [found] = check.ask(f"SELECT {counts} FROM {pages}")
    for column, pages_found, page in zip(columns, found[::2], found[1::2], strict=True):
        if pages_found:
            more = f" (and {pages_found - 1:,} more pages)" if pages_found > 1 else ""
            values = check.ask(f"SELECT DISTINCT {column} FROM {table} WHERE page_id = {page} ORDER BY 1 LIMIT 2")
            examples = " and ".join(shown(value if value is None else str(value)) for (value,) in values)
            remedy = "give each page one user, query and time."
            yield Defect(table, f"{column}: page {page}{more} has several, such as {examples}: {remedy}")


def _splits_in_time(check: Checker) -> Iterator[Defect]:
    found = check.ask("SELECT split, min(timestamp), max(timestamp) FROM impressions GROUP BY split")
    times = {split: (first, last) for split, first, last in found}
    for split in ("train", "validation", "test"):
        if split not in times:
            said = f"no row is {split!r}: stage two needs some of each, split by time."
            yield Defect("impressions", f"split: {said}")
    for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
        if earlier in times and later in times and times[earlier][1] >= times[later][0]:
            last, first = times[earlier][1], times[later][0]
            said = f"split {earlier!r} ends at {last} but {later!r} begins at {first}: split by time."
            yield Defect("impressions", f"timestamp: {said}")


def _behaviours(check: Checker) -> Iterator[Defect]:
    table = "behaviours"
    yield from check.refers_to(table, "item_id", "items")
    is_search = f"event_type = '{SEARCH}'"
    for column in ("query", "page_id"):
        remedy = f"given exactly where event_type is {SEARCH!r}."
        yield from check.where(table, column, f"({is_search}) = ({column} IS NULL)", remedy)
    remedy = f"only a row of type {SEARCH!r} may be skipped: write true, or drop the row."
    yield from check.where(table, "clicked", f"NOT ({is_search} OR clicked)", remedy)
    yield from _one_value_per_page(check, table, ("user_id", "query"))
    [(types, last)] = check.ask("SELECT count(DISTINCT event_type), max(event_type) FROM behaviours")
    if types > MOST_EVENT_TYPES:
        said = f"there are {types} of them, such as {shown(last)}: name at most {MOST_EVENT_TYPES} types of event."
        yield Defect(table, f"event_type: {said}")
    if "impressions" in check.tables:
        showings = "(SELECT page_id, min(timestamp) AS shown FROM impressions GROUP BY page_id)"
        clicks = f"(SELECT * FROM behaviours JOIN {showings} USING (page_id) WHERE clicked)"
        remedy = "that is before its page was shown, as impressions.parquet has it: correct one of the two times."
        yield from check.where(table, "timestamp", "timestamp < shown", remedy, of=clicks)


def _queries(check: Checker) -> Iterator[Defect]:
    yield from check.unique("queries", "query")
    unseen = "(SELECT query FROM queries WHERE NOT seen_in_training)"
    for table, sides in (("impressions", "'train', 'validation'"), ("pairs", "'train', 'validation', 'unlabelled'")):
        if table in check.tables:
            yield from check.refers_to(table, "query", "queries")
            remedy = "queries.parquet says it is not seen in training: drop the row or say so."
            yield from check.where(table, "query", f"split IN ({sides}) AND query IN {unseen}", remedy)


def _gold(check: Checker) -> Iterator[Defect]:
    yield from check.refers_to("gold", "item_id", "items")
    remedy = "gold says one level of a pair: drop one of the two rows."
    yield from _one_judgement(check, "gold", "gold", "level", ("item_id",), remedy)
    if "impressions" in check.tables:
        needed = f"(SELECT DISTINCT query, item_id FROM impressions WHERE split IN {literals(EVALUATED_SPLITS)})"
        found = check.ask(
            f"SELECT count(*), min(query), arg_min(item_id, query) FROM {needed} ANTI JOIN gold USING (query, item_id)"
        )
        for pairs, query, item in found:
            if pairs:
                example = f"query {shown(query)} and item {shown(item)}"
                splits = ", ".join(EVALUATED_SPLITS)
                said = f"{pairs} shown pairs have none, such as {example}: label every pair of the splits {splits}."
                yield Defect("gold", f"level: {said}")


PARTS: dict[str, Callable[[Checker], Iterator[Defect]]] = {
    "items": _items,
    "users": _users,
    "pairs": _pairs,
    "impressions": _impressions,
    "behaviours": _behaviours,
    "queries": _queries,
    "gold": _gold,
}
"""What is asked of each table beyond its rows' own values."""
