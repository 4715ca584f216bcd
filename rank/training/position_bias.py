"""Position bias: what a place on the page adds to the logit of a click, whatever stands there.

    logit P(click | x, shown at place j) = s(x) + e_j          in training
    logit P(click | x)                   = s(x)                in scoring: the place is unknown

[O] A part of its own beside the network, added at the end, as in Zhao et al. 2019, "Recommending
What Video to Watch Next: A Multitask Ranking System", section 4.2: what it explains, the network need not. As there, a
tenth of the places are hidden in training, which also ties the level of s to the click-through rate.
"""

import torch
from torch import Tensor, nn

PLACES = 100  # later places share the last one's logit
HIDDEN = 0.1  # share of the training impressions whose place is not told


class Examination(nn.Module):
    """e_j for each of `places` places; a place that is unknown or hidden adds nothing."""

    def __init__(self, places: int = PLACES) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(places))

    def forward(self, position: Tensor, hidden: Tensor) -> Tensor:
        """
        Args:
            position: [B] int64, place on the page from 0, -1 where it is unknown. hidden: [B] bool, true where the
                place is not told.

        Returns:
            [B] logits to add to s.
        """
        added = self.logit[position.clamp(0, len(self.logit) - 1)]
        return added.masked_fill(hidden | (position < 0), 0.0)
