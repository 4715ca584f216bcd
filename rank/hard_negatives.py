"""Hard negatives: the copy of an exposed impression whose text says less than the query asked for.

[P] noise on the text embedding, and a rebuilt, lower relevance label; [O] the draw of the label and the kinds of noise.
All draws are made for the whole batch, from the seed and the batch's number alone, so that each of several processes
can take the rows that are its own.
"""

from typing import Literal

import torch
from torch import Tensor

Noise = Literal["isotropic", "covariance", "toward_lower_pair"]


def draw_lowered(level: Tensor, replay_level: Tensor | None, seed: int, step: int) -> tuple[Tensor, Tensor | None]:
    """The label of each impression's negative, and, among replayed pairs, one that has it.

    Args:
        level: [W] int64, of the whole batch's impressions. replay_level: [R] int64, of its replayed pairs, where a
            negative is made from one of them; None where it is made from noise alone.

    Returns:
        lowered [W] int64: below `level`, or equal to it for rows that take no part: at level 0, or of a label that no
        replayed pair has. pair [W] int64 among the R, or None.
    """
    draw = torch.Generator().manual_seed(seed * 1_000_003 + step)
    lowered = lower_level(level, torch.rand(len(level), generator=draw))
    if replay_level is None:
        return lowered, None
    fits = replay_level[None, :] == lowered[:, None]
    pair = (torch.rand(fits.shape, generator=draw) * fits).argmax(1)
    return torch.where(fits.any(1), lowered, level), pair


def lower_level(level: Tensor, draw: Tensor) -> Tensor:
    """A level below `level`, drawn uniformly from 0 … level − 1; rows at level 0 keep it.

    Args:
        level: [B] int64. draw: [B], uniform in [0, 1).
    """
    return torch.minimum((draw * level).floor().long(), (level - 1).clamp(min=0))


def toward_pair(state: Tensor, lower_pair: Tensor, scale: float) -> Tensor:
    """The text state [B, S] moved the share `scale` of the way to that of a real pair of lower level [B, S]."""
    return state + scale * (lower_pair - state)


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
