"""LightGBM on exactly the ranker's columns: the rival every result is printed beside.

It gets the same features, the same categoricals and the same stage-one level probabilities, early stopping on
validation weeks, and a small fixed grid of settings chosen there (rank/training/trees.py). `position_gain` asks the
same model whether the data leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import MOST_ROWS, FittedTrees, Rows, fit_lightgbm, num_threads
from prectr.rank.workspace import TREES_FILE, Workspace
from prectr.shared import strict_json
from prectr.shared.metrics import auc


def position_gain(
    rival: FittedTrees,
    rows: Mapping[str, Rows],
    positions: Mapping[str, np.ndarray],
    seed: int,
    num_threads: int,
) -> float | None:
    """Test AUC with the position on the page as one more number, minus without: how much the page itself tells; None
    where the test pages have clicks of one kind only.

    Args:
        rival: fitted without the position; its settings are used again.
        rows, positions: by split: train, validation, test.
    """
    informed = {split: rows[split].with_number(positions[split]) for split in ("train", "validation", "test")}
    other = fit_lightgbm(informed["train"], informed["validation"], seed, num_threads, (rival.settings,))
    clicked = rows["test"].clicked
    with_position, without = auc(clicked, other.predict(informed["test"])), auc(clicked, rival.predict(rows["test"]))
    return None if with_position is None or without is None else with_position - without


def write_rival(workspace: Workspace, work: Path) -> None:
    """The step `lightgbm`: fit on the training set, write its scores of every other set, its trees and `rival.json`."""
    features, seed, rate = workspace.folder / "features", workspace.run.seed, workspace.losses.negative_sampling_rate
    sets = {name: PreparedSet.open(features / name) for name in workspace.sets()}
    if len(sets["train"]) > MOST_ROWS:
        sets["train"] = sets["train"].take(sets["train"].sample(MOST_ROWS, seed))
    threads = num_threads(len(sets["train"]))
    rival = fit_lightgbm(Rows.of(sets["train"], rate), Rows.of(sets["validation"], rate), seed, threads)
    for name in workspace.sets()[1:]:
        np.save(work / f"{name}.npy", rival.predict(Rows.of(sets[name], rate)))
    shown = ("train", "validation", "test")
    positions = {}
    for split in shown:
        position = sets[split].position
        if position is None:  # a set made before positions were kept
            position = workspace.impressions(split)["position"].to_numpy()[sets[split].impression]
        positions[split] = position
    gain = position_gain(rival, {name: Rows.of(sets[name], rate) for name in shown}, positions, seed, threads)
    rival.save(work / TREES_FILE)
    facts = {"position_gain": gain, "settings": dict(rival.settings), "rounds": rival.booster.best_iteration}
    (work / "rival.json").write_text(strict_json.dumps(facts, indent=2), encoding="utf-8")
