"""Exact matches: how often past events were of the candidate's own item, type, brand or size.

Attention cannot count: a softmax over ten copies of an event gives what one gives. So the slices that the preference
modules attend to are also counted, attribute by attribute, those under the same query apart from the others, and the
counts enter the base module. [O] They are read off stored columns, and have no parameters.
"""

import torch
from torch import Tensor

STATISTICS = (
    "clicks", "share of clicks", "click-through", "recency",
    "clicks under the query", "share of clicks under the query", "click-through under the query",
)  # fmt: skip
"""What is said of each attribute, see `match_statistics`."""

PRIOR_CLICKS, PRIOR_EVENTS = 0.5, 2.0  # of a click-through of which nothing is known
RECENCY_SCALE = 10.0


def match_statistics(
    target: Tensor, events: Tensor, mask: Tensor, clicked: Tensor, days: Tensor, same_query: Tensor, page: Tensor
) -> Tensor:
    """Of each attribute, how past events with the candidate's value of it went.

    With n the clicks and m the events among those that match, N the clicks among all: log(1 + n) · n / (N + 1) ·
    (n + 1/2) / (m + 2) · log(1 + 10 Σ 1 / (1 + days)) over the matching clicks; then the first three again, of the
    events under the page's own query alone. An unknown value (index 0) matches nothing.

    Args:
        target: [B, C] int64, the candidates' attributes. events: [G, H, C] int64, those of their pages' past events.
        mask: [G, H] bool, True where there is an event. clicked: [G, H] 0/1. days: [G, H], from event to page, >= 0.
        same_query: [G, H] bool. page: [B] int64, the page of each candidate.

    Returns:
        float32 [B, C · 7], finite; attribute by attribute, in the order of `STATISTICS`.
    """
    known = mask.float()
    clicks = clicked.float() * known
    asked = same_query.float()
    weights = torch.stack([clicks, known, clicks / (1 + days), clicks * asked, known * asked], -1)  # [G, H, 5]
    matches = ((events[page] == target[:, None]) & (target[:, None] > 0)).float()  # [B, H, C]
    # Events that are not there weigh nothing, so they need not be masked again.
    n, m, recent, n_query, m_query = (matches.transpose(1, 2) @ weights[page]).unbind(-1)  # each [B, C]
    total, total_query = (weights[..., place].sum(1)[page, None] for place in (0, 3))
    parts = [
        *_shares(n, m, total),
        torch.log1p(RECENCY_SCALE * recent),
        *_shares(n_query, m_query, total_query),
    ]
    return torch.stack(parts, -1).flatten(1)


def _shares(clicks: Tensor, events: Tensor, all_clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rate = (clicks + PRIOR_CLICKS) / (events + PRIOR_EVENTS)
    return torch.log1p(clicks), clicks / (all_clicks + 1), rate


def no_matches(columns: int) -> Tensor:
    """`match_statistics` of a candidate that no past event is like: float32 [columns · 7]."""
    nothing = torch.zeros(columns)
    parts = _shares(nothing, nothing, nothing)
    return torch.stack([*parts, nothing, *parts], -1).flatten()
