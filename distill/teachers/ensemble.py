"""An ensemble of teachers: the members' log-odds, weighted and added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import member, read_json

PRIOR = 100.0
"""Ridge towards equal shares, in pairs. Weights that a few hundred gold pairs ask for silence members that know
something of their own; who says nothing but noise is silenced all the same. Measured: distill/EXPERIMENTS.md.
"""


class EnsembleTeacher:
    """`log_odds = log_softmax(Σ_m w_m · log_odds_m)`: the logarithmic opinion pool [Genest & Zidek, 1986] [O].

    Weights that sum to 1 make it the members' weighted mean; a larger sum sharpens, a smaller one blurs. A member of
    weight 0 is not asked. A pair that one member could not judge counts as not judged, and a level is censored where it
    is for one of them. The state is the first member's that has one, and where a member is asked in batches all are
    asked for as many pairs at once.

    Args:
        members: teachers of the same K levels.
        weights: one for each, at least 0, not all 0.
    """

    def __init__(self, members: Sequence[Teacher], weights: Sequence[float]) -> None:
        if len(members) != len(weights) or min(weights) < 0 or max(weights) == 0:
            raise PrectrError(
                f"ensemble: weights {list(weights)} for {len(members)} teachers; give each one, at least 0, not all 0."
            )
        asked = [(member, weight) for member, weight in zip(members, weights, strict=True) if weight > 0]
        self.members = [member for member, _ in asked]
        self.weights = [weight for _, weight in asked]
        self.batch_size = max(getattr(member, "batch_size", 1) for member in self.members)
        if sizes := [member.shard_size for member in self.members if hasattr(member, "shard_size")]:
            self.shard_size = max(sizes)
        parts = [(member.fingerprint, weight) for member, weight in asked]
        self.fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()

    def padded_length(self, pair: Pair) -> int:
        """The longest of the members' lengths."""
        return max(member.padded_length(pair) for member in self.members)

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        judgements = [member.score(pairs) for member in self.members]
        censored = [found.censored for found in judgements if found.censored is not None]
        return Judgement(
            pooled([found.log_odds for found in judgements], self.weights),
            next((found.state for found in judgements if found.state is not None), None),
            np.logical_or.reduce(censored) if censored else None,
        )


def pooled(log_odds: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """What M members' log-odds [n, K] are together: [n, K] float32."""
    weighted = [weight * found for weight, found in zip(weights, log_odds, strict=True)]
    return log_softmax(np.sum(weighted, axis=0), axis=1).astype(np.float32)


def fit_weights(log_odds: Sequence[np.ndarray], level: np.ndarray) -> list[float]:
    """The weights >= 0 of M members of least cross-entropy on gold levels [n], drawn towards equal shares of the sum
    that is best for equal shares.

    Args:
        log_odds: M arrays [n, K]; a pair that one member could not judge is left out.

    Raises:
        PrectrError: no pair was judged by all members.
    """
    stacked = np.stack([np.asarray(found, np.float64) for found in log_odds])  # [M, n, K]
    judged = np.isfinite(stacked).all((0, 2))
    if not judged.any():
        raise PrectrError("ensemble: no gold pair was judged by all its teachers; check each of them alone.")
    stacked, level = stacked[:, judged], level[judged]
    rows = np.arange(len(level))

    def alike(log_sum: float) -> float:
        found = log_softmax(np.exp(log_sum) * stacked.mean(0), axis=1)
        return float(-found[rows, level].mean())

    equal = float(np.exp(minimize_scalar(alike, bounds=(-7.0, 3.0), method="bounded").x)) / len(stacked)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        found = log_softmax(np.tensordot(weights, stacked, 1), axis=1)
        error = np.exp(found)
        error[rows, level] -= 1
        distance = weights - equal
        value = -found[rows, level].sum() + PRIOR / 2 * (distance @ distance)
        gradient = np.tensordot(stacked, error, 2) + PRIOR * distance
        return float(value / len(level)), gradient / len(level)

    start = np.full(len(stacked), equal)
    weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(stacked)).x
    # Members that know nothing together still give an answer: nearly the same for all pairs.
    return [float(weight) for weight in (weights if weights.max() > 0 else start * 1e-3)]


def save_weights(path: Path, names: Sequence[str], weights: Sequence[float]) -> None:
    """Writes the weights beside the members' names."""
    with atomic_write(path) as temporary:
        content = [{"teacher": name, "weight": weight} for name, weight in zip(names, weights, strict=True)]
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_weights(path: Path) -> list[float]:
    """Reads what `save_weights` wrote."""
    return [member(each, "weight", path, float) for each in read_json(path)]
