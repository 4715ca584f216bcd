"""What a past event carries into the network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from prectr.data.contract import EVENT_TYPES
from prectr.rank.history.log import DAY, BehaviourLog

EVENT_SCALARS = 3  # clicked, log time gap, same query; beside them a one-hot of the event's type, all 0 for a search
GAP_SCALE = 6.0  # log1p(days since) is about 6 after a year


class Past(TypedDict, total=False):
    """The past events that a batch's pages see, of the user or of other users; H of them, the missing ones masked."""

    categorical: Tensor  # [G, H, item columns] int64
    text: Tensor  # [G, H] int64, which text the item has
    level_prob: Tensor  # [G, H, K], stage one's
    scalars: Tensor  # [G, H, EVENT_SCALARS + event types − 1]: clicked, log time gap, same query, one-hot of the type
    mask: Tensor  # [G, H] bool, whether there is an event


@dataclass
class Events:
    """What a past event carries into the network: stored columns, and which text its item has."""

    log: BehaviourLog
    item_categorical: np.ndarray  # [items of the log, item columns] int32
    event_types: Sequence[str] = EVENT_TYPES  # the types told apart (`FeatureMap.event_types`)
    item_text: np.ndarray | None = None  # [items of the log] int, which text each has; None: nobody reads texts
    # [types of the log, types told apart - 1]: one-hot, zeros for a search and for a type never trained on. The
    # attention's first layer is linear, so a type's row of its weights is the type's embedding.
    kinds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = np.array(self.log.event_types)[:, None] == np.array(self.event_types)[1:]

    def gather(self, rows: np.ndarray, seconds: np.ndarray, query: np.ndarray) -> Past:
        """Columns of the events `rows` [G, H] (-1: none) seen from pages at `seconds` [G] under `query` [G]."""
        known = rows >= 0
        where = np.where(known, rows, 0)
        log = self.log
        if not len(log.seconds):
            shape = (*rows.shape, self.item_categorical.shape[1])
            level_prob = np.zeros((*rows.shape, log.level_prob.shape[1]), np.float32)
            categorical, scalars = np.zeros(shape, np.int64), np.zeros((*rows.shape, 3 + self.kinds.shape[1]))
        else:
            gap = np.log1p(np.maximum(seconds[:, None] - log.seconds[where], 0) / DAY) / GAP_SCALE
            same_query = (log.query[where] == query[:, None]) & (query[:, None] >= 0)
            always = np.stack([log.clicked[where], gap, same_query], -1)
            scalars = np.concatenate([always, self.kinds[log.event[where]]], -1) * known[..., None]
            level_prob = log.level_prob[where].astype(np.float32) * known[..., None]
            item = log.item[where]
            categorical = self.item_categorical[item].astype(np.int64) * known[..., None]
        found: Past = {
            "categorical": torch.from_numpy(categorical),
            "level_prob": torch.from_numpy(level_prob),
            "scalars": torch.from_numpy(scalars.astype(np.float32)),
            "mask": torch.from_numpy(known),
        }
        if self.item_text is not None:
            text = np.zeros(rows.shape, np.int64)
            if len(log.seconds):
                text[known] = self.item_text[log.item[rows[known]]]
            found["text"] = torch.from_numpy(text)
        return found
