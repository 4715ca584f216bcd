"""When something happened, in seconds since 1970: the unit of a number is known or asked for, never guessed. [O]

A text is ISO 8601, such as `2024-05-16T12:34:56.789Z` (also with slashes, or compact as `20240516T123456Z`); without
zone or offset it is UTC. A number is read as each of `UNITS` and `CALENDARS`; if one of them alone puts **all** values
of the column between 1990 and 2100, that is the unit, else it must be said. Two-digit years are read where they are
asked for alone: `0103241405` may be 2001 or 2024. Nothing outside 1990 to 2100 is a time.
"""

from __future__ import annotations

import datetime as calendar
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from prectr.shared.errors import PrectrError
from prectr.shared.values.missing import is_missing

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Since 1970, per second."""

CALENDARS = ("YYYYMMDD", "YYYYMMDDHHMM", "YYYYMMDDHHMMSS", "YYMMDDHHMM", "YYMMDDHHMMSS")
"""Digits that are a date, or a date and a clock, in UTC."""

FIRST = int(calendar.datetime(1990, 1, 1, tzinfo=calendar.UTC).timestamp())
LAST = int(calendar.datetime(2100, 1, 1, tzinfo=calendar.UTC).timestamp())
"""A time is from FIRST up to, but not, LAST."""

_NUMBER = r"^\d+(\.\d+)?([eE][+]?\d+)?$"
_DATE = r"(?P<Y>\d{4})[-/]?(?P<M>\d{2})[-/]?(?P<D>\d{2})"
_CLOCK = r"(?P<h>\d{2}):?(?P<m>\d{2})(?::?(?P<sec>\d{2})(?:[.,]\d+)?)?"
_ISO = rf"^{_DATE}(?:[T ]{_CLOCK})?\s?(?P<zone>Z|z|UTC|GMT|[+-]\d{{2}}(?::?\d{{2}})?)?$"
_SHAPE = (
    r"^(\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?|\d{4}/\d{2}/\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?"
    r"|\d{8}T\d{4}(\d{2}([.,]\d+)?)?)\s?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?$"
)
"""With its separators or without any, not half of them."""


@dataclass(frozen=True)
class Times:
    """`seconds` since 1970, int64 [n], null where a text is no time between 1990 and 2100; and their `unit`."""

    seconds: pa.Array
    unit: str


def read_times(texts: pa.Array, unit: str = "auto") -> Times:
    """The times of a column's (distinct) texts, none of which is null.

    Args:
        unit: auto, iso, one of `UNITS` and `CALENDARS`, or a format as strptime takes it, such as `%d.%m.%Y`.

    Raises:
        PrectrError: numbers whose unit cannot be told; what was found and what to say, without where.
    """
    texts = pc.utf8_trim_whitespace(texts.cast(pa.string()))
    unit = find_unit(lambda: [texts]) if unit == "auto" else unit
    return Times(_read(texts, unit), unit)


def find_unit(parts: Callable[[], Iterable[pa.Array]]) -> str:
    """What the texts of a column are written in: `iso`, or the only unit that puts all numbers between 1990 and 2100.

    Args:
        parts: gives the column's (distinct) texts, none of which is null, in as many arrays as there are; may be asked
            twice.

    Raises:
        PrectrError: as `read_times`.
    """
    fit, seen = [*UNITS, *CALENDARS], False
    for part in parts():
        texts = pc.utf8_trim_whitespace(part.cast(pa.string()))
        if not pc.all(pc.match_substring_regex(texts, _NUMBER), min_count=0).as_py():
            return "iso"
        fit, seen = [unit for unit in fit if not _read(texts, unit).null_count], seen or bool(len(texts))
    if not seen:
        return "iso"
    if len(fit) == 1 and not fit[0].startswith("YYMM"):
        return fit[0]
    _refuse_units(chain.from_iterable(pc.utf8_trim_whitespace(part.cast(pa.string())) for part in parts()), fit)


def seconds_of(value: Any) -> int | None:
    """A moment that a program hands over, in seconds since 1970; None where there is none.

    Args:
        value: a datetime or date (also of numpy and pandas; without zone: UTC), ISO 8601, or seconds since 1970 as a
            number or text.

    Raises:
        PrectrError: no time, or one outside 1990 to 2100, as milliseconds are; without where.
    """
    if is_missing(value) and not isinstance(value, int | float):
        return None
    found = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.datetime64):
        found = int(value.astype("datetime64[s]").astype(np.int64))
    elif isinstance(found, calendar.datetime):
        found = (found if found.tzinfo else found.replace(tzinfo=calendar.UTC)).timestamp()
    elif isinstance(found, calendar.date):
        found = calendar.datetime(found.year, found.month, found.day, tzinfo=calendar.UTC).timestamp()
    elif isinstance(found, str):
        text = pa.array([found.strip()])
        number = pc.match_substring_regex(text, _NUMBER)[0].as_py()
        found = float(found) if number else _read(text, "iso")[0].as_py()
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise PrectrError(f"found {str(value)[:80]!r}, which is no time: give a datetime or seconds since 1970.")
    if not FIRST <= found < LAST:
        scale = next((name for name, per in UNITS.items() if per > 1 and FIRST <= found / per < LAST), None)
        hint = f" (in {scale}?)" if scale else ""
        raise PrectrError(
            f"found {str(value)[:80]!r}, which is outside 1990 to 2100{hint}: give a datetime or seconds since 1970."
        )
    return math.floor(found)


def times_told(unit: str) -> str:
    """How the times of a column were read, for reports."""
    if unit == "iso":
        return "times are ISO 8601, UTC where none is given"
    if "%" in unit:
        return f"times are written as {unit}, UTC where no zone is given"
    return f"times are {unit} since 1970" if unit in UNITS else f"times are {unit}, taken for UTC"


def _refuse_units(texts: Iterable[pa.Scalar], fit: Sequence[str]) -> NoReturn:
    """Say which units numbers may be of, and what to do."""
    ends: list[pa.Scalar] = []
    for text in texts:
        ends = sorted([*ends, text], key=_size)
        ends = [ends[0], ends[-1]]
    least, most = (end.as_py()[:40] for end in ends)
    found = f"found numbers from {least} to {most}" if least != most else f"found the number {least}"
    if fit:
        raise PrectrError(f"{found}, which may be {' or '.join(fit)}: say which with --time_unit.")
    raise PrectrError(
        f"{found}, which may be anything: say --time_unit {', '.join(UNITS)} (since 1970), or write ISO 8601."
    )


def _size(text: pa.Scalar) -> tuple[int, str]:
    whole = text.as_py().partition(".")[0].lstrip("0")
    return len(whole), whole


def _read(texts: pa.Array, unit: str) -> pa.Array:
    if "%" in unit:
        seconds, known = _formatted(texts, unit)
    elif unit == "iso":
        seconds, known = _iso(texts)
    elif unit in UNITS:
        seconds, known = _counted(texts, UNITS[unit])
    else:
        seconds, known = _digits(texts, unit)
    known &= (seconds >= FIRST) & (seconds < LAST)
    return pa.array(seconds, pa.int64(), mask=~known)


def _counted(texts: pa.Array, per_second: int) -> tuple[np.ndarray, np.ndarray]:
    whole = pc.match_substring_regex(texts, r"^\d{1,18}$|^[1-8]\d{18}$")
    counts = pc.if_else(whole, texts, "0").cast(pa.int64()).to_numpy(zero_copy_only=False) // per_second
    other = pc.and_(pc.match_substring_regex(texts, _NUMBER), pc.invert(whole))
    fractions = pc.if_else(other, texts, "0").cast(pa.float64()).to_numpy(zero_copy_only=False) / per_second
    is_whole, is_other = (_mask(each) for each in (whole, other))
    near = np.floor(np.where(is_other & (fractions < LAST), fractions, 0)).astype(np.int64)
    return np.where(is_whole, counts, near), is_whole | (is_other & (fractions < LAST))


def _digits(texts: pa.Array, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Of numbers that are a calendar's digits; a column of floats has written `.0` behind them."""
    texts = pc.replace_substring_regex(texts, r"\.0+$", "")
    whole = pc.match_substring_regex(texts, rf"^\d{{{len(form)}}}$")
    texts = pc.if_else(whole, texts, "0" * len(form))
    years = 4 if form.startswith("YYYY") else 2
    ends = [0, *range(years, len(form) + 1, 2)]
    parts = [_whole_numbers(pc.utf8_slice_codeunits(texts, a, b)) for a, b in zip(ends, ends[1:], strict=False)]
    if years == 2:
        parts[0] = np.where(parts[0] < 90, 2000, 1900) + parts[0]
    seconds, known = _civil(*parts, *[np.zeros(len(texts), np.int64)] * (6 - len(parts)))
    return seconds, known & _mask(whole)


def _iso(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    shaped = pc.match_substring_regex(texts, _SHAPE)
    parts = pc.extract_regex(pc.if_else(shaped, texts, "1970-01-01"), _ISO)
    named = {name: pc.struct_field(parts, name) for name in ("Y", "M", "D", "h", "m", "sec", "zone")}
    zone = pc.replace_substring(named.pop("zone"), ":", "")
    numbers = [_whole_numbers(pc.if_else(pc.equal(each, ""), "0", each)) for each in named.values()]
    seconds, known = _civil(*numbers)
    has_offset = pc.match_substring_regex(zone, r"^[+-]")
    offset = pc.if_else(has_offset, zone, "+00")
    hours = _whole_numbers(pc.utf8_slice_codeunits(offset, 1, 3))
    rest = pc.utf8_slice_codeunits(offset, 3, 5)
    minutes = _whole_numbers(pc.if_else(pc.equal(rest, ""), "0", rest))
    sign = np.where(_mask(pc.starts_with(offset, "-")), -1, 1)
    known &= (hours <= 14) & (minutes < 60)
    return seconds - sign * (hours * 3600 + minutes * 60), known & _mask(shaped)


def _formatted(texts: pa.Array, form: str) -> tuple[np.ndarray, np.ndarray]:
    found = pd.to_datetime(pd.Series(texts.to_pylist(), dtype=object), format=form, errors="coerce", utc=True)
    known = np.array(found.notna(), bool)
    seconds = found.fillna(pd.Timestamp(0, tz="UTC")).to_numpy("datetime64[s]").astype(np.int64)
    return seconds, known


def _civil(
    year: np.ndarray, month: np.ndarray, day: np.ndarray, hour: np.ndarray, minute: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 of dates and clocks, and whether there are such."""
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    known = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == months)
    known &= (hour < 24) & (minute < 60) & (second < 60)
    return days.astype(np.int64) * 86400 + hour * 3600 + minute * 60 + second, known


def _whole_numbers(texts: pa.Array) -> np.ndarray:
    return np.asarray(texts.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _mask(values: pa.Array | Sequence[bool]) -> np.ndarray:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)
