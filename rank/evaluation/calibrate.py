"""Calibration after training: one number on all click logits, so that as many clicks are predicted on the validation
split as there were. [O]

Click models are trained over the past and asked about later weeks; the mean of what they predict drifts. One number
hardly touches the order of a page, and some hundred clicks determine it. It is folded into the click head's bias,
a_k ← a_k + b, so that P(click | level) goes on explaining the score.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import brentq

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.model.fusion import fuse
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.model.trained import TrainedRanker
from prectr.shared import metrics, strict_json
from prectr.shared.atomic import atomic_write

RECORD = "calibration.json"
LEAST_CLICKS = 100  # the shift's own error is 1 / sqrt(clicks): with fewer it would be more noise than remedy
MAX_SHIFT = 3.0  # logits; a ranker further off than that has another fault, which a shift must not hide


@dataclass(frozen=True)
class Calibration:
    """What was found. `shift`: b, in logits. `pcoc`: on the validation split before it, None where undefined. `clicks`:
    of that split. `bias`: [members, levels], of the click head before it."""

    shift: float
    pcoc: float | None
    clicks: int
    bias: list[list[float]]


def calibrate(
    ranker: TrainedRanker,
    predictor: Predictor,
    validation: PreparedSet,
    negative_sampling_rate: float,
    batch: int,
    work: Path,
) -> Calibration:
    """Shift the click logits of a ranker that was trained and saved in `work`, and save it again.

    Done once: called again after a kill, it takes the shift it found before.
    """
    path = work / RECORD
    if path.exists():
        found = Calibration(**json.loads(path.read_text(encoding="utf-8")))
    else:
        predicted = predictor.predict(validation, batch, "validation")
        weight = validation.full_log_weight(negative_sampling_rate)
        clicked = np.asarray(validation.clicked)
        found = Calibration(
            click_shift(ranker.model, predicted, clicked, weight),
            metrics.pcoc(clicked, predicted["p_click"], weight),
            int((clicked > 0).sum()),
            ranker.model.base.head_bias.tolist(),
        )
        with atomic_write(path) as temporary:
            temporary.write_text(strict_json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    with torch.no_grad():
        ranker.model.base.head_bias.copy_(torch.tensor(found.bias))
    ranker.model.shift_clicks(found.shift)
    ranker.save_weights(work)
    return found


def click_shift(
    model: RankerModel, predicted: Mapping[str, np.ndarray], clicked: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """b such that Σ P(click) with a_k + b is the number of clicks; 0 where there are fewer than `LEAST_CLICKS`.

    Args:
        predicted: of `Predictor.predict`. clicked: [n] in {0, 1}. weight: [n], or None.

    Returns:
        b in logits, within ± `MAX_SHIFT`.
    """
    clicked = np.asarray(clicked, np.float64)
    weight = np.ones(len(clicked)) if weight is None else weight
    if min(clicked.sum(), (1 - clicked).sum()) < LEAST_CLICKS:
        return 0.0
    click_logits = torch.logit(torch.from_numpy(predicted["p_click_given_level"]).double(), eps=1e-12)
    level_logits = torch.from_numpy(predicted["level_prob"]).double().log()
    outside = torch.from_numpy(predicted["tau"]).double() if model.config.incentive == "outside" else 0.0

    def surplus(shift: float) -> float:
        """Clicks predicted more than there were."""
        p = torch.sigmoid(fuse(click_logits + shift, level_logits) + outside)
        return float(weight @ (p.numpy() - clicked))

    if surplus(-MAX_SHIFT) >= 0:
        return -MAX_SHIFT
    if surplus(MAX_SHIFT) <= 0:
        return MAX_SHIFT
    return float(brentq(surplus, -MAX_SHIFT, MAX_SHIFT, xtol=1e-6))
