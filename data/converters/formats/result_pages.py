"""A log of result pages, one JSON object per line.

    {"user": "u7", "query": "red shoe", "timestamp": "2024-05-16T12:34:56Z",
     "results": [{"id": "007", "text": "Red leather shoe"}, {"id": "12", "text": "Blue shoe"}], "clicks": [1]}

    python -m data convert result_pages pages.jsonl --name mine

`results` are in the order shown, `clicks` are ranks that count from 1 (--first_rank 0: from 0). Where there is no user,
the session counts as one. Other names of the keys are flags; a dot goes into objects (--result_text product.title).
Attributes and context are named likewise (--item_numeric price, --context_categorical device): in a result, else in the
page. Clicks may lie in files of their own (--page id, --click_files clicks.jsonl --click_page page --click_item sku).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prectr.data.converters.arguments.clicks import ClickArguments
from prectr.data.converters.arguments.common import LogArguments, ReadingArguments
from prectr.data.converters.arguments.features import FeatureArguments
from prectr.data.converters.arguments.logs import PageArguments
from prectr.data.converters.events.click_files import join_click_files
from prectr.data.converters.reading.values import as_text, value_at
from prectr.data.converters.staging import Settings, Staging
from prectr.data.converters.times import add_seconds
from prectr.shared.errors import PrectrError
from prectr.shared.values.texts import plain_sql

_FIXED = ("user_id", "query", "timestamp", "page", "item_id", "text", "category", "position", "clicked")


def files(sources: Sequence[str], settings: Settings) -> dict[str, list[str]]:
    return {"source": list(sources), "click_files": settings[ClickArguments].click_files}


def read(staging: Staging, sources: Sequence[str], settings: Settings) -> None:
    """The views `items_in` and `shown_in`."""
    arguments: PageArguments = settings[PageArguments]
    features: FeatureArguments = settings[FeatureArguments]
    reading = settings[ReadingArguments].reading

    def rows_of(path: Path, line: int, found: dict[str, Any]) -> Iterator[list[Any]]:
        return _rows(path, line, found, arguments, features.features)

    staging.read_objects("results", sources, (*_FIXED, *features.features), reading, rows_of)
    staging.comes_from |= {"items_in": "results", "shown_in": "results"}
    category = ["category"] if staging.value("SELECT count(category) FROM results") else []
    items = ", ".join(["file", "row", "item_id", "text", "timestamp", *category, *features.of_items])
    staging.run(f"CREATE VIEW items_in AS SELECT {items} FROM results")
    contexts = "".join(f", {name}" for name in features.of_showings)
    rows = f"""SELECT file, row, user_id, query, item_id, timestamp, position, clicked,
               coalesce(page, '#' || file || '.' || row) AS page{contexts} FROM results"""
    if settings[ClickArguments].click_files:
        rows = _with_clicks(staging, settings, rows, ", ".join(sources))
    staging.run(f"CREATE VIEW shown_in AS {rows}")


def _with_clicks(staging: Staging, settings: Settings, rows: str, source: str) -> str:
    """SQL of the rows, clicked where a click file says so too."""
    if settings[ClickArguments].click_page and not settings[PageArguments].page:
        raise PrectrError("--click_page: name the key of the page's own id with --page.")
    add_seconds(staging, "results", "timestamp", source, settings[LogArguments].times)
    hit = "row_number() OVER (ORDER BY file, row, CAST(position AS INT)) AS hit"
    staging.table("rows_in", f"SELECT *, {hit} FROM ({rows})")
    staging.table(
        "hits",
        f"""SELECT hit, page, user_id, {plain_sql("query")} AS query, item_id, seconds
            FROM rows_in LEFT JOIN results_seconds ON text = timestamp""",
    )
    join_click_files(staging, settings, source, settings[PageArguments].result_id)
    return """SELECT * EXCLUDE (hit) REPLACE (CASE WHEN hit IN (SELECT hit FROM clicked) THEN '1' ELSE clicked END
              AS clicked) FROM rows_in"""


def _rows(
    path: Path, line: int, found: dict[str, Any], arguments: PageArguments, features: Mapping[str, str]
) -> Iterator[list[Any]]:
    results, clicks = (value_at(found, name) for name in (arguments.results, arguments.clicks))
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise PrectrError(
            f"{path}: {arguments.results}, line {line}: write a list of objects, or name its key with --results."
        )
    ranks = _ranks(path, line, clicks, len(results), arguments)
    users = (value_at(found, name) for name in arguments.user or ("user", "session"))
    user = next((value for value in users if value is not None), None)
    page = [
        as_text(path, line, "user", user),
        *(_text(path, line, found, name) for name in (arguments.query, arguments.timestamp)),
        _text(path, line, found, arguments.page) if arguments.page else None,
    ]
    for place, result in enumerate(results):
        texts = [_text(path, line, result, name) for name in arguments.result_text or ("text",)]
        item = [_text(path, line, result, arguments.result_id), " ".join(filter(None, texts)) or None]
        category = _text(path, line, result, arguments.result_category)
        known = [_text(path, line, result, name) or _text(path, line, found, name) for name in features.values()]
        yield [*page, *item, category, str(place), str(int(place in ranks)), *known]


def _text(path: Path, line: int, found: dict[str, Any], name: str) -> str | None:
    return as_text(path, line, name, value_at(found, name))


def _ranks(path: Path, line: int, clicks: Any, length: int, arguments: PageArguments) -> set[int]:
    """Places from 0 that were clicked."""
    where = f"{path}: {arguments.clicks}, line {line}"
    given = [] if clicks is None else clicks if isinstance(clicks, list) else [clicks]
    every = len(given) == length and all(type(each) in (int, bool) and each in (0, 1) for each in given)
    if arguments.clicks_are == "flags" or (every and given and all(type(each) is bool for each in given)):
        if not every:
            raise PrectrError(f"{where}: found {_short(given)}: write 0 or 1 for each of the {length} results.")
        return {place for place, each in enumerate(given) if each}
    if arguments.clicks_are == "auto" and every and length > 1:
        raise PrectrError(
            f"{where}: found {_short(given)} on a page of {length}, which may be ranks, or 0 or 1 of every result: say "
            "--clicks_are ranks or --clicks_are flags."
        )
    for rank in given:
        if type(rank) is not int or not 0 <= rank - arguments.first_rank < length:
            raise PrectrError(
                f"{where}: found rank {rank!r} on a page of {length}: write ranks from "
                f"{arguments.first_rank} to {length - 1 + arguments.first_rank}, or say --first_rank "
                f"{1 - arguments.first_rank}."
            )
    return {rank - arguments.first_rank for rank in given}


def _short(values: list[Any]) -> str:
    return str(values)[:80]
