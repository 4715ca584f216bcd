"""Whether a stage has nothing to do, told in a moment: no table is read, nothing is hashed, no library is loaded.

When a whole `run` of a stage has ended, `artifacts/<name>/.finished/<stage>.json` keeps its settings, what of the
machine decides results, and the size and time of every file that decided or is the result, the stage's own code
included. If all of it is as it was, a run would build nothing. Otherwise the steps decide, as they do without the note:
it may be deleted, and a copied or freshly checked out project only takes the long way once.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prectr.shared.atomic import atomic_write
from prectr.shared.run import launch
from prectr.shared.run.sources import files_of
from prectr.shared.strict_json import loads

BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""A processor's names for being able to multiply in bfloat16."""


def finished_run(folder: Path, stage: str, settings: Mapping[str, Any]) -> bool:
    """Whether a run of the stage with these settings has ended, and nothing it rests on or left has changed since.

    Several launched processes take the long way: they would have to agree on the answer.

    Args:
        folder: of the data set, artifacts/<name>.
        stage: "data", "distill" or "rank".
        settings: as `settings_of` gives them; groups that the run did not have are of no account.
    """
    if launch.is_launched():
        return False
    try:
        note = loads(_note(folder, stage).read_text(encoding="utf-8"))
        given = json.loads(json.dumps({name: settings.get(name) for name in note["settings"]}))
        same = (note["settings"], note["machine"]) == (given, _machine())
        return bool(same and note["files"] == _look(note["paths"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember_run(
    folder: Path, stage: str, settings: Mapping[str, Any], paths: Iterable[Path], sources: Iterable[str]
) -> None:
    """Note that a run has ended.

    Args:
        folder, stage, settings: as for `finished_run`.
        paths: files, and folders with all their files, that decided or are the result; a path that is not there is
            noted as such.
        sources: the modules that run the stage; all they import counts, what shows results too.
    """
    noted = sorted({os.path.abspath(path) for path in [*paths, *files_of(sources)]})
    note = {"settings": dict(settings), "machine": _machine(), "paths": noted, "files": _look(noted)}
    with suppress(OSError), atomic_write(_note(folder, stage)) as temporary:  # where nothing can be noted, nothing is
        temporary.write_text(json.dumps(note), encoding="utf-8")


UNDECIDING = ("engine",)
"""Settings that decide no byte: a run that has ended is ended whatever they say now."""


def settings_of(groups: Iterable[Any]) -> dict[str, Any]:
    """The values of dataclasses of settings that may decide a result, by the dataclass's name."""
    return {
        type(group).__name__: {name: value for name, value in asdict(group).items() if name not in UNDECIDING}
        for group in groups
    }


def _note(folder: Path, stage: str) -> Path:
    return Path(folder) / ".finished" / f"{stage}.json"


def _look(paths: Iterable[str]) -> dict[str, list[int]]:
    """Size in bytes and time in nanoseconds of every file; nothing hidden, and nothing that Python caches."""
    found = {}
    for path in paths:
        files = [path] if os.path.isfile(path) else []
        for folder, inside, names in os.walk(path, followlinks=True):
            inside[:] = [name for name in inside if not name.startswith((".", "__pycache__"))]
            files += [os.path.join(folder, name) for name in names if not name.startswith(".")]
        for file in files:
            with suppress(FileNotFoundError):  # a link to nothing
                status = os.stat(file)
                found[file] = [status.st_size, status.st_mtime_ns]
    return found


def _machine() -> dict[str, Any]:
    """What of the machine decides results: its processor, whether that has bfloat16, and its GPUs."""
    listed, gpus = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    facts = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set((facts.get("flags") or facts.get("features") or "").split())
    return {
        "processor": [platform.machine(), facts.get("model name", platform.processor())],
        "bfloat16": sorted(BFLOAT16 & flags),
        "gpus": sorted(os.listdir(gpus)) if gpus.is_dir() else [],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
