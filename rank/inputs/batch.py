"""From prepared impressions to the network's batches.

Pages are the unit: the impressions of a page share the user's history, so a batch is a set of whole pages and its past
events are gathered once per page. Every distinct text of a batch is encoded once, every distinct (query, item text)
pair compared once. Which pages make which batch of a training is `rank/training/schedule.py`.
"""

from collections.abc import Iterator
from typing import Any, Literal, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.events import Events, Past
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.seeds import generator


class Batch(TypedDict, total=False):
    """What the network and the losses read: B impressions of G pages, D distinct (query, item text) pairs.

    `page_batch` gives the first part, `name_texts` and `TextTables` the second, `name_pairs` and an encoder or stored
    features the third, the training schedule the rest.
    """

    numeric: Tensor  # [B, F] float32, features in the network's units
    categorical: Tensor  # [B, C] int64; the item's columns come first
    clicked: Tensor  # [B] float32 in {0, 1}
    level: Tensor  # [B] int64, stage one's most probable level
    page: Tensor  # [B] int64, which of the batch's pages
    row: Tensor  # [B] int64, which row of the prepared set
    query_text: Tensor  # [B] int64, row of `Texts.query`
    item_text: Tensor  # [B] int64, row of `Texts.item`
    user: Past
    cross: Past
    cross_depth: Tensor  # [G] int64: 0 the query's own events, 1 its category's, 2 none

    item_used: Tensor  # [U] int64, the item texts of candidates and past events, `Past.text` and `item_row` among them
    item_row: Tensor  # [B] int64, which of these
    item_table: Tensor  # [U, V] float32, their pooled vectors
    query_used: Tensor  # [Q] int64, the queries
    query_row: Tensor  # [B] int64, which of these
    query_table: Tensor  # [Q, V] float32, their pooled vectors

    pair: Tensor  # [B] int64, which of the distinct pairs
    pair_features: Tensor  # [D, level head's features], where the text encoder is frozen; else what follows
    pair_queries: Tensor  # [Dq] int64, the distinct queries of the pairs, rows of `Texts.query`
    pair_items: Tensor  # [Di] int64, their distinct item texts, rows of `Texts.item`
    pair_query: Tensor  # [D] int64, which of the distinct queries
    pair_item: Tensor  # [D] int64, which of the distinct item texts
    query_tokens: TokenVectors  # of the distinct queries
    item_tokens: TokenVectors  # of the distinct item texts

    step: Tensor  # scalar, the batch's number
    size: Tensor  # scalar, impressions of the whole batch, of all processes
    place: Tensor  # [B] int64, where this process's impressions stand among them
    weight: Tensor  # [B] float32, how much each impression counts, 1 on average
    engagement: Tensor  # [B] float32 in [0, 1], P(click) in the full log as cross-fitted trees tell it
    position: Tensor  # [B] int64, place on the page from 0, −1 unknown
    replay_pair: Tensor  # [R] int64, which of the distinct pairs are replayed
    replay_target: Tensor  # [R, K], a distribution over levels
    level_drop: Tensor  # [B], by how many levels the hard negative falls; 0: there is none
    lowered: Tensor  # [B] int64, its level
    neighbour: Tensor  # [B] int64, the impression of the page that lends it its relevance
    negative_numeric: Tensor  # [B, F], its numbers


Kind = Literal["user", "cross"]
"""Whose past: the user's own, or other users' under the same query."""

SAMPLED_PAGES = 4000
PAGES_OF_A_SAMPLE = 100  # that are gathered at once


def page_rows(bounds: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """The rows of `pages`, one page after the other; page p has the rows from `bounds[p]` to before `bounds[p + 1]`."""
    lengths = bounds[pages + 1] - bounds[pages]
    ends = np.cumsum(lengths)
    return np.repeat(bounds[pages] - (ends - lengths), lengths) + np.arange(lengths.sum())


def page_batch(prepared: PreparedSet, pages: np.ndarray, bounds: np.ndarray, events: Events) -> Batch:
    """All of a batch but its texts' vectors: what `RankerModel.score` reads."""
    lengths, rows = bounds[pages + 1] - bounds[pages], page_rows(bounds, pages)
    categorical = torch.from_numpy(prepared.categorical[rows].astype(np.int64))
    page = torch.from_numpy(np.repeat(np.arange(len(pages)), lengths))

    def past(event_rows: np.ndarray) -> Past:
        return events.gather(event_rows[pages], prepared.seconds[pages], prepared.query[pages])

    return {
        "numeric": torch.from_numpy(np.ascontiguousarray(prepared.numeric[rows])),
        "categorical": categorical,
        "clicked": torch.from_numpy(prepared.clicked[rows].astype(np.float32)),
        "level": torch.from_numpy(prepared.level_prob[rows].argmax(1)),
        "page": page,
        "row": torch.from_numpy(rows),
        "query_text": torch.from_numpy(prepared.query_text[rows].astype(np.int64)),
        "item_text": torch.from_numpy(prepared.item_text[rows].astype(np.int64)),
        "user": past(prepared.user_rows),
        "cross": past(prepared.cross_rows),
        "cross_depth": torch.from_numpy(prepared.cross_depth[pages].astype(np.int64)),
    }


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with every tensor on `device`."""
    return cast(Batch, _moved(batch, device))


def _moved(part: Any, device: torch.device) -> Any:
    if isinstance(part, Tensor):
        return part.to(device)
    if isinstance(part, TokenVectors):
        return TokenVectors(*(each.to(device) for each in part))
    return {name: _moved(each, device) for name, each in part.items()}


def sample_batches(prepared: PreparedSet, events: Events, seed: int) -> Iterator[Batch]:
    """Batches of `SAMPLED_PAGES` pages, or of all if there are fewer: what is fitted on training rows reads these."""
    size = min(SAMPLED_PAGES, prepared.num_pages)
    pages = np.sort(generator(seed, "sampled pages").choice(prepared.num_pages, size, replace=False))
    bounds = prepared.page_bounds()
    for some in np.array_split(pages, -(-size // PAGES_OF_A_SAMPLE)):
        yield page_batch(prepared, some, bounds, events)
