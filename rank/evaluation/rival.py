"""LightGBM as the run fitted it, beside the ranker: the same features of the same page at the same moment."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.workspace import TREES_FILE
from prectr.shared.run.schema import member, read_json

if TYPE_CHECKING:
    from prectr.rank.training.trees import FittedTrees


class Rival:
    """Scores pages that were prepared with all features.

    Args:
        folder: of the step `lightgbm`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, ranker: Path) -> Self | None:
        """The rival of a ranker's run; None: it kept no trees."""
        folder = ranker.parent / "lightgbm"
        return cls(folder) if (folder / TREES_FILE).is_file() else None

    @cached_property
    def _trees(self) -> FittedTrees:
        from prectr.rank.training.trees import FittedTrees  # a library that opening a ranker need not wait for

        facts = self._folder / "rival.json"
        return FittedTrees.read(self._folder / TREES_FILE, member(read_json(facts), "settings", facts, dict))

    def score(self, prepared: PreparedSet) -> np.ndarray:
        """P(click) float64 [n]."""
        from prectr.rank.training.trees import Rows

        return self._trees.predict(Rows.of(prepared, 1.0), num_threads=1)
