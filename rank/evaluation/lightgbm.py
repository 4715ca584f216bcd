"""LightGBM on exactly the ranker's columns: the rival every result is printed beside.

It gets the same features, the same categoricals and the same stage-one level probabilities, early stopping on
validation weeks, and a small fixed grid of settings chosen there (rank/training/trees.py). `position_gain` asks the
same model whether the data leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import (
    MOST_ROWS,
    SETTINGS,
    BinnedSets,
    FittedTrees,
    Rows,
    best,
    fit_lightgbm,
    num_threads,
)
from prectr.rank.workspace import TREES_FILE, Workspace
from prectr.shared import strict_json
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
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
    asked = ((other, informed), (rival, rows))
    clicked = rows["test"].clicked
    with_position, without = (auc(clicked, trees.predict(of["test"], num_threads)) for trees, of in asked)
    return None if with_position is None or without is None else with_position - without


def write_rival(workspace: Workspace, work: Path) -> None:
    """The step `lightgbm`: fit on the training set, write its scores of every other set, its trees and `rival.json`."""
    features, seed, rate = workspace.folder / "features", workspace.run.seed, workspace.losses.negative_sampling_rate
    threads = num_threads(min(len(PreparedSet.open(features / "train")), MOST_ROWS))
    rival = fit_settings(features, rate, seed, threads, workspace.engine, work / "checkpoints" / "trees")
    sets = {"train": training_rows(features, seed)}
    sets |= {name: PreparedSet.open(features / name) for name in workspace.sets()[1:]}
    for name in workspace.sets()[1:]:
        np.save(work / f"{name}.npy", rival.predict(Rows.of(sets[name], rate), threads))
    shown = ("train", "validation", "test")
    positions = {}
    for split in shown:
        position = sets[split].position
        if position is None:  # a set made before positions were kept
            position = workspace.impressions(split)["position"].to_numpy()[sets[split].impression]
        positions[split] = position
    gain = position_gain(rival, {name: Rows.of(sets[name], rate) for name in shown}, positions, seed, threads)
    rival.save(work / TREES_FILE)
    facts = {"position_gain": gain, "settings": dict(rival.settings), "rounds": rival.booster.num_trees()}
    (work / "rival.json").write_text(strict_json.dumps(facts, indent=2), encoding="utf-8")


def fit_settings(
    features: Path,
    negative_sampling_rate: float,
    seed: int,
    threads: int,
    engine: Engine = PLAIN,
    kept: Path | None = None,
) -> FittedTrees:
    """The best of `SETTINGS`, each a part that takes so many threads; `kept`: see `Engine.map`."""
    open_sets = partial(_binned, features, negative_sampling_rate, seed, threads)
    job: Job[BinnedSets, Mapping[str, Any]] = Job("trees", open_sets, _fitted, unit="settings", cpus=threads)
    found = engine.map(job, SETTINGS, len(SETTINGS), kept)
    return best([FittedTrees.of_arrays(each, chosen) for each, chosen in zip(found, SETTINGS, strict=True)])


def training_rows(features: Path, seed: int) -> PreparedSet:
    """The training set, or `MOST_ROWS` of it drawn with the seed."""
    train = PreparedSet.open(features / "train")
    return train.take(train.sample(MOST_ROWS, seed)) if len(train) > MOST_ROWS else train


def _binned(features: Path, negative_sampling_rate: float, seed: int, threads: int) -> BinnedSets:
    train, validation = training_rows(features, seed), PreparedSet.open(features / "validation")
    learnt, held = (Rows.of(each, negative_sampling_rate) for each in (train, validation))
    return BinnedSets(learnt, held, seed, threads)


def _fitted(sets: BinnedSets, chosen: Mapping[str, Any]) -> Arrays:
    return sets.fit(chosen).to_arrays()
