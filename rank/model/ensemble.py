"""The base module: an ensemble of networks that share nearly all weights. [O, TabM: Gorishniy et al., ICLR 2025]

Each member scales and shifts the units of every layer its own way, and has a head of its own; the matrices are shared.
Members are trained each on its own loss, and their logits are averaged: an ensemble's calm at little more than one
network's cost.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Units [B, …, size] of the shared layer, as each of M members sees them: [B, M, size]."""

    def __init__(self, members: int, size: int, flip: bool) -> None:
        super().__init__()
        scale = torch.ones(members, size)
        if flip and members > 1:  # the members begin apart
            scale = torch.randint(2, (members, size)).float() * 2 - 1
        self.scale = nn.Parameter(scale)
        self.shift = nn.Parameter(torch.zeros(members, size))

    def forward(self, units: Tensor) -> Tensor:
        return units * self.scale + self.shift


class EnsembleBase(nn.Module):
    """From what the first layer makes of an impression [B, sizes[1]] to logits [B, members, outputs]."""

    def __init__(self, sizes: Sequence[int], outputs: int, members: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(sizes[0], sizes[1])
        layers: list[nn.Module] = []
        for depth, (size, following) in enumerate(zip(sizes[1:], [*sizes[2:], None], strict=True)):
            layers += [Members(members, size, depth == 0), nn.LayerNorm(size), nn.ReLU(), nn.Dropout(dropout)]
            if following is not None:
                layers.append(nn.Linear(size, following))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Parameter(torch.randn(members, sizes[-1], outputs) * 0.01)
        self.head_bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, first: Tensor) -> Tensor:
        hidden = self.layers(first[:, None])
        return torch.einsum("bmh,mho->bmo", hidden.float(), self.head) + self.head_bias
