"""Versions of what is saved: a folder written by newer code is refused in one sentence, not opened half-understood."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prectr.shared.errors import PrectrError

KEY = "schema_version"


def versioned(config: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The settings to be saved, with the version of their format first."""
    return {KEY: version, **config}


def read_versioned(path: Path, known: int, oldest: int = 1) -> dict[str, Any]:
    """Settings written by `versioned`, without their version; those that name none are of version 1.

    Args:
        path: a JSON file. known, oldest: the newest and the oldest version that the caller can read.

    Raises:
        PrectrError: the file holds no settings, or its version is newer than `known` or older than `oldest`.
    """
    try:
        config: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PrectrError(f"{path} is not JSON ({error}): save or download it again.") from error
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
