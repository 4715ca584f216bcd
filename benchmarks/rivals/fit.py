"""Tune, train and score a rival: the same small budget for each, and every set in the ranker's row order.

Each system has four settings. They are trained once, on the training impressions of the first seed that is asked for,
and the one that is best on the validation weeks serves all seeds; that seed keeps the scores which the choice was made
by. Every training stops early on the validation weeks.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rivals.networks import NETWORKS
from benchmarks.rivals.system import Sets, System, best, judge_validation
from benchmarks.rivals.trees import TREES
from prectr.rank.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record, run_step

SYSTEMS: dict[str, System] = {**TREES, **NETWORKS}
"""Every rival by its name; all but LightGBM need the extra `bench`."""

FACTS = "facts.json"


def fit_and_score(system: str, workspace: Workspace, seed: int, work: Path) -> None:
    """Train a rival and write what it says of every evaluated set.

    Writes `work/<set>.npy`, P(click) float64 [n] in the set's row order, for validation, test, open and every rung of
    the new-user ladder; then, when all else is there, `work/facts.json`: the setting that was chosen, the figures of
    every setting tried, seconds, parameters. The choice lies in `tuned-<system>` beside `work`, for all seeds, with the
    scores of each setting: the seed that it was made with trains nothing again.

    Args:
        system: one of `SYSTEMS`. workspace: of a data set whose features are built. seed: of this training.
        work: a folder whose parent is the same for all seeds.

    Raises:
        PrectrError: no such system, features that are not built, or FuxiCTR is not installed.
    """
    if system not in SYSTEMS:
        raise PrectrError(f"there is no rival {system!r}; there are {', '.join(SYSTEMS)}.")
    rival = SYSTEMS[system]
    sets = Sets(workspace, work.parent)
    choice = tune(rival.tuned_as or system, sets, seed)
    work.mkdir(parents=True, exist_ok=True)
    tuned = sets.beside / f"tuned-{system}" / _folder_of(choice["chosen"])
    if (tuned / FACTS).exists() and _is_same(_read(tuned / FACTS), sets, seed):
        facts = _read(tuned / FACTS)
        for name in workspace.sets()[1:]:
            with atomic_write(work / f"{name}.npy") as temporary:
                shutil.copyfile(tuned / f"{name}.npy", temporary)
    else:
        facts = _train(rival, sets, choice["setting"], seed, work)
    _write({"system": system, **choice, **facts}, work / FACTS)


def tune(system: str, sets: Sets, seed: int) -> dict[str, Any]:
    """The setting of a system and how it was found: `setting`, `chosen_by`, and `tried`, one entry per setting.

    Done once for a data set, whatever seed its features have; a killed run loses at most one training.
    """
    rival = SYSTEMS[system]
    # Features are drawn anew with each seed (which users are cut short), but the choice is one for all of them.
    features = {name: value for name, value in read_record(sets.folder).inputs.items() if name != "seed"}
    settings = [dict(setting) for setting in rival.settings]
    inputs = {"features": features, "settings": settings, "chosen_by": rival.chosen_by}

    def build(work: Path) -> None:
        tried = []
        for number, setting in enumerate(settings):
            folder = work / _folder_of(number)
            folder.mkdir(exist_ok=True)
            if not (folder / FACTS).exists():
                _write(_train(rival, sets, setting, seed, folder), folder / FACTS)
            tried.append(_read(folder / FACTS))
        chosen = best([facts["validation"] for facts in tried], rival.chosen_by)
        kept = ("setting", "validation", "seconds", "seed")
        told = [{name: facts[name] for name in kept} for facts in tried]
        choice = {"setting": settings[chosen], "chosen": chosen, "chosen_by": rival.chosen_by, "tried": told}
        _write(choice, work / "choice.json")

    folder = sets.beside / f"tuned-{system}"
    run_step(f"tuned-{system}", folder, inputs, build, sources=[__name__])
    return _read(folder / "choice.json")


def _train(rival: System, sets: Sets, setting: Any, seed: int, work: Path) -> dict[str, Any]:
    """Train, write the scores of every evaluated set to `work`, and say how it went."""
    started = time.time()
    fitted = rival.fit(sets, setting, seed)
    trained = time.time()
    for name in sets.workspace.sets()[1:]:
        with atomic_write(work / f"{name}.npy") as temporary:
            np.save(temporary, fitted.probability(name))
    return {
        "seed": seed,
        "features": read_record(sets.folder).fingerprint,
        "setting": dict(setting),
        "validation": judge_validation(sets, fitted),
        "seconds": {"train": round(trained - started, 3), "score": round(time.time() - trained, 3)},
        "parameters": fitted.parameters,
        **fitted.facts,
    }


def _is_same(facts: dict[str, Any], sets: Sets, seed: int) -> bool:
    """Whether a training of this seed would be the one that `facts` tells of."""
    return facts["seed"] == seed and facts["features"] == read_record(sets.folder).fingerprint


def _folder_of(number: int) -> str:
    return f"setting-{number}"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(facts: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
