"""What callers hand to `Ranker.score`, as plain values: scalars of numpy, pandas and pyarrow are read as Python's own,
a missing value is missing in every spelling, and anything that could be meant in two ways is refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from prectr.shared.errors import PrectrError

MISSING = {"", "nan", "none", "null", "na", "n/a", "<na>", "nat"}
"""How a missing value is spelt where it has become a text."""

TRUTH = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
EARLIEST, LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2100))
PREFIXES = ("num_", "cat_", "ctx_")
CLOSE = 0.8
"""How alike a key and a known one are, of 1, if one is taken for a slip of the other."""


def mappings(given: Iterable[Any] | None, name: str, each: str) -> list[dict[str, Any]]:
    """Any iterable of mappings, such as a generator, as a list.

    Args:
        name: of the argument, and `each` of its elements, for messages.

    Raises:
        PrectrError: it is a text, a table, one mapping, or holds something else than mappings.
    """
    remedy = f"give a list of mappings, one for each {each} (of a DataFrame: to_dict('records'))"
    if isinstance(given, str | bytes | Mapping | pa.Table) or hasattr(given, "keys") or not isinstance(given, Iterable):
        raise PrectrError(f"{name} is a {type(given).__name__}: {remedy}.")
    found = []
    for number, element in enumerate(given):
        if not hasattr(element, "keys"):  # a row of a DataFrame is no Mapping, but has keys
            raise PrectrError(f"{each} {number} is a {type(element).__name__}: {remedy}.")
        found.append({key: element[key] for key in element.keys()})  # noqa: SIM118
    return found


def check_keys(given: Collection[Any], known: Collection[str], where: str) -> None:
    """Raises `PrectrError` for a feature that the ranker was not trained with, and for the slip of a known key; other
    keys are the caller's own.
    """
    for key in given:
        if key in known:
            continue
        if not isinstance(key, str):
            raise PrectrError(f"{where}: the key {key!r} is a {type(key).__name__}: name values by texts.")
        features = [name for name in known if name.startswith(PREFIXES)]
        of_feature = key.startswith(PREFIXES)
        absent = [name for name in (features if of_feature else known) if name not in given]
        near = difflib.get_close_matches(key.lower(), absent, 1, cutoff=CLOSE)
        if near or of_feature:
            hint = f"is it {near[0]!r}? If so rename it, else leave it out" if near else "leave it out"
            raise PrectrError(f"{where}: {key!r} is nothing this ranker was trained with: {hint}.")


def plain(value: Any, where: str) -> Any:
    """A scalar of any of the libraries as Python's own; None where it is missing (NaN, infinite, NaT, empty).

    Raises:
        PrectrError: it is no scalar.
    """
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    elif isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if not isinstance(value, str | int | float | datetime):
        raise PrectrError(f"{where} is a {type(value).__name__}: give a text, a number or a time.")
    return None if isinstance(value, str) and not value.strip() else value


def text(value: Any, where: str) -> str | None:
    """A text as it is; None where it is missing."""
    value = plain(value, where)
    if value is None or isinstance(value, str):
        return value
    raise PrectrError(f"{where} is {value!r}: give a text.")


def name(value: Any, where: str) -> str | None:
    """An id or a value of a category, as text: a whole number as its digits; None where it is missing."""
    value = plain(value, where)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes floats of a column of numbers with gaps
    return None if value is None or str(value).strip().lower() in MISSING else str(value)


def number(value: Any, where: str) -> float | None:
    """A number within float32's range; None where it is missing."""
    value = plain(value, where)
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise PrectrError(f"{where} is {value!r}: give a number.") from None
    if not math.isfinite(found):
        return None
    if abs(found) > np.finfo(np.float32).max:
        raise PrectrError(f"{where} is {value!r}: that is beyond what a 32-bit number holds.")
    return found


def truth(value: Any, where: str) -> bool:
    """A truth value by its word or as 0 or 1.

    Raises:
        PrectrError: it is neither, or missing.
    """
    value = plain(value, where)
    word = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip().lower()
    if word not in TRUTH:
        raise PrectrError(f"{where} is {value!r}: give true or false, or leave it out.")
    return TRUTH[word]


def seconds(value: Any, where: str) -> int:
    """A time as whole seconds since 1970: a datetime or ISO 8601 (UTC where no zone is named), or seconds.

    Raises:
        PrectrError: it is none, or not in 1990 to 2099: milliseconds are not guessed.
    """
    value = plain(value, where)
    remedy = "give a datetime, ISO 8601 with date and clock, or seconds since 1970"
    found: float | None = None
    if isinstance(value, datetime):
        found = value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and ":" in value:
        try:
            moment = datetime.fromisoformat(value.strip())
            found = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except ValueError:
            pass
    elif isinstance(value, str):
        found = number(value, where)
    if found is None:
        raise PrectrError(f"{where} is {value!r}: {remedy}.")
    if not EARLIEST <= found < LATEST:
        raise PrectrError(
            f"{where} is {value!r}, which as seconds since 1970 is not between 1990 and 2100: {remedy} (milliseconds "
            "are a thousand times as many)."
        )
    return math.floor(found)
