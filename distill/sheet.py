"""What every judge is asked on validation, so that they can be compared: whole queries with gold levels, and the same
queries with random items. What was said is kept: nobody is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from prectr.distill.order import expected_of_logits, leads, order
from prectr.distill.pairs import Pairs, concatenate, with_random_items
from prectr.shared.atomic import atomic_write
from prectr.shared.metrics import graded_relevance, query_order

ToLevels = Callable[[np.ndarray], np.ndarray]
"""[n, 1] scores -> [n, K] log-odds."""

RANDOM_SHARE = 4
"""A random pair for so many graded ones."""


@dataclass(frozen=True)
class Sheet:
    """`graded`: n pairs with levels. `random`: m pairs of their queries with random items."""

    graded: Pairs
    random: Pairs

    @classmethod
    def draw(cls, train: Pairs, validation: Pairs, size: int, seed: int) -> Sheet:
        """`size` pairs of whole validation queries, and a quarter as many with random item texts of `train`."""
        graded = validation.sample_queries(size, seed, "teacher", "validation")
        texts = np.unique(train.item_text).tolist()
        return cls(graded, with_random_items(graded, texts, max(1, size // RANDOM_SHARE), seed, "validation"))

    def __len__(self) -> int:
        return len(self.graded)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The (query, item text) pairs a judge is asked: the graded ones, and behind them the random ones."""
        both = concatenate([self.graded, self.random])
        return list(zip(both.query, both.item_text, strict=True))

    def figures(self, said: np.ndarray, levels: ToLevels | None = None) -> dict[str, float | int | None]:
        """`order`, by which judges are chosen, and what it is made of; of one that says levels how well it says them
        too. Pairs it could not judge are left out.

        Args:
            said: of the pairs `asked`, [n + m, K] log-odds, or [n + m, 1] of a judge that scores.
            levels: makes log-odds [n, K] of such scores; None: how well it says levels is not told.
        """
        is_judged = np.isfinite(said).all(1)
        size = len(self.graded)
        graded = np.flatnonzero(is_judged[:size])
        random = np.flatnonzero(is_judged[size:]) + size
        pairs = self.graded.take(graded)
        if not len(pairs):
            return {"order": None, "n": 0}
        scores = [score(said[rows]) for rows in (graded, random)]
        log_odds = said[graded] if levels is None else levels(said[graded])
        told = graded_relevance(pairs.level, softmax(log_odds, axis=1)) if log_odds.shape[1] > 1 else {}
        found = query_order(pairs.query, pairs.level, *scores)
        return {**told, **found, "order": order(pairs, *scores), "n": len(pairs)}

    def leads(self, said: np.ndarray, other: np.ndarray, seed: int) -> bool:
        """Whether a judge's `order` is higher by more than chance (`prectr.distill.order.leads`).

        Args:
            said, other: as `figures` reads them; pairs that one of the two could not judge are left out.
        """
        judged = np.isfinite(said).all(1) & np.isfinite(other).all(1)
        graded, random = np.flatnonzero(judged[: len(self)]), np.flatnonzero(judged[len(self) :])
        if not len(graded):
            return False
        first, second = ((score(found[graded]), score(found[random + len(self)])) for found in (said, other))
        return leads(self.graded.take(graded), self.random.query[random], first, second, seed)


def order_of(figures: Mapping[str, float | int | None]) -> float:
    """What judges are chosen by, of `Sheet.figures`; one that judged nothing is last."""
    found = figures["order"]
    return -np.inf if found is None else float(found)


def score(said: np.ndarray) -> np.ndarray:
    """[n, K] log-odds -> [n] expected levels; [n, 1] scores -> [n] themselves."""
    return said[:, 0] if said.shape[1] == 1 else expected_of_logits(said)


def save_said(path: Path, said: Mapping[str, np.ndarray]) -> None:
    """Keeps what judges said of a sheet, by their names."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **said)  # type: ignore[arg-type]  # no judge is called `allow_pickle`


def read_said(path: Path) -> dict[str, np.ndarray]:
    """Reads what `save_said` wrote."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
