"""A value of an object by its path, and as the text of a cell."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from prectr.shared.errors import PrectrError


def value_at(found: dict[str, Any], name: str) -> Any:
    """The value of a key, or of a path with dots between; None where there is none.

    A number goes into a list (`items.0.item_id`), a key into a list of pairs of key and value, as Google Analytics
    exports them (`event_params.search_term`).
    """
    if name in found:
        return found[name]
    value: Any = found
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else _in_list(value, key)
    return value


_TYPED = ("string_value", "int_value", "float_value", "double_value")
"""Where Google Analytics keeps a parameter's value, by its type."""


def _in_list(value: Any, key: str) -> Any:
    if not isinstance(value, list):
        return None
    if key.isdecimal():
        return value[int(key)] if int(key) < len(value) else None
    for each in value:
        if isinstance(each, dict) and each.get("key") == key:
            named = each.get("value")
            if isinstance(named, dict) and set(named) & set(_TYPED):
                return next((named[kind] for kind in _TYPED if named.get(kind) is not None), None)
            return named
    return None


def as_text(path: Path, number: int, name: str, value: Any) -> str | None:
    """A JSON value as a cell: a string as it is, a number as it is written.

    Raises:
        PrectrError: a list or an object.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, dict | list):
        kind = "a list" if isinstance(value, list) else "an object"
        raise PrectrError(
            f"{path}: {name}, row {number}: found {kind}: name a key of single values, such as {name}.id."
        )
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else str(value)
