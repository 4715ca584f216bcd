"""The teacher of engagement: what boosted trees, cross-fitted, expect of every training impression. [O]

The network has two teachers. Of relevance it learns from what a language model taught the encoder; of engagement from
trees, which on tables of counts and prices find at once what a network is slow to. Learning a mixture of the clicks and
another model's probabilities is knowledge distillation (Hinton et al. 2015, "Distilling the Knowledge in a Neural
Network", arXiv 1503.02531). A tree's probability of a row that it was fitted on leans towards that row's own click, so
trees are fitted on some users and asked about others: cross-fitting (Chernozhukov et al. 2018, "Double/debiased machine
learning for treatment and structural parameters", The Econometrics Journal 21(1)).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import MOST_ROWS, Rows, fit_lightgbm, num_threads
from prectr.rank.workspace import Workspace
from prectr.shared.run.console import progress_bar
from prectr.shared.run.schema import read_json
from prectr.shared.seeds import generator

FOLDS = 5
ROWS_AT_ONCE = 1 << 18  # that are scored at once


def write_engagement(workspace: Workspace, work: Path) -> None:
    """The step `engagement`: `click_prob.npy`, by trees with the settings that the rival has chosen."""
    features = workspace.folder / "features"
    train, validation = (PreparedSet.open(features / name) for name in ("train", "validation"))
    chosen = read_json(workspace.folder / "lightgbm" / "rival.json")["settings"]
    losses = workspace.losses
    found = cross_fitted(
        train,
        validation,
        chosen,
        workspace.run.seed,
        negative_sampling_rate=losses.negative_sampling_rate,
        reads_position=losses.position_debias,
    )
    np.save(work / "click_prob.npy", found)


def folds(prepared: PreparedSet, seed: int) -> np.ndarray:
    """Which of `FOLDS` parts each page belongs to [G]: all pages of a user to one, pages without a user each by itself.

    Parts have equally many users, give or take one; which these are depends on the seed and the set alone.
    """
    anonymous = int(prepared.user.max(initial=-1)) + 1 + np.arange(prepared.num_pages)
    owners, owner = np.unique(np.where(prepared.user >= 0, prepared.user, anonymous), return_inverse=True)
    return generator(seed, "folds of users").permutation(len(owners))[owner] % FOLDS


def cross_fitted(
    train: PreparedSet,
    validation: PreparedSet,
    settings: Mapping[str, Any],
    seed: int,
    *,
    negative_sampling_rate: float = 1.0,
    reads_position: bool = False,
) -> np.ndarray:
    """P(click) in the full log of every training impression, by trees that have not seen its user.

    The rows of a fold are scored by trees fitted on the other folds, stopped early on the validation weeks. Where the
    others' impressions are all clicked, all unclicked or none, there is nothing to fit: the fold keeps its clicks,
    which teach what they would without a teacher.

    Args:
        settings: one of `SETTINGS`. seed: rules folds and trees.
        negative_sampling_rate: the share of unclicked impressions that the log kept.
        reads_position: trees read the place on the page too: the loss compares them with the logit of an impression at
            its place then, and a place's due must not be counted as the item's.

    Returns:
        float32 [n] in [0, 1], in the order of `train`.
    """

    def rows(prepared: PreparedSet) -> Rows:
        found = Rows.of(prepared, negative_sampling_rate)
        return found.with_number(prepared.position) if reads_position and prepared.position is not None else found

    fold = folds(train, seed)[train.page]
    learnt_from = train.sample(MOST_ROWS, seed)
    held = rows(validation)
    found = np.empty(len(train), np.float32)
    with progress_bar("trees that teach engagement", FOLDS, "folds") as advance:
        for number in range(FOLDS):
            own = np.flatnonzero(fold == number)
            others = rows(train.take(learnt_from[fold[learnt_from] != number]))
            if len(np.unique(others.clicked)) < 2:
                found[own] = train.clicked[own]
            else:
                trees = fit_lightgbm(others, held, seed, num_threads(len(others.clicked)), (settings,))
                for start in range(0, len(own), ROWS_AT_ONCE):
                    some = own[start : start + ROWS_AT_ONCE]
                    found[some] = trees.predict(rows(train.take(some)))
            advance(1)
    return found
