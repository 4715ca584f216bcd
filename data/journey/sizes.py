"""How people say the package sizes that a retailer abbreviates: `.5 GA` is a half gallon."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "OZ": ("oz", "ounce"), "OZS": ("oz", "ounce"), "LB": ("lb", "pound"), "CT": ("count", "ct"), "PK": ("pack", "pk"),
    "L": ("liter", "l"), "LT": ("liter", "l"), "LTR": ("liter", "l"), "ML": ("ml",),
    "GA": ("gallon",), "GAL": ("gallon",), "GALON": ("gallon",), "QT": ("quart",), "PT": ("pint",),
    "DZ": ("dozen",), "DOZ": ("dozen",), "LOAD": ("load",), "LOADS": ("load",), "LD": ("load",), "LDS": ("load",),
    "SQ FT": ("sq ft",), "STEM": ("stem",),
}  # fmt: skip
_BARE_WHEN_ONE = {"gallon", "quart", "pint", "dozen"}
_NUMBER = r"(?:\d+ \d+/\d+|\d+/\d+|\d*\.?\d+)"
_SIZE = re.compile(rf"(?:[LN] )?(?P<number>{_NUMBER})\s*(?P<unit>[A-Z]+(?: FT)?)?\.?(?: BTL| BAG| CAN| PET)?$")
_MULTIPACK = re.compile(rf"(?P<number>\d+)(?: ?(?P<unit>PK|CT))?\s?/\s?{_NUMBER}\s?(?:OZ|Z|O|L|LT|ML)?$")


def spoken_sizes(package_size: str | None) -> tuple[str, ...]:
    """The ways to say a package size, the commonest first; empty if nobody would say it (`CTN`, `22 X28 IN`).

    Sizes that are said alike are alike: `1 GA`, `GAL` and `1 GALON` all give `("gallon", "1 gallon")`.
    """
    text = " ".join((package_size or "").upper().split())
    if (pack := _MULTIPACK.match(text)) and (pack["unit"] or int(pack["number"]) > 3):
        return _say(Fraction(pack["number"]), _UNITS[pack["unit"] or "PK"])
    if text in _UNITS and _UNITS[text][0] in _BARE_WHEN_ONE:
        return _say(Fraction(1), _UNITS[text])
    size = _SIZE.match(text)
    if size is None or size["unit"] not in _UNITS:
        return ()
    number = sum((Fraction(part) for part in size["number"].split()), Fraction(0))
    return _say(number, _UNITS[size["unit"]]) if 0 < number < 1000 else ()


def _say(number: Fraction, unit: tuple[str, ...]) -> tuple[str, ...]:
    if unit[0] in _BARE_WHEN_ONE:
        if number == 1:
            return unit[0], f"1 {unit[0]}"
        if number == Fraction(1, 2):
            return f"half {unit[0]}", f"half a {unit[0]}"
    return tuple(f"{float(number):g} {word}" for word in unit)
