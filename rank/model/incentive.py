"""The signed incentive τ: what preference adds to a click logit, bounded."""

import torch
from torch import Tensor, nn


class SignedIncentive(nn.Module):
    """τ(x) = g₊ · τ_max · σ(E₊) − g₋ · τ_max · σ(E₋): a bounded push up or down from the preference vector.

    The gate (g₊, g₀, g₋) is a softmax that starts at "none". [P: one positive and one negative expert; O: bounded]
    """

    def __init__(self, input_size: int, hidden_size: int, maximum: float) -> None:
        super().__init__()
        self.maximum = maximum
        self.trunk = nn.Sequential(nn.Linear(input_size, hidden_size), nn.ReLU())
        self.experts = nn.Linear(hidden_size, 2)
        self.gate = nn.Linear(hidden_size, 3)
        nn.init.zeros_(self.gate.weight)
        with torch.no_grad():
            self.gate.bias.copy_(torch.tensor([-2.0, 2.0, -2.0]))

    def forward(self, x: Tensor) -> Tensor:
        """[B, input_size] → τ [B], within ±τ_max."""
        hidden = self.trunk(x)
        push = torch.sigmoid(self.experts(hidden).float())
        gate = torch.softmax(self.gate(hidden).float(), -1)
        return self.maximum * (gate[:, 0] * push[:, 0] - gate[:, 2] * push[:, 1])
