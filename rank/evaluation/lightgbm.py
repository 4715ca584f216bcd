"""LightGBM on exactly the ranker's columns: the rival every result is printed beside.

It gets the same features, the same categoricals and the same stage-one level probabilities, early stopping on
validation weeks, and a small fixed grid of settings chosen there. `position_gain` asks the same model whether the
data leak.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from sklearn.metrics import roc_auc_score

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.workspace import Workspace

RIVAL_ROWS = 5_000_000
"""Training rows, at most, that LightGBM learns from: it holds them in memory, the network does not."""

MAX_ROUNDS = 1000
ROWS_PER_THREAD = 50_000
PATIENCE = 40
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.7, "lambda_l2": 1.0},
    {"num_leaves": 15, "min_data_in_leaf": 200, "feature_fraction": 0.5, "lambda_l2": 10.0},
    {"num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.5, "lambda_l2": 10.0},
    {"num_leaves": 63, "min_data_in_leaf": 100, "feature_fraction": 0.5, "lambda_l2": 10.0},
)

COMMON: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    # Thousands of item ids would otherwise be learnt by heart: without it the default data lose .009 AUC.
    "cat_smooth": 100.0,
    "min_data_per_group": 50,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    # Binning must not depend on the settings: one data set serves them all.
    "feature_pre_filter": False,
}
"""What all settings share."""


def num_threads(rows: int) -> int:
    """Threads for so many training rows: on few of them threads wait for each other more than they work, for minutes
    where the cores are busy.
    """
    return min(os.cpu_count() or 1, 1 + rows // ROWS_PER_THREAD)


class Rows(NamedTuple):
    """numeric float32 [n, F] and categorical int [n, C] as the feature map gives them, clicked 0/1 [n].

    `weight` [n]: how much each row counts (`PreparedSet.full_log_weight`); None: all alike.
    """

    numeric: np.ndarray
    categorical: np.ndarray
    clicked: np.ndarray
    weight: np.ndarray | None = None

    def matrix(self) -> np.ndarray:
        """[n, F + C] float32; the categoricals' codes last."""
        return np.concatenate([self.numeric, self.categorical], 1, dtype=np.float32)

    def with_number(self, values: np.ndarray) -> Rows:
        """The same rows with one more number [n]."""
        return self._replace(numeric=np.column_stack([self.numeric, values]))


@dataclass(frozen=True)
class LightGBMRival:
    """A fitted booster and how it was chosen."""

    booster: lightgbm.Booster
    settings: Mapping[str, Any]
    validation_logloss: float

    def predict(self, rows: Rows) -> np.ndarray:
        """P(click) float64 [n]."""
        return np.asarray(self.booster.predict(rows.matrix()))


def fit_lightgbm(
    train: Rows,
    validation: Rows,
    seed: int,
    num_threads: int,
    settings: tuple[Mapping[str, Any], ...] = SETTINGS,
) -> LightGBMRival:
    """The best of `settings` by validation logloss, each stopped early on it; the same seed gives the same trees."""
    first, count = train.numeric.shape[1], train.categorical.shape[1]
    common = {**COMMON, "objective": "binary", "seed": seed, "num_threads": num_threads}
    data = lightgbm.Dataset(
        train.matrix(),
        train.clicked,
        weight=train.weight,
        categorical_feature=list(range(first, first + count)),
        params=common,
    )
    held = lightgbm.Dataset(validation.matrix(), validation.clicked, weight=validation.weight, reference=data)
    fitted = []
    for chosen in settings:
        stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
        booster = lightgbm.train(
            {**common, **chosen}, data, MAX_ROUNDS, valid_sets=[held], valid_names=["validation"], callbacks=[stopping]
        )
        logloss = float(booster.best_score["validation"]["binary_logloss"])
        fitted.append(LightGBMRival(booster, chosen, logloss))
    return min(fitted, key=lambda rival: rival.validation_logloss)


def position_gain(
    rival: LightGBMRival,
    rows: Mapping[str, Rows],
    positions: Mapping[str, np.ndarray],
    seed: int,
    num_threads: int,
) -> float:
    """Test AUC with the position on the page as one more number, minus without: how much the page itself tells.

    Args:
        rival: fitted without the position; its settings are used again.
        rows, positions: by split: train, validation, test.
    """
    informed = {split: rows[split].with_number(positions[split]) for split in ("train", "validation", "test")}
    other = fit_lightgbm(informed["train"], informed["validation"], seed, num_threads, (rival.settings,))
    clicked = rows["test"].clicked
    with_position = roc_auc_score(clicked, other.predict(informed["test"]))
    return float(with_position - roc_auc_score(clicked, rival.predict(rows["test"])))


def write_rival(workspace: Workspace, work: Path) -> None:
    """The step `lightgbm`: fit on the training set, write its scores of every other set and `rival.json`."""
    features, seed, rate = workspace.folder / "features", workspace.run.seed, workspace.losses.negative_sampling_rate

    def rows(prepared: PreparedSet) -> Rows:
        return Rows(prepared.numeric, prepared.categorical, prepared.clicked, prepared.full_log_weight(rate))

    sets = {name: PreparedSet.open(features / name) for name in workspace.sets()}
    if len(sets["train"]) > RIVAL_ROWS:
        sets["train"] = sets["train"].take(sets["train"].sample(RIVAL_ROWS, seed))
    threads = num_threads(len(sets["train"]))
    rival = fit_lightgbm(rows(sets["train"]), rows(sets["validation"]), seed, threads)
    for name in workspace.sets()[1:]:
        np.save(work / f"{name}.npy", rival.predict(rows(sets[name])))
    shown = ("train", "validation", "test")
    positions = {}
    for split in shown:
        position = sets[split].position
        if position is None:  # a set made before positions were kept
            position = workspace.impressions(split)["position"].to_numpy()[sets[split].impression]
        positions[split] = position
    gain = position_gain(rival, {name: rows(sets[name]) for name in shown}, positions, seed, threads)
    facts = {"position_gain": gain, "settings": dict(rival.settings), "rounds": rival.booster.best_iteration}
    (work / "rival.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
