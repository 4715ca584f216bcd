"""Hard negatives: an exposed impression as it would be, had its item fitted the query less.

[P] noise on the text embedding, and a rebuilt, lower relevance label. [O] where the noise points, and that the label is
rebuilt in all that speaks of query and item together: of two candidates of a page, the more relevant one is given what
text, stage one and the query's past clicks say of the other, and keeps what its item is to the user and to everybody.
Such a copy looks like what no log of shown items holds, an item that the user likes and the query does not ask for. A
copy in which only the text is noisy is known by its contradictions, and teaches nothing about real items.

All draws are made for the whole batch, from the seed and the batch's number alone, so that each of several processes
can take the rows that are its own.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prectr.shared.training.whole_batch import batch_mean

Noise = Literal["isotropic", "covariance", "toward_neighbour"]

LEAST_FALL = 0.25
"""Expected levels by which a neighbour must be below an impression to lend it its relevance [O]."""


def draw_neighbours(expected_level: np.ndarray, page: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """For each impression [W] one of its page that fits the query less, or itself where there is none.

    Args:
        expected_level: [W] float, stage one's. page: [W] int, of neighbouring rows the same. draw: [W], uniform in
            [0, 1); which of the fitting ones, all equally likely.

    Returns:
        [W] int64, rows.
    """
    order = np.lexsort((expected_level, page))
    begins = np.searchsorted(page[order], page)
    # Pages lie further apart than levels, so one sorted array answers for all of them.
    stride = expected_level.max() + 1 + LEAST_FALL
    key = page * stride + expected_level
    fitting = np.searchsorted(key[order], key - LEAST_FALL) - begins
    neighbour = order[np.minimum(begins + np.floor(draw * fitting).astype(np.int64), len(order) - 1)]
    return np.where(fitting > 0, neighbour, np.arange(len(page)))


def lower_level(level: Tensor, draw: Tensor) -> Tensor:
    """A level below `level`, drawn uniformly from 0 … level − 1; rows at level 0 keep it.

    Args:
        level: [B] int64. draw: [B], uniform in [0, 1).
    """
    return torch.minimum((draw * level).floor().long(), (level - 1).clamp(min=0))


def noise_like(states: Tensor, kind: Noise, scale: float, generator: torch.Generator) -> Tensor:
    """Noise for the text states of a whole batch: [W, S], without gradient.

    Args:
        states: [W, S]. scale: noise as a share of the states' own spread.
        kind: `isotropic` — Gaussian with each unit's mean variance; `covariance` — the difference of two other rows,
            so that noise lies where states lie.
    """
    states = states.detach()
    if kind == "covariance":
        first, second = (torch.randperm(len(states), generator=generator) for _ in range(2))
        return scale * (states[first] - states[second]) / 2**0.5
    spread = states.float().var(0, unbiased=False).mean().sqrt()
    noise = torch.randn(states.shape, generator=generator).to(states)
    return scale * spread.to(states.dtype) * noise


def debias_loss(
    score: Tensor, negative_score: Tensor, level_drop: Tensor, margin_per_level: float, margin_max: float
) -> Tensor:
    """Exposure-bias correction: an exposed item must outrank its degraded copy by a margin that grows with the fall.

    Δ = s(x) − s(x⁻), m = min(m₁ · (l − l⁻), m_max), w = sg[clamp(1 − Δ/m, 0, 1)], mean of w · max(0, m − Δ).
    The weight w fades satisfied pairs out (dynamic truncation); the gradient flows through both scores, since with
    s(x) detached the negatives run away and every prediction goes to zero. [P: pairwise loss on noise-made negatives;
    O: its form]

    Args:
        score, negative_score: [B] fused logits of x and x⁻.
        level_drop: [B], l − l⁻ ≥ 0. Rows with 0 take no part; with no row left the loss is 0.
    """
    takes_part = level_drop > 0
    margin = (margin_per_level * level_drop.float()).masked_fill(~takes_part, margin_max).clamp(max=margin_max)
    gap = score.float() - negative_score.float()
    weight = (1 - gap.detach() / margin).clamp(0, 1)
    rank = weight * functional.relu(margin - gap)
    return batch_mean(rank, takes_part.float())
