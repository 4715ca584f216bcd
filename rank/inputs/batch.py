"""From prepared impressions to the network's batches.

Pages are the unit: the impressions of a page share the user's history, so a batch is a set of whole pages and its past
events are gathered once per page. Every distinct text of a batch is encoded once, every distinct (query, item text)
pair compared once. Which pages make which batch of a training is `rank/training/schedule.py`.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.events import GAP_SCALE, Events
from prectr.rank.inputs.exact_match import match_statistics
from prectr.shared.seeds import generator

SAMPLED_PAGES = 4000
PAGES_OF_A_SAMPLE = 100  # that are gathered at once


def page_rows(bounds: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """The rows of `pages`, one page after the other; page p has the rows from `bounds[p]` to before `bounds[p + 1]`."""
    lengths = bounds[pages + 1] - bounds[pages]
    ends = np.cumsum(lengths)
    return np.repeat(bounds[pages] - (ends - lengths), lengths) + np.arange(lengths.sum())


def page_batch(prepared: PreparedSet, pages: np.ndarray, bounds: np.ndarray, events: Events) -> dict[str, Tensor]:
    """All of a batch but its texts: what `RankerModel.score` reads."""
    lengths, rows = bounds[pages + 1] - bounds[pages], page_rows(bounds, pages)
    seen_from = (prepared.seconds[pages], prepared.query[pages])
    batch = {
        "numeric": torch.from_numpy(np.ascontiguousarray(prepared.numeric[rows])),
        "categorical": torch.from_numpy(prepared.categorical[rows].astype(np.int64)),
        "clicked": torch.from_numpy(prepared.clicked[rows].astype(np.float32)),
        "level": torch.from_numpy(prepared.level_prob[rows].argmax(1)),
        "page": torch.from_numpy(np.repeat(np.arange(len(pages)), lengths)),
        "row": torch.from_numpy(rows),
        **events.gather(prepared.user_rows[pages], *seen_from, "user"),
        **events.gather(prepared.cross_rows[pages], *seen_from, "cross"),
        "cross_depth": torch.from_numpy(prepared.cross_depth[pages].astype(np.int64)),
    }
    target = batch["categorical"][:, : events.item_categorical.shape[1]]  # columns of the item come first
    return batch | {f"{kind}_matches": _matches(kind, batch, target) for kind in ("user", "cross")}


def sample_batches(prepared: PreparedSet, events: Events, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches of `SAMPLED_PAGES` pages, or of all if there are fewer: what is fitted on training rows reads these."""
    size = min(SAMPLED_PAGES, prepared.num_pages)
    pages = np.sort(generator(seed, "sampled pages").choice(prepared.num_pages, size, replace=False))
    bounds = prepared.page_bounds()
    for some in np.array_split(pages, -(-size // PAGES_OF_A_SAMPLE)):
        yield page_batch(prepared, some, bounds, events)


def _matches(kind: str, batch: dict[str, Tensor], target: Tensor) -> Tensor:
    clicked, gap, same_query = batch[f"{kind}_scalars"][..., :3].unbind(-1)
    days = torch.expm1(gap * GAP_SCALE)
    events, mask = batch[f"{kind}_categorical"], batch[f"{kind}_mask"]
    return match_statistics(target, events, mask, clicked, days, same_query, batch["page"])
