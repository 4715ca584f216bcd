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


MOST_TOLD = 4
"""Differences that are told one by one."""


def differences(
    inputs_before: Mapping[str, Any], inputs: Mapping[str, Any], code_before: Mapping[str, str], code: Mapping[str, str]
) -> str:
    """In what a step's inputs and code are no longer what they were, in a line.

    Example:
        >>> differences({"learning_rate": 0.002}, {"learning_rate": 0.001}, {}, {})
        "learning_rate: 0.002 → 0.001"
    """
    told = []
    for name in sorted({*inputs_before, *inputs}):
        before, now = inputs_before.get(name), inputs.get(name)
        if fingerprint_inputs(name, {"": before}) != fingerprint_inputs(name, {"": now}):
            told.append(f"{name}: {before} → {now}" if _is_short(before) and _is_short(now) else f"{name} changed")
    if code and not code_before:
        told.append("made before code counted")
    else:
        for module in sorted({*code_before, *code}):
            if code_before.get(module) != code.get(module):
                done = "changed" if module in code_before and module in code else ""
                done = done or ("added" if module in code else "no longer used")
                told.append(f"{module.removeprefix('prectr.').replace('.', '/')}.py {done}")
    rest = len(told) - MOST_TOLD
    return ", ".join([*told[:MOST_TOLD], *([f"and {rest} more"] if rest > 0 else [])])


def _is_short(value: Any) -> bool:
    """Whether a value says something to people: a hash or a list of files does not."""
    return not isinstance(value, Mapping) and len(str(value)) <= 30


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
