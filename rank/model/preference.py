"""What a user, and what other users under the same query, prefer: attention over past events.

[P] multi-head target attention from the impression over the user's own past events (user preference) and over
other users' past events under the same query (cross-user preference); the two are mixed by how much is known of each.
[O] a learned null event, so that an empty history is a value and not a NaN; the mixing weight from log-counts.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SEATS = 16  # impressions in a row, at most; a page with more takes further rows


class Seats(NamedTuple):
    """Impressions in rows of one page each, where they meet their page's events in one matrix product [O].

    Giving every impression its own copy of its page's keys instead costs ten times as much to train.
    """

    page: Tensor | None  # [R] int64, the page of each row; None: there is one page, and a row of all in their order
    seat: Tensor | None = None  # [B] int64, where each impression sits among R · W
    seated: Tensor | None = None  # [R · W] int64, who sits there; 0 where a row has room left, and nobody reads it

    @classmethod
    def of(cls, page: Tensor, num_pages: int) -> "Seats":
        """Seats for impressions of these pages [B], in whatever order they come; those of one page all sit in one
        row."""
        if num_pages == 1:
            return cls(None)
        count = torch.bincount(page, minlength=num_pages)
        width = min(int(count.max()), SEATS)
        rows = (count + width - 1) // width
        order = page.argsort(stable=True)
        sorted_page = page[order]
        first_seat, first_of_page = (rows.cumsum(0) - rows) * width, count.cumsum(0) - count
        number = torch.arange(len(page), device=page.device)
        seat = torch.empty_like(page)
        seat[order] = (first_seat - first_of_page)[sorted_page] + number
        seated = page.new_zeros(int(rows.sum()) * width)
        seated[seat] = number
        return cls(torch.repeat_interleave(rows), seat, seated)

    def rows(self, x: Tensor) -> Tensor:
        """What each page has [G, …], of the page of each row [R, …]."""
        return x if self.page is None else x.index_select(0, self.page)

    def sit(self, x: Tensor) -> Tensor:
        """[B, heads, n] → [R, heads, W, n]."""
        if self.page is None or self.seated is None:
            return x.transpose(0, 1)[None]
        rows: Tensor = x.index_select(0, self.seated).unflatten(0, (len(self.page), -1))
        return rows.transpose(1, 2)

    def rise(self, x: Tensor) -> Tensor:
        """[R, heads, W, n] → [B, heads, n]."""
        if self.seat is None:
            return x[0].transpose(0, 1)
        return x.transpose(1, 2).flatten(0, 1).index_select(0, self.seat)


class Memory(NamedTuple):
    """Keys and values of the events that impressions look at, whatever the impressions are."""

    seats: Seats
    key: Tensor  # [R, heads, 1 + H, size / heads], the null event first
    value: Tensor  # as key
    known: Tensor  # [B, 1 + H], True where there is an event


class TargetAttention(nn.Module):
    """Multi-head attention from each impression over the events of its page.

    Every impression of a page shares the page's events, so keys and values are computed once per page.

    Args:
        target_size: width of an impression's vector (text state, level distribution, item embedding).
        event_size: width of an event's vector.
        size: width of the result; a multiple of `heads`.
        heads: number of attention heads.
    """

    def __init__(self, target_size: int, event_size: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(target_size, size)
        self.to_key = nn.Linear(event_size, size)
        self.to_value = nn.Linear(event_size, size)
        self.null_key = nn.Parameter(torch.zeros(size))
        self.null_value = nn.Parameter(torch.zeros(size))

    def remember(self, events: Tensor, mask: Tensor, page: Tensor, seats: Seats) -> Memory:
        """
        Args:
            events: [G, H, event_size]. mask: [G, H], True where there is an event. page: [B] int64, the page that each
                impression belongs to. seats: of these pages.
        """
        pages = len(events)
        key = torch.cat([self.null_key.expand(pages, 1, -1).to(events.dtype), self.to_key(events)], 1)
        value = torch.cat([self.null_value.expand(pages, 1, -1).to(events.dtype), self.to_value(events)], 1)
        key, value = (self._split(seats.rows(x)).transpose(1, 2) for x in (key, value))
        return Memory(seats, key, value, functional.pad(mask, (1, 0), value=True)[page])

    def forward(self, target: Tensor, memory: Memory) -> Tensor:
        """
        Args:
            target: [B, target_size].

        Returns:
            [B, size]. Where no event is real this is the null value alone.
        """
        seats, key, value, known = memory
        # Written out: with few queries a row, the fused kernel's backward pass takes longer than the text encoder's.
        query = seats.sit(self._split(self.to_query(target))) / (key.shape[-1] ** 0.5)  # [R, heads, W, size / heads]
        similarity = seats.rise(query @ key.transpose(2, 3))  # [B, heads, 1 + H]
        weight = similarity.float().masked_fill(~known[:, None], -torch.inf).softmax(-1)
        return seats.rise(seats.sit(weight.to(value.dtype)) @ value).flatten(1)

    def _split(self, x: Tensor) -> Tensor:
        parts: Tensor = x.unflatten(-1, (self.heads, -1))
        return parts


class PreferenceMix(nn.Module):
    """r = α · r_user + (1 − α) · r_cross, with α from the log-counts of both kinds of event [O].

    It starts from the ratio of the counts, so a user with no history is read from the others at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -1.0]))
        self.bias = nn.Parameter(torch.zeros(()))

    def alpha(self, user_count: Tensor, cross_count: Tensor) -> Tensor:
        """The share given to the user's own history: [B], between 0 and 1, from two counts [B]."""
        counts = torch.stack([user_count, cross_count], -1).float().log1p()
        return torch.sigmoid(counts @ self.weight + self.bias)

    def forward(self, user: Tensor, cross: Tensor, user_count: Tensor, cross_count: Tensor) -> Tensor:
        """Mix two preferences [B, size] by their counts [B]."""
        alpha = self.alpha(user_count, cross_count)[:, None].to(user.dtype)
        return alpha * user + (1 - alpha) * cross
