"""Numbers out of range are refused as settings are read: a field says its range once, in its metadata.

epochs: float = field(default=2.0, metadata={"help": "…", "range": (0.001, 1000)})
"""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any

from prectr.shared.errors import PrectrError

SEEDS = (0, 2**32 - 1)
"""What every library's generator takes."""

COUNT = 10**9
"""No count of pairs, tokens or steps is greater: what is, was not meant."""


class Ranged:
    """Of a dataclass of settings: checks each field's `range`, (least, most), both allowed. Of a list each number is
    checked; None, where a field may be that, passes.

    Raises:
        PrectrError: a number outside of its range, or none: NaN, infinity, a text.
    """

    def __post_init__(self) -> None:
        if (next_in_line := getattr(super(), "__post_init__", None)) is not None:
            next_in_line()
        for field in fields(self):  # type: ignore[arg-type]  # a dataclass
            if "range" in field.metadata:
                value = getattr(self, field.name)
                for number in value if isinstance(value, list) else [] if value is None else [value]:
                    check_range(field.name, number, *field.metadata["range"])


def check_range(name: str, value: Any, least: float, most: float) -> None:
    """Raises `PrectrError` unless `value` is a number from `least` to `most`."""
    # A float's infinity is refused by the bound, a NaN by no bound; a whole number may be too long for a float.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (least <= value <= most) or (isinstance(value, float) and not isfinite(value)):
        shown = str(value) if len(str(value)) < 40 else f"{str(value)[:20]}…"
        raise PrectrError(f"{name}: found {shown}; set a number from {_told(least)} to {_told(most)}.")


def _told(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,g}"
