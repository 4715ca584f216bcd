"""Calibration: what a judge that nobody fine-tuned says, turned into probabilities of this data's levels.

Scale and bias are fitted on a few gold pairs. The same form serves a judge of K levels and one that gives a single
score, so that a ranking model can be a teacher too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import member, read_json

PRIOR = 0.01
"""Ridge on the biases, in pairs: a level that occurs in no gold pair becomes rare, not impossible."""


@dataclass(frozen=True)
class Calibration:
    """`log_odds = log_softmax(scale · z + bias)` over K levels [O].

    z are a judge's K log-odds: vector scaling with one scale [Guo et al., 2017, arXiv 1706.04599]. Or one score s, with
    z_k = k · s: the adjacent-category ordinal model [Agresti, Categorical Data Analysis], which never changes the order
    the score puts items in.

    Args:
        scale: of z; at least 0 for K log-odds.
        bias: K numbers.
    """

    scale: float
    bias: tuple[float, ...]

    def __call__(self, log_odds: np.ndarray) -> np.ndarray:
        """[n, K] log-odds or [n, 1] scores -> [n, K] log-odds (float32); a row with NaN becomes a row of NaN."""
        z = _spread(np.asarray(log_odds, np.float64), len(self.bias))
        return log_softmax(self.scale * z + np.array(self.bias), axis=1).astype(np.float32)

    @classmethod
    def fit(cls, log_odds: np.ndarray, level: np.ndarray, num_levels: int) -> Calibration:
        """Least cross-entropy on gold levels [n]; rows with NaN are left out.

        Args:
            log_odds: [n, K] log-odds, or [n, 1] scores.

        Raises:
            PrectrError: not one row could be judged, or the judge has neither 1 nor K outputs.
        """
        if log_odds.shape[1] not in (1, num_levels):
            raise PrectrError(
                f"calibration: the judge has {log_odds.shape[1]} outputs, the data {num_levels} levels; fine-tune it "
                "(teacher_pairs above 0), which gives it a new head."
            )
        judged = np.isfinite(log_odds).all(1)
        if not judged.any():
            raise PrectrError("calibration: the teacher judged none of the gold pairs; see what it answers first.")
        is_score, log_odds, level = log_odds.shape[1] == 1, log_odds[judged].astype(np.float64), level[judged]
        # Centred and in units of its spread, so that scores of any size are fitted alike.
        centre = float(log_odds.mean()) if is_score else 0.0
        z = _spread(log_odds - centre, num_levels)
        unit = max(float(z.std()), 1e-6)
        chosen = np.eye(num_levels)[level]

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            scale, bias = parameters[0], parameters[1:]
            found = log_softmax(scale * z / unit + bias, axis=1)
            error = (np.exp(found) - chosen) / len(level)
            value = -np.mean(found[np.arange(len(level)), level]) + PRIOR / 2 / len(level) * (bias @ bias)
            gradient = np.concatenate([[np.sum(error * z) / unit], error.sum(0) + PRIOR / len(level) * bias])
            return float(value), gradient

        bounds = [(None if is_score else 0.0, None)] + [(None, None)] * num_levels
        found = minimize(loss, np.zeros(num_levels + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
        scale = float(found[0] / unit)
        return cls(scale, tuple(float(bias) for bias in found[1:] - scale * centre * np.arange(num_levels)))

    def save(self, path: Path) -> None:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Reads what `save` wrote."""
        content = read_json(path)
        return cls(member(content, "scale", path, float), tuple(member(content, "bias", path, list)))


def _spread(log_odds: np.ndarray, num_levels: int) -> np.ndarray:
    if log_odds.shape[1] == num_levels:
        # One constant per row means nothing; without it the spread of z does not depend on the judge's habits.
        return log_odds - log_odds.mean(1, keepdims=True)
    return log_odds * np.arange(num_levels)


class CalibratedTeacher:
    """A teacher whose log-odds go through a calibration; its states and what it marks as censored stay."""

    def __init__(self, teacher: Teacher, calibration: Calibration) -> None:
        self.teacher, self.calibration = teacher, calibration
        parts = (teacher.fingerprint, asdict(calibration))
        self.fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()

    def __getattr__(self, name: str) -> Any:
        # What only some teachers have, such as the number of a pair's tokens.
        return getattr(self.teacher, name)

    def padded_length(self, pair: Pair) -> int:
        return self.teacher.padded_length(pair)

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        judgement = self.teacher.score(pairs)
        return replace(judgement, log_odds=self.calibration(judgement.log_odds))


def fit_temperature(logits: np.ndarray, level: np.ndarray) -> float:
    """The T > 0 that minimises the cross-entropy of logits/T [n, K] on gold levels [n]; 1 without pairs."""
    if not len(level):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(level)), level]))

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))
