"""Yes or no, by words and numbers; what is neither is refused: not all that Python calls true is a click. [O]"""

from __future__ import annotations

import math
from typing import Any

from prectr.shared.errors import PrectrError
from prectr.shared.values.missing import MISSING_NUMBERS, is_missing

YES = frozenset({"true", "t", "yes", "y", "on"})
NO = frozenset({"false", "f", "no", "n", "off"})


def truth_of(value: Any) -> bool | None:
    """Whether a value says yes; None where it says nothing.

    Args:
        value: a bool, a word of `YES` or `NO` in any case, or a number from 0 that counts: 0 is no, more is yes; of
            Python, numpy or pandas, or as text.

    Raises:
        PrectrError: anything else; what was found and what to write, without where.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    if is_missing(word) or (isinstance(word, str) and word in MISSING_NUMBERS):
        return None
    if isinstance(word, str) and word in YES | NO:
        return word in YES
    try:
        number = float(word)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise PrectrError(f"found {str(value)[:80]!r}: write true or false, 1 or 0.")
    return number > 0
