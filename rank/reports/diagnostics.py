"""What the report's charts show, computed from predictions: pure functions of arrays. [O]

Intervals are 95 % percentiles of a bootstrap over users; None where there is one user only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from prectr.shared.metrics import user_bootstrap

BINS = 15  # as `prectr.shared.metrics.ece`
TOP = 10
ACTIVITY_CLASSES = 5


@dataclass(frozen=True)
class Mean:
    """A mean over `n` rows with its interval; `middle` and `most` hold the middle half and the middle 90 % of them."""

    value: float
    interval: tuple[float, float] | None
    middle: tuple[float, float]
    most: tuple[float, float]
    n: int

    @classmethod
    def of(cls, values: np.ndarray, user: np.ndarray) -> "Mean":
        """Of values [n] of the users [n]; n ≥ 1."""
        _, code = np.unique(user, return_inverse=True)
        sums, counts = np.bincount(code, values), np.bincount(code)

        def mean(weights: np.ndarray) -> float | None:
            rows = weights @ counts
            return float(weights @ sums / rows) if rows > 0 else None

        ends = np.quantile(values, [0.05, 0.25, 0.75, 0.95]).tolist()
        interval = user_bootstrap(np.arange(len(sums)), mean) if len(sums) > 1 else None
        return cls(float(np.mean(values)), interval, (ends[1], ends[2]), (ends[0], ends[3]), len(values))


def means_by(group: np.ndarray, groups: Iterable[int], values: np.ndarray, user: np.ndarray) -> list[Mean | None]:
    """The mean of `values` [n] in each of `groups`; None for a group without rows."""
    masks = (group == one for one in groups)
    return [Mean.of(values[mask], user[mask]) if mask.any() else None for mask in masks]


@dataclass(frozen=True)
class Bin:
    """One of the equally large bins of a reliability diagram."""

    predicted: float
    clicked: Mean


def reliability(clicked: np.ndarray, probability: np.ndarray, user: np.ndarray) -> list[Bin]:
    """Mean prediction and click-through rate in 15 bins of equally many rows, sorted by prediction; arrays [n].

    Rows of equal prediction share their clicks, so that their order does not matter. The gaps, weighted by the bins'
    sizes, add up to `prectr.shared.metrics.ece`.
    """
    _, tie = np.unique(probability, return_inverse=True)
    rate = (np.bincount(tie, clicked) / np.bincount(tie))[tie]
    order = np.argsort(probability, kind="stable")
    edges = np.unique(np.arange(BINS) * len(order) // BINS)
    parts = np.split(order, edges[1:])
    return [Bin(float(probability[rows].mean()), Mean.of(rate[rows], user[rows])) for rows in parts if len(rows)]


def violations(click_given_level: np.ndarray) -> tuple[float, list[float]]:
    """How often P(click | k) > P(click | k + 1) in rows [n, K]: at any k, and at each k [K − 1]; shares of the rows."""
    falls = np.diff(click_given_level, axis=1) < 0
    return float(falls.any(1).mean()), falls.mean(0).tolist()


def in_top(page: np.ndarray, score: np.ndarray, top: int = TOP) -> np.ndarray:
    """Which rows [n] are among their page's `top` highest scores; of equal scores the earlier row counts first."""
    order = np.lexsort((-score, page))
    _, first, size = np.unique(page[order], return_index=True, return_counts=True)
    chosen = np.zeros(len(page), bool)
    chosen[order] = np.arange(len(page)) - np.repeat(first, size) < top
    return chosen


def activity(past_pages: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Fifths of the rows by how many pages their user had seen before [n], fewer where many have the same number.

    Returns:
        Class of each row [n], and how the classes are written: 12, 13–40, …
    """
    cuts = np.quantile(past_pages, np.arange(1, ACTIVITY_CLASSES) / ACTIVITY_CLASSES, method="inverted_cdf")
    _, row_class = np.unique(np.searchsorted(np.unique(cuts), past_pages, "left"), return_inverse=True)
    parts = [past_pages[row_class == one] for one in range(row_class.max() + 1)]
    ends = [(int(part.min()), int(part.max())) for part in parts]
    return row_class, [f"{low:,}" if low == high else f"{low:,}–{high:,}" for low, high in ends]
