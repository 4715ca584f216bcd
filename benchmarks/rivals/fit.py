"""Tune, train and score a rival: the same small budget for each, and every set in the ranker's row order.

Each system has four settings. They are trained once, on the training impressions of the first seed that is asked for,
and the one that is best on the validation weeks serves all seeds. Every training stops early on the validation weeks.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rivals.networks import NETWORKS
from benchmarks.rivals.system import Rival, Sets, System, best, judge_validation
from benchmarks.rivals.trees import TREES
from prectr.rank.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record, run_step

SYSTEMS: dict[str, System] = {**TREES, **NETWORKS}
"""Every rival by its name; the networks need FuxiCTR, the extra `bench`."""


def fit_and_score(system: str, workspace: Workspace, seed: int, work: Path) -> None:
    """Train a rival and write what it says of every evaluated set.

    Writes `work/<set>.npy`, P(click) float64 [n] in the set's row order, for validation, test, open and every rung of
    the new-user ladder; then, when all else is there, `work/facts.json`: the setting that was chosen, the figures of
    every setting tried, seconds, parameters. The choice lies in `tuned-<system>` beside `work`, for all seeds.

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
    fitted, seconds = _train(rival, sets, choice["setting"], seed)
    started = time.time()
    for name in workspace.sets()[1:]:
        with atomic_write(work / f"{name}.npy") as temporary:
            np.save(temporary, fitted.probability(name))
    facts = {
        "system": system,
        "seed": seed,
        **choice,
        "validation": judge_validation(sets, fitted),
        "seconds": {"train": seconds, "score": round(time.time() - started, 3)},
        "parameters": fitted.parameters,
        **fitted.facts,
    }
    with atomic_write(work / "facts.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


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
            path = work / f"setting-{number}.json"
            if not path.exists():
                fitted, seconds = _train(rival, sets, setting, seed)
                figures = judge_validation(sets, fitted)
                entry = {"setting": setting, "validation": figures, "seconds": seconds, "seed": seed}
                with atomic_write(path) as temporary:
                    temporary.write_text(json.dumps(entry), encoding="utf-8")
            tried.append(json.loads(path.read_text(encoding="utf-8")))
        chosen = best([entry["validation"] for entry in tried], rival.chosen_by)
        choice = {"setting": settings[chosen], "chosen_by": rival.chosen_by, "tried": tried}
        (work / "choice.json").write_text(json.dumps(choice, indent=2) + "\n", encoding="utf-8")

    folder = sets.beside / f"tuned-{system}"
    run_step(f"tuned-{system}", folder, inputs, build, sources=[__name__])
    choice: dict[str, Any] = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
    return choice


def _train(rival: System, sets: Sets, setting: Any, seed: int) -> tuple[Rival, float]:
    started = time.time()
    fitted = rival.fit(sets, setting, seed)
    return fitted, round(time.time() - started, 3)
