"""What decides a step's result, as one hash."""

import hashlib
import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from prectr.shared.errors import PrectrError


def fingerprint_inputs(name: str, inputs: Mapping[str, Any]) -> str:
    """sha256 of the inputs as canonical JSON: the order of keys is irrelevant, that of lists is not."""
    _require_json(inputs, f"step {name!r}: inputs")
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_fingerprint(path: Path) -> str:
    """sha256 of a file's bytes; raises `PrectrError` if there is no such file."""
    if not Path(path).is_file():
        raise PrectrError(f"{path}: no such file.")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_json(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise PrectrError(f"{where} has the key {key!r} of type {type(key).__name__}; pass strings as keys.")
            _require_json(inner, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _require_json(inner, f"{where}[{index}]")
    elif not (value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value))):
        raise PrectrError(
            f"{where} is {value!r} of type {type(value).__name__}; pass a JSON value: string, finite number, "
            "boolean, null, list or mapping."
        )
