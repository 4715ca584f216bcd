"""Boosted trees: LightGBM three ways (on clicks, on a page's order, behind a relevance cut-off), XGBoost, CatBoost.

All read the columns of `prectr.rank.training.trees`, which are the whole feature file: every number of
`PreparedSet.numeric` (what stage one's levels, exact matches and frozen soft counts of texts say is among them) and,
in two of four settings, every categorical, each library splitting categoricals its own way. All have at most
`MAX_ROUNDS` trees, and stop after `PATIENCE` trees without a gain on the validation weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from benchmarks.rivals.system import Rival, Sets, Setting, System
from prectr.rank.training.trees import COMMON, MAX_ROUNDS, PATIENCE, SETTINGS, fit_lightgbm, num_threads, parameters
from prectr.shared.metrics import ndcg_at_k

LAMBDARANK: Mapping[str, Any] = {**COMMON, "objective": "lambdarank", "metric": "ndcg", "eval_at": [10]}

XGBOOST: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "grow_policy": "lossguide",  # best leaf first, as LightGBM grows
    "max_depth": 0,  # `max_leaves` bounds a tree
    "learning_rate": 0.05,
    "subsample": 0.8,
    "max_bin": 127,
}
XGBOOST_SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"max_leaves": 31, "min_child_weight": 20, "colsample_bytree": 0.5, "reg_lambda": 10},
    {"max_leaves": 63, "min_child_weight": 20, "colsample_bytree": 0.5, "reg_lambda": 10},
    {"max_leaves": 31, "min_child_weight": 20, "colsample_bytree": 0.5, "reg_lambda": 10, "categoricals": False},
    {"max_leaves": 63, "min_child_weight": 20, "colsample_bytree": 0.5, "reg_lambda": 10, "categoricals": False},
)

CATBOOST: Mapping[str, Any] = {
    "loss_function": "Logloss",
    "learning_rate": 0.1,  # at .05 as good, in twice the time
    "border_count": 127,
    "boosting_type": "Plain",
    "max_ctr_complexity": 1,  # click rates of single categoricals, not of all pairs
    "logging_level": "Silent",
    "allow_writing_files": False,
}
CATBOOST_SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"depth": 6, "l2_leaf_reg": 3},
    {"depth": 8, "l2_leaf_reg": 10},
    {"depth": 6, "l2_leaf_reg": 3, "categoricals": False},
    {"depth": 8, "l2_leaf_reg": 10, "categoricals": False},
)

NDCG_GIVEN_UP = 0.005
FLOOR = 1e-4  # of P(click) above the cut-off; what is below it lies under this


def fit_binary(sets: Sets, setting: Setting, seed: int) -> Rival:
    """LightGBM on clicks: `prectr.rank.training.trees` with one setting. It reads the whole feature file."""
    train = sets.rows("train")
    rival = fit_lightgbm(train, sets.rows("validation"), seed, num_threads(len(train.clicked)), (setting,))

    def probability(name: str) -> np.ndarray:
        return rival.predict(sets.rows(name))

    return Rival(probability, _leaves(rival.booster), {"rounds": rival.booster.best_iteration})


def fit_xgboost(sets: Sets, setting: Setting, seed: int) -> Rival:
    """XGBoost on clicks. It reads the whole feature file; a split on a categorical parts its values into two sets."""
    import xgboost

    first = sets.rows("train").read_by(setting)
    threads = num_threads(len(first.clicked))
    kinds = ["q"] * first.numeric.shape[1] + ["c"] * first.categorical.shape[1]

    def matrix(name: str) -> xgboost.DMatrix:
        rows = sets.rows(name).read_by(setting)
        return xgboost.DMatrix(
            rows.matrix(), rows.clicked, feature_types=kinds, enable_categorical=True, nthread=threads
        )

    params = {**XGBOOST, **parameters(setting), "seed": seed, "nthread": threads}
    held = [(matrix("validation"), "validation")]
    stopping = xgboost.callback.EarlyStopping(rounds=PATIENCE, save_best=True)
    booster = xgboost.train(params, matrix("train"), MAX_ROUNDS, evals=held, verbose_eval=False, callbacks=[stopping])

    def probability(name: str) -> np.ndarray:
        return np.asarray(booster.predict(matrix(name)), np.float64)

    leaves = sum(tree.count("leaf=") for tree in booster.get_dump())
    return Rival(probability, leaves, {"rounds": booster.num_boosted_rounds()})


def fit_catboost(sets: Sets, setting: Setting, seed: int) -> Rival:
    """CatBoost on clicks. It reads the whole feature file; a categorical becomes the click rate of its value among the
    rows before, in a random order (CatBoost's ordered target statistics).
    """
    import catboost

    def pool(name: str) -> catboost.Pool:
        rows = sets.rows(name).read_by(setting)
        codes = pd.DataFrame(rows.categorical).add_prefix("category ")
        return catboost.Pool(
            pd.concat([pd.DataFrame(rows.numeric).add_prefix("number "), codes], axis=1),
            np.asarray(rows.clicked),
            cat_features=list(codes.columns),
        )

    rounds = {"iterations": MAX_ROUNDS, "od_type": "Iter", "od_wait": PATIENCE, "use_best_model": True}
    threads = num_threads(len(sets.prepared["train"]))
    model = catboost.CatBoost(
        {**CATBOOST, **rounds, **parameters(setting), "random_seed": seed, "thread_count": threads}
    )
    model.fit(pool("train"), eval_set=pool("validation"))

    def probability(name: str) -> np.ndarray:
        return np.asarray(model.predict(pool(name), prediction_type="Probability"), np.float64)[:, 1]

    return Rival(probability, len(model.get_leaf_values()), {"rounds": model.tree_count_})


def fit_lambdarank(sets: Sets, setting: Setting, seed: int) -> Rival:
    """LightGBM's LambdaRank over pages, its scores turned into probabilities.

    It reads the whole feature file, and which rows share a page. It learns the order within a page and nothing about
    how likely a page is to be clicked, so its scores are no probabilities. Platt's sigmoid, fitted on the validation
    weeks, makes them so [O]; being monotone it leaves every ranking as it was. Early stopping and the choice of
    settings go by NDCG@10 of validation pages.
    """
    train, held = sets.prepared["train"], sets.prepared["validation"]
    rows = sets.rows("train").read_by(setting)
    first, count = rows.numeric.shape[1], rows.categorical.shape[1]
    params = {**LAMBDARANK, **parameters(setting), "seed": seed, "num_threads": num_threads(len(rows.clicked))}
    data = lightgbm.Dataset(
        rows.matrix(),
        rows.clicked,
        group=np.diff(train.page_bounds()),
        categorical_feature=list(range(first, first + count)),
        params=params,
    )
    validation = sets.rows("validation").read_by(setting)
    held_data = lightgbm.Dataset(
        validation.matrix(), validation.clicked, group=np.diff(held.page_bounds()), reference=data
    )
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(params, data, MAX_ROUNDS, valid_sets=[held_data], callbacks=[stopping])

    def score(name: str) -> np.ndarray:
        return np.asarray(booster.predict(sets.rows(name).read_by(setting).matrix())).reshape(-1, 1)

    # Two parameters and thousands of rows: nothing to regularise.
    platt = LogisticRegression(C=np.inf).fit(score("validation"), validation.clicked)
    facts = {
        "rounds": booster.best_iteration,
        "calibration": {"slope": float(platt.coef_[0, 0]), "intercept": float(platt.intercept_[0])},
    }
    return Rival(lambda name: platt.predict_proba(score(name))[:, 1], _leaves(booster), facts)


def fit_cutoff(sets: Sets, setting: Setting, seed: int) -> Rival:
    """Two models, one after the other, as shops have it: a relevance cut-off, then LightGBM [O].

    It reads the whole feature file, and stage one's P(level) once more. An item whose expected level (Σ k·P(level = k),
    frozen stage one's) is under the cut-off ranks below all that are not; on either side LightGBM's P(click) decides.
    The cut-off is the strictest that costs the clicks little: of the percentiles of the validation rows' expected
    level, the highest at which NDCG@10 of validation pages is at most `NDCG_GIVEN_UP` lower than without one. Rows
    under it get LightGBM's probability times `FLOOR`, the others at least `FLOOR`: PCOC and logloss then charge the
    system for clicks on what it would not have shown.
    """
    clicks = fit_binary(sets, setting, seed)
    held = sets.prepared["validation"]
    expected, p_click = _expected_level(sets, "validation"), clicks.probability("validation")

    def quality(cutoff: float) -> float:
        return ndcg_at_k(held.page, demote(p_click, expected < cutoff), held.clicked) or 0.0

    candidates = np.unique(np.percentile(expected, np.arange(100)))  # the lowest one cuts nothing
    required = quality(candidates[0]) - NDCG_GIVEN_UP
    cutoff = float(max(candidate for candidate in candidates if quality(candidate) >= required))

    def probability(name: str) -> np.ndarray:
        return demote(clicks.probability(name), _expected_level(sets, name) < cutoff)

    facts = {"cutoff": cutoff, "cut_of_validation": float((expected < cutoff).mean())}
    return Rival(probability, clicks.parameters + 1, {**clicks.facts, **facts})


def demote(p_click: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """P(click) [n] with the rows that are `cut` [n] below all others, each side in its own order."""
    return np.where(cut, p_click * FLOOR, np.maximum(p_click, FLOOR))


def _expected_level(sets: Sets, name: str) -> np.ndarray:
    level_prob = np.asarray(sets.prepared[name].level_prob, np.float64)
    return level_prob @ np.arange(level_prob.shape[1])


def _leaves(booster: lightgbm.Booster) -> int:
    trees = booster.dump_model(num_iteration=booster.best_iteration)["tree_info"]
    return sum(tree["num_leaves"] for tree in trees)


TREES = {
    "lightgbm": System(fit_binary, SETTINGS),
    "xgboost": System(fit_xgboost, XGBOOST_SETTINGS),
    "catboost": System(fit_catboost, CATBOOST_SETTINGS),
    "lambdarank": System(fit_lambdarank, SETTINGS, chosen_by="ndcg@10"),
    "cutoff_lightgbm": System(fit_cutoff, SETTINGS, tuned_as="lightgbm"),
}
