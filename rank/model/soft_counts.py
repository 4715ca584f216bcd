"""Soft counts by the network's own text vectors: as those of the feature file, but the vectors learn. [O]

They are `features/soft_counts.py` of v = P · pooled(text), and differentiable in it: a click pulls together texts whose
items are clicked alike, and the encoder behind them. The counts of frozen vectors, which every rival reads, are where
they start from.
"""

import torch
from torch import Tensor
from torch.nn import functional

from prectr.rank.features.exact_match import event_weights
from prectr.rank.features.soft_counts import UNLIKE_ANYTHING, soft_statistics
from prectr.rank.inputs.events import EVENT_SCALARS, GAP_SCALE, Past
from prectr.rank.model.preference import Seats

SIZE = len(UNLIKE_ANYTHING)
"""Numbers of a kind of past."""


def soft_counts(item: Tensor, events: Tensor, past: Past, seats: Seats) -> Tensor:
    """What past events whose text is like the candidates' say of them.

    Args:
        item: [B, d], the candidates' text vectors. events: [G, H, d], those of the events of `past`.

    Returns:
        float32 [B, SIZE], finite, in the order of `UNLIKE_ANYTHING`.
    """
    clicked, gap, same_query = past["scalars"][..., :EVENT_SCALARS].float().unbind(-1)
    weights = event_weights(past["mask"], clicked, torch.expm1(gap * GAP_SCALE), same_query)
    target, events = (functional.normalize(vectors.float(), dim=-1) for vectors in (item, events))
    with torch.autocast(item.device.type, enabled=False):  # a narrow kernel tells cosines apart that bfloat16 does not
        found = soft_statistics(seats.sit(target[:, None])[:, 0], seats.rows(events), seats.rows(weights))
    return seats.rise(found[:, None])[:, 0]


def no_counts(rows: int) -> Tensor:
    """`soft_counts` of candidates that no past event is like: float32 [rows, SIZE]."""
    return torch.tensor(list(UNLIKE_ANYTHING.values())).expand(rows, -1)
