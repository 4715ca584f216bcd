"""The times and the clicks of a view: each distinct text is read once, by `prectr.shared.values`. [O]"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import identifier
from prectr.shared.values.times import CALENDARS, UNITS, find_unit, read_times, times_told
from prectr.shared.values.truths import YES, truth_of

_PART = 1 << 17
"""Texts read together."""


def add_seconds(staging: Staging, view: str, column: str, source: str, unit: str = "auto") -> None:
    """Make the table `<view>_seconds` of the distinct `text`s of a time column and their `seconds` since 1970.

    Args:
        source: what is read, for messages. unit: auto, iso, one of `UNITS` and `CALENDARS`, or a format as strptime's.

    Raises:
        PrectrError: the first value that is no time, or numbers whose unit cannot be told.
    """
    staging.table(f"{view}_texts", _distinct(view, column))
    staging.keep(f"{view}_seconds", pa.table({"text": pa.array([], pa.string()), "seconds": pa.array([], pa.int64())}))
    if not staging.value(f"SELECT count(*) FROM {view}_texts"):
        return
    # A log may have as many times as rows: they are read in parts.
    parts = partial(_in_parts, staging, f"{view}_texts")
    try:
        unit = find_unit(parts) if unit == "auto" else unit
    except PrectrError as error:
        raise PrectrError(f"{staging.origin(view, source)}: {staging.named(column)}: {error}") from None
    for texts in parts():
        staging.append(f"{view}_seconds", pa.table({"text": texts, "seconds": read_times(texts, unit).seconds}))
    staging.run(f"DROP TABLE {view}_texts")
    _refuse_null(staging, view, column, source, "seconds", lambda text: _no_time(text, unit))
    staging.tell(times_told(unit))


def add_truths(staging: Staging, view: str, column: str, source: str) -> None:
    """Make the table `<view>_truths` of the distinct `text`s of a column of yes and no, and their `truths`.

    Raises:
        PrectrError: the first value that is neither.
    """
    texts = _strings(staging.arrow(_distinct(view, column)))
    truths: list[bool | None] = []
    said: dict[str, str] = {}
    for text in texts.to_pylist():
        try:
            truths.append(bool(truth_of(text)))
        except PrectrError as error:
            truths.append(None)
            said[text] = str(error).removesuffix(".")
    staging.keep(f"{view}_truths", pa.table({"text": texts, "truths": pa.array(truths, pa.bool_())}))
    named = _as_a_click(staging, view, column) if said else ""
    _refuse_null(staging, view, column, source, "truths", lambda text: f"{said[text]}{named}.")


_MOST_WORDS = 8
"""A column of more different values is no answer to whether something was clicked."""

_CLICKED = frozenset({"click", "clicked", "klick", "geklickt", "ja", "oui", "sí", "si", "sì", "sim", "tak", "да", "是"})
"""Words for a click, or for yes in languages that are not read as such by themselves."""


def _as_a_click(staging: Staging, view: str, column: str) -> str:
    """How to say which value is a click: one that says so in some language, else the rarest, as clicks are."""
    name = identifier(column)
    counts = f"SELECT {name}, count(*) FROM {view} WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 2, 1"
    values = [str(value) for value, _ in staging.rows(f"{counts} LIMIT {_MOST_WORDS + 1}")]
    if len(values) > _MOST_WORDS:
        return ""
    yes = YES | _CLICKED | {"1"}
    likely = next((value for value in values if value.strip().lower() in yes), values[0])[:40]
    return f", or say which value is a click: --clicked_value {shlex.quote(likely)}"


def _distinct(view: str, column: str) -> str:
    """SQL: the distinct `text`s of a column."""
    name = identifier(column)
    return f"SELECT DISTINCT CAST({name} AS VARCHAR) AS text FROM {view} WHERE {name} IS NOT NULL"


def _in_parts(staging: Staging, table: str) -> Iterator[pa.Array]:
    """The texts of a table that nothing was deleted from."""
    for first in range(0, staging.value(f"SELECT count(*) FROM {table}"), _PART):
        rows = f"rowid >= {first} AND rowid < {first + _PART}"
        yield _strings(staging.arrow(f"SELECT text FROM {table} WHERE {rows}"))


def _strings(rows: pa.Table) -> pa.Array:
    return rows["text"].cast(pa.string()).combine_chunks()


def _refuse_null(staging: Staging, view: str, column: str, source: str, kind: str, said: Callable[[str], str]) -> None:
    """Refuse the first row whose value could not be read; `said` tells what is wrong with a text."""
    name = identifier(column)
    bad = staging.rows(
        f"SELECT file, row, {name}, count(*) OVER () FROM {view} WHERE {name} IN "
        f"(SELECT text FROM {view}_{kind} WHERE {kind} IS NULL) ORDER BY file, row LIMIT 1"
    )
    if bad:
        file, row, text, times = bad[0]
        more = f" (and {times - 1:,} more)" if times > 1 else ""
        raise PrectrError(f"{staging.place(view, column, file, row, source)}{more}: {said(text)}")


def _no_time(text: str, unit: str) -> str:
    form = "%" in unit
    said = f"found {text[:80]!r}, which is no time {'as' if form else 'in'} {unit}"
    if fitting := [f'"{each}"' if " " in each else each for each in _forms_of(text)]:
        which = "correct it, or say --time_format" if form else "say which it is with --time_format"
        return f"{said}: {which}, as {' or '.join(fitting)}."
    if form:
        return f"{said} between 1990 and 2100: correct it, or --time_format."
    others = ", ".join((*UNITS, *CALENDARS))
    return (
        f"{said} between 1990 and 2100: write ISO 8601 (2024-05-16T12:34:56Z), or name another --time_unit ({others})."
    )


_DATES = (("%d", "%m", "%Y"), ("%m", "%d", "%Y"), ("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%Y", "%m", "%d"))
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S", " %H:%M Uhr")
"""How dates in numbers and the clock behind them are written where ISO 8601 is not."""


def _forms_of(text: str) -> list[str]:
    """The formats in which a text is a time, day first before month first."""
    found = re.match(r"\s*\d{1,4}([./-])\d", text)
    forms = [found[1].join(date) + clock for date in _DATES for clock in _CLOCKS] if found else []
    return [form for form in forms if not read_times(pa.array([text]), form).seconds.null_count]
