"""When something happened: seconds, milliseconds or ISO 8601, told apart by a stated rule or refused. [O]

A column of whole numbers is a count since 1970 of the unit that puts **all** of them between 1973 and 2286: seconds
have 9 or 10 digits, milliseconds 12 or 13, microseconds 15 or 16, nanoseconds 18 or 19. Anything else must be ISO 8601,
such as `2024-05-16T12:34:56.789Z`; a time without zone or offset is taken for UTC.
"""

from __future__ import annotations

from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError

UNITS = {"seconds": (1, 9, 10), "milliseconds": (10**3, 12, 13), "microseconds": (10**6, 15, 16),
         "nanoseconds": (10**9, 18, 19)}  # fmt: skip
"""Per second, and the digits that tell them."""

_DATE, _CLOCK = r"\d{4}-\d{2}-\d{2}", r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_ISO = rf"^\s*({_DATE})([T ]({_CLOCK}))?\s?(Z|UTC|[+-]\d{{2}}(:?\d{{2}})?)?\s*$"
"""Groups: 1 the date, 3 the clock, 6 the zone."""

_SIGNED = "CASE WHEN starts_with(zone, '-') THEN -1 ELSE 1 END"
_OFFSET = f"""CASE WHEN zone IN ('', 'Z', 'UTC') THEN 0
    ELSE {_SIGNED} * (60 * CAST(substr(zone, 2, 2) AS BIGINT)
                      + coalesce(TRY_CAST(right(replace(zone, ':', ''), -3) AS BIGINT), 0)) * 60 END"""


def add_seconds(staging: Staging, view: str, column: str, source: str, unit: str = "auto") -> None:
    """Make the table `<view>_seconds` of the distinct `text`s of a time column and their `seconds` since 1970.

    Args:
        source: what is read, for messages. unit: auto, iso, or one of `UNITS`.

    Raises:
        PrectrError: the first value that is no time, or numbers whose unit cannot be told.
    """
    distinct = f"SELECT DISTINCT {column} AS text FROM {view} WHERE {column} IS NOT NULL"
    numbers = staging.value(f"SELECT bool_and(regexp_matches(text, '^\\d+$')) FROM ({distinct})")
    if unit == "auto":
        unit = _unit(staging, distinct, column, source) if numbers else "iso"
    if unit == "iso":
        seconds = f"CAST(floor(epoch(moment)) AS BIGINT) - {_OFFSET}"
        parts = f"""SELECT text, regexp_extract(text, '{_ISO}', 6) AS zone,
            TRY_CAST(regexp_extract(text, '{_ISO}', 1) || ' ' ||
                     coalesce(nullif(regexp_extract(text, '{_ISO}', 3), ''), '00:00') AS TIMESTAMP) AS moment
            FROM ({distinct})"""
    else:
        seconds = "moment"
        parts = f"SELECT text, TRY_CAST(text AS BIGINT) // {UNITS[unit][0]} AS moment FROM ({distinct})"
    staging.table(f"{view}_seconds", f"SELECT text, {seconds} AS seconds FROM ({parts})")
    bad = staging.rows(
        f"SELECT file, row, {column} FROM {view} JOIN {view}_seconds ON text = {column} WHERE seconds IS NULL "
        "ORDER BY file, row LIMIT 1"
    )
    if bad:
        remedy = "write ISO 8601 (2024-05-16T12:34:56Z), or name another --time_unit"
        raise PrectrError(
            f"{source}: {column}, row {bad[0][1]}: found {bad[0][2]!r}, which is no time in {unit}: {remedy}."
        )
    staging.tell(f"times are {'ISO 8601, UTC where none is given' if unit == 'iso' else f'{unit} since 1970'}")


def _unit(staging: Staging, distinct: str, column: str, source: str) -> str:
    least, most = staging.rows(
        f"SELECT min(CAST(text AS HUGEINT)), max(CAST(text AS HUGEINT)) FROM ({distinct}) WHERE length(text) < 30"
    )[0]
    for unit, (_, *digits) in UNITS.items():
        if least is not None and len(str(least)) in digits and len(str(most)) in digits:
            return unit
    raise PrectrError(
        f"{source}: {column}: found numbers from {least} to {most}, which may be anything: say --time_unit "
        f"{', '.join(UNITS)} (since 1970), or write ISO 8601."
    )
