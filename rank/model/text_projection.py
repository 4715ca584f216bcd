"""What a text is, for the click model: v = P · (pooled(text) − mean). [O]

P starts as the principal axes of all item texts, so that vectors which nothing has trained yet compare meanings; clicks
turn it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from prectr.rank.features.frozen_vectors import principal_axes


class TextProjection(nn.Module):
    """Pooled vectors [n, V] → text vectors v [n, d], float32.

    Args:
        pooled_size: V, the width of the encoder's pooled vectors. size: d.
    """

    mean: Tensor

    def __init__(self, pooled_size: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, pooled_size))
        nn.init.orthogonal_(self.weight)
        self.register_buffer("mean", torch.zeros(pooled_size))

    @torch.no_grad()
    def fit(self, pooled: Tensor) -> None:
        """Start from the principal axes of vectors [n, V]; v then has a variance of 1 on average over its units. Units
        beyond V keep their random direction."""
        mean, *axes = torch.from_numpy(principal_axes([pooled.cpu().numpy()], pooled.shape[1], len(self.weight)))
        self.mean.copy_(mean)
        self.weight[: len(axes)] = torch.stack(axes)
        spread = self(pooled).var(0, unbiased=False).mean().sqrt()
        self.weight.div_(spread.clamp(min=1e-6))

    def forward(self, pooled: Tensor) -> Tensor:
        with torch.autocast(pooled.device.type, enabled=False):
            return functional.linear(pooled.float() - self.mean, self.weight)
