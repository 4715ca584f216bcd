"""Intervals over users and seeds together, fast enough for every system, seed and measure. [O]

A resample draws users with replacement and, apart from them, seeds. Every system is seen through the same
resamples, so that the difference of two is paired: by user, by seed and by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from benchmarks.ranker.scores import Probabilities, Protocol
from prectr.rank.evaluation.protocol import LOW_LEVEL, Judged
from prectr.shared import metrics
from prectr.shared.seeds import generator

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Draws:
    """Users of a set as they are drawn. times: [resamples, users]. user: of each row [n]."""

    times: np.ndarray
    user: np.ndarray

    @classmethod
    def of(cls, judged: Judged, resamples: int, name: str) -> "Draws":
        users, user = np.unique(judged.user, return_inverse=True)
        number = len(users)
        drawn = generator(0, "households of a benchmark", name).multinomial(
            number, np.full(number, 1 / number), resamples
        )
        return cls(drawn.astype(np.float64), user)

    @cached_property
    def by_user(self) -> np.ndarray:
        """`times` the other way round [users, resamples]."""
        return np.ascontiguousarray(self.times.T)

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """The sum of `rows` [n] in each resample [resamples]."""
        return self.times @ np.bincount(self.user, rows, self.times.shape[1])

    def each(self, metrics_of_rows: Mapping[str, metrics.WeightedMetric]) -> Values:
        """Each metric in each resample [resamples], NaN where it is undefined."""
        found = {name: np.full(len(self.times), np.nan) for name in metrics_of_rows}
        for number, times in enumerate(self.times):
            weights = times[self.user]
            for name, metric in metrics_of_rows.items():
                value = metric(weights)
                found[name][number] = np.nan if value is None else value
        return found

    def auc(self, judged: Judged, score: np.ndarray) -> np.ndarray:
        """`prectr.shared.metrics.auc` of `score` [n] in each resample [resamples].

        Rows between two scores of clicked impressions are told apart by nothing, so that sums over users of these
        few parts are enough.
        """
        weight = np.ones(len(score)) if judged.weight is None else judged.weight
        clicked = np.asarray(judged.clicked) > 0
        steps, place = np.unique(score[clicked], return_inverse=True)
        left, right = (np.searchsorted(steps, score[~clicked], side) for side in ("left", "right"))
        tied = right > left
        unclicked, below = np.flatnonzero(~clicked), len(steps)

        def drawn(rows: np.ndarray, part: np.ndarray) -> np.ndarray:
            table = csr_array((weight[rows], (part, self.user[rows])), (below + 1, self.times.shape[1]))
            return np.asarray(table @ self.by_user)

        positives = drawn(np.flatnonzero(clicked), place)
        between, ties = drawn(unclicked[~tied], left[~tied]), drawn(unclicked[tied], left[tied])
        beaten = np.cumsum(between + ties, 0) - ties / 2
        pairs = positives.sum(0) * (between + ties).sum(0)
        wins = (positives * beaten).sum(0)
        return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


class Bootstrap:
    """Every measure of any system, seen through the same resamples.

    Args:
        seeds: how many there are.
    """

    def __init__(self, protocol: Protocol, resamples: int, seeds: int) -> None:
        self.protocol = protocol
        self.draws = {name: Draws.of(judged, resamples, name) for name, judged in protocol.sets.items()}
        self.seeds = generator(0, "seeds of a benchmark").integers(seeds, size=(resamples, seeds))

    def values(self, probability: Probabilities) -> Values:
        """Each measure of one training in every resample of users [resamples]; ECE has none."""
        sets, test, candidates = self.protocol.sets, self.draws["test"], self.draws["open"]
        shown, offered = sets["test"], sets["open"]
        clicked, p = np.asarray(shown.clicked, np.float64), probability["test"]
        weight = np.ones(len(p)) if shown.weight is None else shown.weight
        clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
        loss = -np.where(clicked > 0, np.log(clipped), np.log1p(-clipped))
        exposed = {
            "auc": test.auc(shown, p),
            **test.each({"gauc_page": metrics.gauc_of_weights(clicked, p, shown.page)}),
            "logloss": test.sums(weight * loss) / test.sums(weight),
            "pcoc": test.sums(weight * p) / np.maximum(test.sums(weight * clicked), 1e-9),
        }
        score = probability["open"]
        of_pages = {"ndcg@10": metrics.ndcg_at_k_of_weights(offered.page, score, offered.clicked)}
        if offered.gold_level is not None:
            of_pages["excess_low@10"] = metrics.excess_low_at_k_of_weights(
                offered.page, score, offered.gold_level, LOW_LEVEL
            )
        opened = {**candidates.each(of_pages), "auc": candidates.auc(offered, score)}
        ladder = {
            str(n): self.draws["new_users"].auc(sets["new_users"], probability[f"new_users_{n}"])
            for n in self.protocol.rungs
        }
        sections = {"exposed": exposed, "open": opened, "new_users": ladder}
        return {f"{section}.{name}": drawn for section, part in sections.items() for name, drawn in part.items()}

    def interval(self, one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> list[float] | None:
        """The 95 % interval of `one` minus `other`, each given per seed [resamples]; None where it is undefined."""
        gap = np.stack(one, 1) - np.stack(other, 1)
        drawn = np.take_along_axis(gap, self.seeds, 1).mean(1)
        drawn = drawn[np.isfinite(drawn)]
        return np.percentile(drawn, [2.5, 97.5]).tolist() if len(drawn) else None
