"""JSON as every reader knows it: Python's own writes NaN and infinity, which are none."""

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    """`value` as JSON; a number that is not finite is null.

    Example:
        >>> dumps({"auc": float("nan")})
        '{"auc": null}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def loads(text: str | bytes) -> Any:
    """What JSON says; of text from anywhere.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
