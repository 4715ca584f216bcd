"""Boosted trees on exactly the ranker's columns: LightGBM, early stopping on the validation weeks.

They are twice of use: as the rival that every result is printed beside (rank/evaluation/lightgbm.py), and as the
teacher of engagement (rank/training/engagement.py). Both get the features, categoricals and stage-one level
probabilities that the network gets, and one of the same few settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import torch

from prectr.rank.features.prepared_set import PreparedSet
from prectr.shared.engine.job import Arrays

MOST_ROWS = 5_000_000
"""Training rows, at most, that LightGBM learns from: it holds them in memory, the network does not."""

MAX_ROUNDS = 1000
ROWS_PER_THREAD = 50_000
PATIENCE = 40
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.7, "lambda_l2": 1.0},
    {"num_leaves": 63, "min_data_in_leaf": 100, "feature_fraction": 0.5, "lambda_l2": 10.0},
    {"num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.5, "lambda_l2": 10.0, "categoricals": False},
    {"num_leaves": 63, "min_data_in_leaf": 100, "feature_fraction": 0.5, "lambda_l2": 10.0, "categoricals": False},
)
"""What is tried. `categoricals` is ours and no parameter of a library: without them trees read the numbers alone. Ids
are then not learnt by heart: .005 of AUC on the default data, .003 on `listings` (validation)."""

COMMON: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    # Of settings that read categoricals: thousands of item ids would otherwise be learnt by heart.
    "cat_smooth": 100.0,
    "min_data_per_group": 50,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,  # the same trees as row by row, in nine tenths of the time
    "verbosity": -1,
    # Binning must not depend on the settings: one data set serves them all.
    "feature_pre_filter": False,
}
"""What all settings share."""


def num_threads(rows: int) -> int:
    """Threads for so many training rows: on few of them threads wait for each other more than they work, for minutes
    where the cores are busy. At most those that torch was given (OMP_NUM_THREADS, or all cores).
    """
    return min(torch.get_num_threads(), 1 + rows // ROWS_PER_THREAD)


class Rows(NamedTuple):
    """numeric float32 [n, F] and categorical int [n, C] as the feature map gives them, clicked 0/1 [n].

    `weight` [n]: how much each row counts (`PreparedSet.full_log_weight`); None: all alike.
    """

    numeric: np.ndarray
    categorical: np.ndarray
    clicked: np.ndarray
    weight: np.ndarray | None = None

    @classmethod
    def of(cls, prepared: PreparedSet, negative_sampling_rate: float) -> Rows:
        """What trees read of a prepared set; where its log was thinned, they learn the full one's probabilities."""
        weight = prepared.full_log_weight(negative_sampling_rate)
        return cls(prepared.numeric, prepared.categorical, prepared.clicked, weight)

    def read_by(self, settings: Mapping[str, Any]) -> Rows:
        """The columns that trees of these settings split on."""
        return self if settings.get("categoricals", True) else self._replace(categorical=self.categorical[:, :0])

    def matrix(self) -> np.ndarray:
        """[n, F + C] float32; the categoricals' codes last."""
        return np.concatenate([self.numeric, self.categorical], 1, dtype=np.float32)

    def with_number(self, values: np.ndarray) -> Rows:
        """The same rows with one more number [n]."""
        return self._replace(numeric=np.column_stack([self.numeric, values]))


@dataclass(frozen=True)
class FittedTrees:
    """A fitted booster and how it was chosen."""

    booster: lightgbm.Booster
    settings: Mapping[str, Any]
    validation_logloss: float

    def to_arrays(self) -> Arrays:
        """What `of_arrays` makes the same trees of, up to the round that was best, wherever it is."""
        text = self.booster.model_to_string().encode()
        return {"trees": np.frombuffer(text, np.uint8), "logloss": np.array(self.validation_logloss)}

    @classmethod
    def of_arrays(cls, arrays: Arrays, settings: Mapping[str, Any]) -> FittedTrees:
        """Of what `to_arrays` gave of trees of these settings."""
        text = arrays["trees"].tobytes().decode()
        return cls(lightgbm.Booster(model_str=text), settings, float(arrays["logloss"]))

    def predict(self, rows: Rows, num_threads: int | None = None) -> np.ndarray:
        """P(click) float64 [n]."""
        more: dict[str, Any] = {} if num_threads is None else {"num_threads": num_threads}
        return np.asarray(self.booster.predict(rows.read_by(self.settings).matrix(), **more))

    def save(self, path: Path) -> None:
        """Write the trees as text, up to the round that was best."""
        self.booster.save_model(path)

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, Any]) -> FittedTrees:
        """What `save` wrote of trees of these settings."""
        return cls(lightgbm.Booster(model_file=path), settings, float("nan"))


def parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings, what a library is told."""
    return {name: value for name, value in settings.items() if name != "categoricals"}


def fit_lightgbm(
    train: Rows,
    validation: Rows,
    seed: int,
    num_threads: int,
    settings: tuple[Mapping[str, Any], ...] = SETTINGS,
) -> FittedTrees:
    """The best of `settings` by validation logloss, each stopped early on it; the same seed gives the same trees."""
    sets = BinnedSets(train, validation, seed, num_threads)
    return best([sets.fit(chosen) for chosen in settings])


def best(fitted: Sequence[FittedTrees]) -> FittedTrees:
    """Those of the lowest validation logloss, the first of equals."""
    return min(fitted, key=lambda trees: trees.validation_logloss)


class BinnedSets:
    """Training and validation rows, binned once for all settings that read the same columns.

    Args:
        seed, num_threads: of every fit.
    """

    def __init__(self, train: Rows, validation: Rows, seed: int, num_threads: int) -> None:
        self._train, self._validation = train, validation
        self._common = {**COMMON, "objective": "binary", "seed": seed, "num_threads": num_threads}
        self._binned: dict[bool, tuple[lightgbm.Dataset, lightgbm.Dataset]] = {}

    def fit(self, chosen: Mapping[str, Any]) -> FittedTrees:
        """Trees of these settings, stopped early on the validation rows; the same seed gives the same trees."""
        reads = bool(chosen.get("categoricals", True))
        if reads not in self._binned:
            rows = self._train.read_by(chosen), self._validation.read_by(chosen)
            self._binned[reads] = _datasets(*rows, self._common)
        learnt, held = self._binned[reads]
        stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
        booster = lightgbm.train(
            {**self._common, **parameters(chosen)},
            learnt,
            MAX_ROUNDS,
            valid_sets=[held],
            valid_names=["validation"],
            callbacks=[stopping],
        )
        return FittedTrees(booster, chosen, float(booster.best_score["validation"]["binary_logloss"]))


def _datasets(train: Rows, validation: Rows, common: Mapping[str, Any]) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """Both sets binned by the training rows."""
    first, count = train.numeric.shape[1], train.categorical.shape[1]
    learnt = lightgbm.Dataset(
        train.matrix(),
        train.clicked,
        weight=train.weight,
        categorical_feature=list(range(first, first + count)),
        params=dict(common),
    )
    held = lightgbm.Dataset(validation.matrix(), validation.clicked, weight=validation.weight, reference=learnt)
    return learnt, held
