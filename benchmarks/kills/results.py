"""What a run leaves, as values that two runs of the same settings share: no dates, no durations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

TOLD_OF_ONE_RUN = {
    *("seconds", "finished", "date", "commit", "git_commit", "command", "machine", "latency", "encoder_share"),
    *("code", "files"),  # of records: what the files hold is compared itself
    "base_model_name_or_path",  # of an adapter: a folder of the run that taught it, of which a killed one is a copy
}
"""Keys of JSON files, at any depth, that tell of one run alone."""

NOT_COMPARED = {"README.md", "report.html", "seconds.json", "training_cost.json", "runs", "label_cache"}
"""Cards and pages quote dates and durations of what is compared; a cache is cut into files as kills will have it."""


def results_of(folder: Path) -> dict[str, str]:
    """A hash of every result file in a folder of artifacts, by its path there; nothing hidden."""
    found = {}
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if not file.is_file() or any(each.startswith(".") for each in parts):
            continue
        if not NOT_COMPARED & set(parts):
            found["/".join(parts)] = hashlib.sha256(_content(file, folder)).hexdigest()
    return found


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Files that are not the same, or in one of both alone."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def leftovers(folder: Path) -> list[str]:
    """Work folders and temporary files that a finished run should have swept."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if ".part" in path.name)


def _content(file: Path, folder: Path) -> bytes:
    if file.suffix != ".json":
        return file.read_bytes()
    text = file.read_text(encoding="utf-8").replace(str(folder), "")  # an adapter names the folder of its model
    return json.dumps(_without(json.loads(text)), sort_keys=True).encode()


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without(inner)
        for key, inner in value.items()
        if key not in TOLD_OF_ONE_RUN and not key.endswith(("_runtime", "_per_second"))
    }
