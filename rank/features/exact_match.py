"""Exact matches: how often past events were of the candidate's own item, type, brand or size.

Attention cannot count: a softmax over ten copies of an event gives what one gives. So the slices that the preference
modules attend to are also counted, attribute by attribute, those under the same query apart from the others, and the
counts are numbers like any other: the base module reads them, and so does every rival. [O]
"""

import torch
from torch import Tensor

STATISTICS = {
    "clicks": ("log1p count", "clicks on {}"),
    "share": ("share", "share of the clicks that were on {}"),
    "rate": ("rate", "click-through of {}"),
    "recency": ("log1p", "clicks on {}, each weighed by 1 / (1 + days since)"),
    "clicks_under_query": ("log1p count", "clicks under the query on {}"),
    "share_under_query": ("share", "share of the clicks under the query that were on {}"),
    "rate_under_query": ("rate", "click-through under the query of {}"),
}
"""What is said of events that are like the candidate, see `statistics`: unit and meaning by name, in their order."""

CELLS_AT_ONCE = 1 << 17  # that are computed together: fewer than a processor's cache holds
PRIOR_CLICKS, PRIOR_EVENTS = 0.5, 2.0  # of a click-through of which nothing is known
RECENCY_SCALE = 10.0

PRIOR_RATE = PRIOR_CLICKS / PRIOR_EVENTS
NOTHING = {name: PRIOR_RATE if name.startswith("rate") else 0.0 for name in STATISTICS}
"""`statistics` of a candidate that no past event is like."""


def event_weights(mask: Tensor, clicked: Tensor, days: Tensor, same_query: Tensor) -> Tensor:
    """What each past event counts as: [G, H, 5], zeros where there is none.

    Clicks, events, clicks weighed by 1 / (1 + days), and clicks and events under the page's own query.

    Args:
        mask: [G, H] bool, True where there is an event. clicked: [G, H] 0/1. days: [G, H], from event to page, >= 0.
        same_query: [G, H] bool.
    """
    known, asked = mask.float(), same_query.float()
    clicks = clicked.float() * known
    return torch.stack([clicks, known, clicks / (1 + days), clicks * asked, known * asked], -1)


def statistics(likeness: Tensor, weights: Tensor) -> Tensor:
    """How past events that are like a candidate went.

    With n the clicks and m the events among those that are like it, each counted by its likeness, and N the clicks
    among all: log(1 + n) · n / (N + 1) · (n + 1/2) / (m + 2) · log(1 + 10 Σ 1 / (1 + days)) over the clicks; then the
    first three again, of the events under the page's own query alone.

    Args:
        likeness: [..., G, C, H] in [0, 1], of each of a page's candidates to each of its events. weights:
            `event_weights`.

    Returns:
        float32 [..., G, C, 7], finite; in the order of `STATISTICS`.
    """
    n, m, recent, n_query, m_query = (likeness @ weights).unbind(-1)  # each [..., G, C]
    total, total_query = (weights[..., place].sum(1)[:, None] for place in (0, 3))
    parts = [
        *_shares(n, m, total),
        torch.log1p(RECENCY_SCALE * recent),
        *_shares(n_query, m_query, total_query),
    ]
    return torch.stack(parts, -1)


def match_statistics(target: Tensor, events: Tensor, weights: Tensor) -> Tensor:
    """Of each attribute, the `statistics` of the past events with the candidate's value of it.

    Args:
        target: [G, C, A] integers, the candidates' attributes; 0, an unknown value, matches nothing.
        events: [G, H, A], those of their pages' past events. weights: `event_weights`.

    Returns:
        float32 [G, C, A, 7].
    """
    ours, theirs = target.movedim(-1, 0)[..., None], events.movedim(-1, 0)[:, :, None]  # [A, G, C, 1], [A, G, 1, H]
    at_once = together(target.shape[0] * target.shape[1] * events.shape[1])
    parts = zip(ours.split(at_once), theirs.split(at_once), strict=True)
    found = [statistics(((mine == past) & (mine > 0)).float(), weights) for mine, past in parts]
    return torch.cat(found).permute(1, 2, 0, 3) if len(ours) else torch.zeros(*target.shape, len(STATISTICS))


def together(cells: int) -> int:
    """How many kernels or attributes of so many cells each are computed together: a call costs as much as a page of
    cells. While a graph is exported, whose pages may have any size: all of them."""
    if torch.compiler.is_exporting():
        return CELLS_AT_ONCE
    return max(CELLS_AT_ONCE // max(cells, 1), 1)


def _shares(clicks: Tensor, events: Tensor, all_clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rate = (clicks + PRIOR_CLICKS) / (events + PRIOR_EVENTS)
    return torch.log1p(clicks), clicks / (all_clicks + 1), rate
