"""What callers hand to `Ranker.score`, as plain values: scalars of numpy, pandas and pyarrow are read as Python's own,
a missing value is missing in every spelling, and anything that could be meant in two ways is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from prectr.shared.errors import PrectrError
from prectr.shared.values.missing import MISSING_NUMBERS, is_missing
from prectr.shared.values.texts import plain_text
from prectr.shared.values.times import seconds_of
from prectr.shared.values.truths import truth_of

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
    """A scalar of any of the libraries as Python's own; None where it is missing, in any spelling.

    Raises:
        PrectrError: it is no scalar.
    """
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    elif isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if is_missing(value):
        return None
    if not isinstance(value, str | int | float | date):
        raise PrectrError(f"{where} is a {type(value).__name__}: give a text, a number or a time.")
    return value


def text(value: Any, where: str) -> str | None:
    """A text as every stage reads it (`plain_text`); None where it is missing."""
    if isinstance(value, str) and value.strip():  # a text may be the word 'none'
        return plain_text(str(value)) or None
    value = plain(value, where)
    if value is None or isinstance(value, str):
        return None if value is None else plain_text(value) or None
    raise PrectrError(f"{where} is {value!r}: give a text.")


def name(value: Any, where: str) -> str | None:
    """An id or a value of a category, as text: a whole number as its digits; None where it is missing."""
    value = plain(value, where)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes floats of a column of numbers with gaps
    return None if value is None else str(value)


def number(value: Any, where: str) -> float | None:
    """A number within float32's range; None where it is missing."""
    value = plain(value, where)
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING_NUMBERS):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise PrectrError(f"{where} is {str(value)[:80]!r}: give a number.") from None
    if abs(found) > np.finfo(np.float32).max:
        raise PrectrError(f"{where} is {value!r}: that is beyond what a 32-bit number holds.")
    return found


def truth(value: Any, where: str) -> bool:
    """A truth value as `truth_of` reads it; raises `PrectrError` where it is none, or missing."""
    try:
        found = truth_of(plain(value, where))
    except PrectrError as error:
        raise PrectrError(f"{where}: {error}") from None
    if found is None:
        raise PrectrError(f"{where} is missing: give true or false, or leave it out.")
    return found


def seconds(value: Any, where: str) -> int:
    """A time as `seconds_of` reads it; raises `PrectrError` where it is none, or missing."""
    value = plain(value, where)
    try:
        found = None if value is None else seconds_of(value)
    except PrectrError as error:
        raise PrectrError(f"{where}: {error}") from None
    if found is None:
        raise PrectrError(f"{where} is missing: give a datetime or seconds since 1970.")
    return found
