"""The teacher of engagement: what boosted trees, cross-fitted, expect of every training impression. [O]

The network has two teachers. Of relevance it learns from what a language model taught the encoder; of engagement from
trees, which on tables of counts and prices find at once what a network is slow to. Learning a mixture of the clicks and
another model's probabilities is knowledge distillation (Hinton et al. 2015, "Distilling the Knowledge in a Neural
Network", arXiv 1503.02531). A tree's probability of a row that it was fitted on leans towards that row's own click, so
trees are fitted on some users and asked about others: cross-fitting (Chernozhukov et al. 2018, "Double/debiased machine
learning for treatment and structural parameters", The Econometrics Journal 21(1)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import MOST_ROWS, Rows, fit_lightgbm, num_threads
from prectr.rank.workspace import Workspace
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.run.schema import read_json
from prectr.shared.seeds import generator

FOLDS = 5
ROWS_AT_ONCE = 1 << 18  # that are scored at once


def write_engagement(workspace: Workspace, work: Path) -> None:
    """The step `engagement`: `click_prob.npy`, by trees with the settings that the rival has chosen."""
    features = workspace.folder / "features"
    train, validation = _open(features)
    chosen = read_json(workspace.folder / "lightgbm" / "rival.json")["settings"]
    losses = workspace.losses
    found = cross_fitted(
        train,
        validation,
        chosen,
        workspace.run.seed,
        negative_sampling_rate=losses.negative_sampling_rate,
        reads_position=losses.position_debias,
        engine=workspace.engine,
        reopen=partial(_open, features),
        kept=work / "checkpoints" / "folds",
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
    engine: Engine = PLAIN,
    reopen: Callable[[], tuple[PreparedSet, PreparedSet]] | None = None,
    kept: Path | None = None,
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
        engine: who fits the trees of a fold; with `reopen`, which is picklable, other processes open both sets.
        kept: see `Engine.map`.

    Returns:
        float32 [n] in [0, 1], in the order of `train`.
    """

    threads = num_threads(min(len(train), MOST_ROWS) * (FOLDS - 1) // FOLDS)
    fits = _Fits(settings, seed, negative_sampling_rate, reads_position, threads)
    sets = reopen if reopen is not None and engine.elsewhere else lambda: (train, validation)
    job = Job(
        "trees that teach engagement", partial(fits.open, sets), partial(_scored, fits), unit="folds", cpus=threads
    )
    fold = folds(train, seed)[train.page]
    found = np.empty(len(train), np.float32)
    for number, scores in enumerate(engine.map(job, range(FOLDS), FOLDS, kept)):
        found[fold == number] = scores["click_prob"]
    return found


class _Opened(NamedTuple):
    """fold [n], of every training impression; learnt_from [m]: those that trees may be fitted on; held: where they
    stop."""

    train: PreparedSet
    fold: np.ndarray
    learnt_from: np.ndarray
    held: Rows


@dataclass(frozen=True)
class _Fits:
    """How trees are fitted; see `cross_fitted`."""

    settings: Mapping[str, Any]
    seed: int
    negative_sampling_rate: float
    reads_position: bool
    threads: int

    def open(self, sets: Callable[[], tuple[PreparedSet, PreparedSet]]) -> _Opened:
        train, validation = sets()
        fold = folds(train, self.seed)[train.page]
        return _Opened(train, fold, train.sample(MOST_ROWS, self.seed), self._rows(validation))

    def scored(self, opened: _Opened, number: int) -> Arrays:
        """P(click) of a fold's rows, in their order."""
        train, fold, learnt_from, held = opened
        own = np.flatnonzero(fold == number)
        others = self._rows(train.take(learnt_from[fold[learnt_from] != number]))
        if len(np.unique(others.clicked)) < 2:
            return {"click_prob": train.clicked[own].astype(np.float32)}
        trees = fit_lightgbm(others, held, self.seed, self.threads, (self.settings,))
        found = np.empty(len(own), np.float32)
        for start in range(0, len(own), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found[part] = trees.predict(self._rows(train.take(own[part])))
        return {"click_prob": found}

    def _rows(self, prepared: PreparedSet) -> Rows:
        rows = Rows.of(prepared, self.negative_sampling_rate)
        return rows.with_number(prepared.position) if self.reads_position and prepared.position is not None else rows


def _scored(fits: _Fits, opened: _Opened, number: int) -> Arrays:
    return fits.scored(opened, number)


def _open(features: Path) -> tuple[PreparedSet, PreparedSet]:
    """The training and the validation set."""
    train, validation = (PreparedSet.open(features / name) for name in ("train", "validation"))
    return train, validation
