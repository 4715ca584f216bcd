"""Whether clicks fall from place to place by more than what stands there explains. [O]

The ranker does not know the place in scoring. Where clicks in the first places outnumber its predictions, and fall
short of them in the last ones, the place itself was clicked: position bias, which `position_debias` learns and leaves
out. It is no leak, as long as the order on the page was made before the clicks.
"""

from typing import Any

import numpy as np

from prectr.rank.evaluation.protocol import Judged
from prectr.shared import metrics

PLACES = 20
"""Places that are told one by one; the later ones count as the last of them."""

LEAST_BEND = 0.1
"""Bend from which the place is worth learning: about a tenth more clicks in the first places than in the last."""


def position_curve(
    judged: Judged, probability: np.ndarray, position: np.ndarray | None, resamples: int, seed: int
) -> dict[str, Any] | None:
    """Click-through rate by place beside the predicted one, and how far they part.

    Args:
        probability: [n], the ranker's P(click). position: [n], place on the page from 0, −1 unknown.

    Returns:
        `place` (from 1), `shown` (impressions), `ctr` and `predicted`, a list each; `bend`, the logarithm of observed
        over predicted clicks in the first half of the places, less that of the second half: 0 if what stands there
        explains all; `ci95` of it over users; `recommended`, whether the interval lies above `LEAST_BEND`. None where
        fewer than two places are known.
    """
    if position is None:
        return None
    known = position >= 0
    place = np.minimum(position[known], PLACES - 1)
    if len(np.unique(place)) < 2:
        return None
    part, p = judged.where(known), probability[known]
    weight = np.ones(len(place)) if part.weight is None else part.weight
    sums = {name: np.bincount(place, weight * values) for name, values in (("ctr", part.clicked), ("predicted", p))}
    mass, shown = np.bincount(place, weight), np.bincount(place)
    told = np.flatnonzero(mass > 0)
    first = place < (told.max() + 1) / 2

    def bend(drawn: np.ndarray) -> float | None:
        counted = drawn * weight
        clicks, expected = (
            [float((counted * values)[half].sum()) for half in (first, ~first)] for values in (part.clicked, p)
        )
        if min(*clicks, *expected) <= 0:
            return None
        return float(np.log(clicks[0] / expected[0]) - np.log(clicks[1] / expected[1]))

    interval = metrics.user_bootstrap(part.user, bend, resamples=resamples, seed=seed)
    return {
        "place": (told + 1).tolist(),
        "shown": shown[told].tolist(),
        **{name: (values[told] / mass[told]).tolist() for name, values in sums.items()},
        "bend": bend(np.ones(len(place))),
        "ci95": None if interval is None else list(interval),
        "recommended": interval is not None and interval[0] > LEAST_BEND,
    }
