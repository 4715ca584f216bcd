"""The words by which programs say that there is nothing. [O]"""

from __future__ import annotations

import math
from typing import Any

_INFINITE = ("inf", "infinity", "1.#inf")
_NAN = ("nan", "1.#qnan", "1.#ind")
_SIGNED = tuple(f"{sign}{word}" for word in (*_INFINITE, *_NAN) for sign in ("", "+", "-"))

MISSING = frozenset({"", "null", "none", "nil", "undefined", "<na>", "nat", "n/a", "#n/a", "\\n", *_SIGNED})
"""In any column, in any case, with blanks round them: what pandas, JavaScript, SQL, Excel and C write for nothing.

`NA` is not among them: it is a country and a word. Infinity is: no count, price or time is infinite.
"""

MISSING_NUMBERS = MISSING | {"na", "-", "--", "?"}
"""Where only a number, a time or a yes or no can stand, what else says nothing."""


def is_missing(value: Any) -> bool:
    """Whether a value of Python, numpy or pandas is nothing: None, NaN, NaT, pandas' NA, infinity, or a word for it."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    if isinstance(value, bool | bytes):
        return False
    try:
        return bool(value != value) or not math.isfinite(float(value))
    except OverflowError:  # a whole number larger than any float
        return False
    except (TypeError, ValueError):
        # A list or an object is something; pandas' NA cannot say whether it differs from itself, and NaT is no number.
        return type(value).__name__ in ("NAType", "NaTType")
