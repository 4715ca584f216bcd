"""The losses of stage two; that of exposure bias stands in exposure_bias.py.

    L = BCE(s, y) + λ_rel · CE(π, level) + λ_con · consistency(a) + λ_deb · debias(s(x), s(x⁻)) + λ_τ · τ²

[P] states that each term exists; where its form is ours it is marked [O]. Means are over the whole batch, of all
processes that share it (shared/training/whole_batch.py).
"""

import math

from torch import Tensor
from torch.nn import functional

from prectr.shared.training.whole_batch import batch_mean


def click_loss(
    score: Tensor, clicked: Tensor, weight: Tensor | None = None, negative_sampling_rate: float = 1.0
) -> Tensor:
    """Mean binary cross-entropy of the fused logits `s` [B, members] against clicks [B] in {0, 1} [P], or a
    `click_target`. Each member of the base module's ensemble learns by its own logit.

    Of a log in which only a share r of the unclicked impressions was kept, the odds of a click are 1/r times those of
    the full log. The loss therefore reads s − ln r, the logit in the log as it was kept, and s remains the logit of
    the full log: there is nothing left to correct when scoring. This is q = p / (p + (1 − p) / r) of He et al. 2014,
    "Practical Lessons from Predicting Clicks on Ads at Facebook", section 6.3, written in logits.

    Args:
        weight: [B] how much each impression counts, 1 on average over the training set; None: all alike.
        negative_sampling_rate: r in (0, 1].
    """
    score = score.float()
    if negative_sampling_rate < 1:
        score = score - math.log(negative_sampling_rate)
    target = clicked.float()[:, None].expand_as(score)
    loss = functional.binary_cross_entropy_with_logits(score, target, reduction="none").mean(1)
    return batch_mean(loss if weight is None else loss * weight)


def click_target(clicked: Tensor, click_prob: Tensor, weight: float, negative_sampling_rate: float = 1.0) -> Tensor:
    """What `click_loss` learns of two teachers: (1 − w) · clicked + w · p, in [0, 1] [B]. [O]

    Clicks are those of the log as it was kept, and the loss reads the logit of that log. So `p`, which is of the full
    log, is put into the kept one's odds first: p / (p + r (1 − p)).

    Args:
        clicked: [B] in {0, 1}. click_prob: [B] in [0, 1], what trees expect (rank/training/engagement.py).
        weight: w in [0, 1]. negative_sampling_rate: r in (0, 1].
    """
    kept = click_prob / (click_prob + negative_sampling_rate * (1 - click_prob))
    return (1 - weight) * clicked + weight * kept


def relevance_loss(level_logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of π against a distribution over levels. [P]

    Args:
        level_logits: [R, K]. target: [R, K], rows sum to one: one-hot for gold pairs, soft for others.
    """
    return batch_mean(functional.cross_entropy(level_logits.float(), target.float(), reduction="none"))


def consistency_loss(click_logits: Tensor, margin: float) -> Tensor:
    """Semantic consistency: a higher level never lowers the click logit. Σ_k max(0, a_k − a_{k+1} + m), mean over rows.

    On logits: the same margin in probability space ruins calibration. [P: that it exists; O: its form]

    Args:
        click_logits: [B, K], `a_k` = logit of P(click | level = k, x).
        margin: least rise from one level to the next, in logits.
    """
    fall = click_logits[:, :-1] - click_logits[:, 1:] + margin
    return batch_mean(functional.relu(fall.float()).sum(1))
