"""What a rival is: how it is trained, how it is chosen, and the sets it shares with the ranker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import Rows
from prectr.rank.workspace import Workspace
from prectr.shared import metrics

Setting = Mapping[str, Any]
Figures = dict[str, float | None]


@dataclass
class Sets:
    """The prepared sets of a workspace, opened once. `beside`: a folder for what rivals share, such as text vectors."""

    workspace: Workspace
    beside: Path

    @property
    def folder(self) -> Path:
        return self.workspace.folder / "features"

    @cached_property
    def prepared(self) -> dict[str, PreparedSet]:
        """By name; the training set first, then every set to be scored."""
        return {name: PreparedSet.open(self.folder / name) for name in self.workspace.sets()}

    def rows(self, name: str) -> Rows:
        """The columns LightGBM reads."""
        prepared = self.prepared[name]
        return Rows(prepared.numeric, prepared.categorical, prepared.clicked)


class Rival(NamedTuple):
    """A trained system.

    probability: name of a set -> P(click) float64 [n] of its rows, in (0, 1). parameters: learnt numbers (of trees:
    the leaves). facts: what else is worth keeping, as JSON values.
    """

    probability: Callable[[str], np.ndarray]
    parameters: int
    facts: dict[str, Any]


class System(NamedTuple):
    """How a system is trained and chosen.

    fit: (sets, setting, seed) -> the trained system. settings: all that are tried. chosen_by: which figure of the
    validation weeks picks among them. tuned_as: the system whose choice of settings is taken; None: its own.
    """

    fit: Callable[[Sets, Setting, int], Rival]
    settings: tuple[Setting, ...]
    chosen_by: Literal["logloss", "ndcg@10"] = "logloss"
    tuned_as: str | None = None


def judge_validation(sets: Sets, rival: Rival) -> Figures:
    """Figures of a system on the validation weeks."""
    held = sets.prepared["validation"]
    probability, clicked = rival.probability("validation"), np.asarray(held.clicked)
    return {
        "logloss": metrics.logloss(clicked, probability),
        "auc": metrics.auc(clicked, probability),
        "ndcg@10": metrics.ndcg_at_k(held.page, probability, clicked),
        "pcoc": metrics.pcoc(clicked, probability),
    }


def best(figures: list[Figures], chosen_by: str) -> int:
    """Which of the settings' figures is best; the first of equal ones, and one that is undefined last."""
    sign = 1.0 if chosen_by == "logloss" else -1.0
    values = [figure[chosen_by] for figure in figures]
    return int(np.argmin([np.inf if value is None else sign * value for value in values]))
