"""What is saved as JSON: a folder written by newer code, or damaged since, is refused in one sentence, not opened
half-understood.
"""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from prectr.shared.errors import PrectrError
from prectr.shared.strict_json import loads
from prectr.shared.text_file import require_file

T = TypeVar("T")
KEY = "schema_version"


def versioned(config: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The settings to be saved, with the version of their format first."""
    return {KEY: version, **config}


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        PrectrError: there is no such file, or it is no JSON.
    """
    require_file(Path(path), "it is missing: make it again, or download it again.")
    try:
        return loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PrectrError(f"{path} is not JSON ({error}): save or download it again.") from error


def read_versioned(path: Path, known: int, oldest: int = 1) -> dict[str, Any]:
    """Settings written by `versioned`, without their version; those that name none are of version 1.

    Args:
        path: a JSON file. known, oldest: the newest and the oldest version that the caller can read.

    Raises:
        PrectrError: the file holds no settings, or its version is newer than `known` or older than `oldest`.
    """
    config = read_json(path)
    found = config.pop(KEY, 1) if isinstance(config, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise PrectrError(f"{path}: {KEY} is {found!r}, not a number from 1 on: save or download it again.")
    if found > known:
        raise PrectrError(
            f"{path} has {KEY} {found}, but this prectr reads versions up to {known}: update prectr, or use an older "
            "model."
        )
    if found < oldest:
        raise PrectrError(
            f"{path} has {KEY} {found}, but this prectr reads versions from {oldest} on: train the model again."
        )
    settings: dict[str, Any] = config
    return settings


def parsed(kind: type[T], stored: Any, path: Path) -> T:
    """A dataclass of what a file holds: no field missing or unknown, each value of its type, finite, in its range.

    Args:
        stored: a mapping from fields to values. path: the file, for the message.

    Raises:
        PrectrError: says what of it is wrong.
    """
    from huggingface_hub.dataclasses import type_validator  # a second, which reading results does without

    try:
        made = kind(**stored)
        hints = get_type_hints(kind)
        for field in fields(kind):  # type: ignore[arg-type]  # a dataclass
            value = getattr(made, field.name)
            type_validator(field.name, value, _as_json(hints[field.name]))
            if not _is_finite(value):
                raise TypeError(f"{field.name} is not finite")
    except (TypeError, PrectrError) as error:
        raise PrectrError(f"{path} is damaged ({str(error).rstrip('.')}): save or download it again.") from error
    return made


def member(stored: Any, name: str, path: Path, kind: type[T]) -> T:
    """`stored[name]`, of a `kind` of JSON value; raises `PrectrError`, naming the file, where there is none."""
    if not isinstance(stored, dict) or not isinstance(found := stored.get(name), kind):
        raise PrectrError(f"{path} is damaged (its {name!r} is no {kind.__name__}): save or download it again.")
    return found


def _as_json(hint: Any) -> Any:
    """The type of what JSON makes of a field: a whole number may stand for any other."""
    if hint is float:
        return int | float
    if get_origin(hint) is list:
        return list.__class_getitem__(_as_json(get_args(hint)[0]))
    if get_origin(hint) in (Union, UnionType):
        return Union.__getitem__(tuple(map(_as_json, get_args(hint))))
    return hint


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or isfinite(value)
