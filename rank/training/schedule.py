"""Which batches a training run sees, in which order.

A batch depends on the seed and its number alone: a resumed run sees what the killed one would have, and of several
processes each takes its part of the same batch.
"""

from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.batch import Batch, page_batch, page_rows
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.text_tables import name_texts
from prectr.rank.inputs.texts import name_pairs
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.page_order import PageBatches
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator
from prectr.shared.training.whole_batch import part


class BatchSchedule(Dataset):
    """Every batch of a training run, in order: first those in which the text encoder is frozen and all else learns [O],
    then the level module's warm-up, then everything. [P: these two steps]

    While the text encoder is frozen, its texts are not encoded: what the level head reads of a pair is computed once.

    Args:
        prepared, events, replay: where batches are read from. replay: None when nothing is replayed.
        pages_per_batch: pages in a batch; the last batch of a pass is left out when it is short.
        pages_together: so many pages of one category go into a batch together: they share item texts, which are then
            encoded once [O].
        frozen_epochs, epochs: passes over the pages without and with the text encoder, each in a new order.
        features: of all pairs, the replayed ones included; only batches without the text encoder read them.
        warmup_share: warm-up batches (replayed pairs alone) as a share of those in which everything learns.
        replay_share: replayed pairs as a share of all pairs of a batch.
        hard_negatives: draws each batch's; None: it has none.
        engagement: float32 [n], what trees expect of each impression of `prepared`; None: clicks alone teach.

    Raises:
        PrectrError: a warm-up is asked for, but there is nothing to replay.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        events: Events,
        replay: Replay | None,
        *,
        pages_per_batch: int,
        pages_together: int,
        frozen_epochs: float = 0.0,
        features: PairFeatures | None = None,
        epochs: float,
        warmup_share: float,
        replay_share: float,
        hard_negatives: HardNegatives | None,
        engagement: np.ndarray | None = None,
        seed: int,
    ) -> None:
        if warmup_share > 0 and replay is None:
            raise PrectrError(
                "the warm-up trains the level module on replayed pairs, but replay_share is 0: raise it, or set "
                "warmup_share: 0 too."
            )
        self.prepared, self.events, self.replay = prepared, events, replay
        # A mean of 1 leaves the balance of the losses, and the learning rate, as they are without weights.
        self.mean_weight = None if prepared.weight is None else prepared.weight.mean(dtype=np.float64)
        self.bounds = prepared.page_bounds()
        self.seed, self.hard_negatives, self.engagement = seed, hard_negatives, engagement
        self.pages = PageBatches(
            prepared.category,
            pages_per_batch=pages_per_batch,
            pages_together=pages_together,
            epochs=frozen_epochs + epochs,
            seed=seed,
        )
        self.features = features
        self.num_frozen = min(round(self.pages.per_pass * frozen_epochs), len(self.pages))
        self.num_warmup = round((len(self.pages) - self.num_frozen) * warmup_share)
        self.impressions_per_batch = self.pages.pages_per_batch * len(prepared) / prepared.num_pages
        self.num_replayed = round(self.impressions_per_batch * replay_share / (1 - replay_share))

    def __len__(self) -> int:
        return self.num_warmup + len(self.pages)

    def __getitem__(self, number: int) -> Batch:
        """This process's part of batch `number`: of its pages, and of its replayed pairs.

        `place` [B] says where its impressions stand among the `size` impressions of the whole batch.
        """
        batch: Batch = {"step": torch.tensor(number)}
        pairs: dict[
            Literal["pair", "replay_pair"], np.ndarray
        ] = {}  # query and item text [2, n] of the pairs, by what they are there for
        frozen = number < self.num_frozen
        warms_up = 0 <= number - self.num_frozen < self.num_warmup
        drawn = self._draw_replay(number, warms_up)
        if not warms_up:
            pages = self._pages(number)
            whole, own = np.sort(pages), np.sort(part(pages))
            ends = np.cumsum(self.bounds[whole + 1] - self.bounds[whole])
            place = page_rows(np.concatenate([[0], ends]), np.searchsorted(whole, own))
            batch |= self._exposures(own)
            batch |= {"place": torch.from_numpy(place), "size": torch.tensor(ends[-1])}
            rows = batch["row"].numpy()
            pairs["pair"] = np.stack([self.prepared.query_text[rows], self.prepared.item_text[rows]])
            if self.hard_negatives is not None:
                # A page is one process's as a whole, so its rows find their neighbours among that process's.
                draw = generator(self.seed, "hard negatives", number).random(int(batch["size"]))
                draw = draw[batch["place"].numpy()]
                batch |= self.hard_negatives.of(batch, self.prepared.level_prob[rows], draw)
        if self.replay is not None:
            pairs["replay_pair"] = self.replay.texts(part(drawn))
            batch["replay_target"] = torch.from_numpy(self.replay.target[part(drawn)])
        query_text, item_text = np.concatenate(list(pairs.values()), 1)
        if frozen:
            if self.features is None:
                raise ValueError("frozen_epochs without the features of the pairs")
            values, pair = self.features.rows(query_text, item_text)
            text: Batch = {"pair_features": values}
        else:
            text, pair = name_pairs(query_text, item_text)
        each = np.split(pair, np.cumsum([rows.shape[1] for rows in pairs.values()])[:-1])
        for name, rows in zip(pairs, each, strict=True):
            batch[name] = torch.from_numpy(rows)
        return batch | text

    def group(self, number: int, size: int) -> range:
        """The batches between two steps of the text encoder, `number` among them: `size` from a multiple of it on, but
        none in which the encoder is frozen."""
        start = number - number % size
        return range(max(start, self.num_frozen), min(start + size, len(self)))

    def texts_of(self, numbers: range) -> tuple[np.ndarray, np.ndarray]:
        """The distinct queries and item texts of some batches, of all processes, ascending."""
        found = [self._texts(number) for number in numbers]
        query, item = np.concatenate(found, 1)
        return np.unique(query), np.unique(item)

    def _texts(self, number: int) -> np.ndarray:
        """Query and item text of a batch's pairs: [2, n]."""
        parts = []
        warms_up = 0 <= number - self.num_frozen < self.num_warmup
        if not warms_up:
            rows = page_rows(self.bounds, np.sort(self._pages(number)))
            parts.append(np.stack([self.prepared.query_text[rows], self.prepared.item_text[rows]]))
        if self.replay is not None:
            parts.append(self.replay.texts(self._draw_replay(number, warms_up)))
        return np.concatenate(parts, 1)

    def _pages(self, number: int) -> np.ndarray:
        """The pages of batch `number`, which is no warm-up batch."""
        return self.pages[number if number < self.num_frozen else number - self.num_warmup]

    def _exposures(self, pages: np.ndarray) -> Batch:
        batch = page_batch(self.prepared, pages, self.bounds, self.events)
        if self.events.item_text is not None:
            name_texts(batch)
        rows = batch["row"].numpy()
        if self.prepared.position is not None:
            batch["position"] = torch.from_numpy(self.prepared.position[rows].astype(np.int64))
        if self.engagement is not None:
            batch["engagement"] = torch.from_numpy(self.engagement[rows])
        if self.prepared.weight is not None:
            weight = self.prepared.weight[rows] / self.mean_weight
            batch["weight"] = torch.from_numpy(weight.astype(np.float32))
        return batch

    def _draw_replay(self, number: int, warms_up: bool) -> np.ndarray:
        """Which pairs the whole batch replays; a warm-up batch holds nothing else, so it has as many as a full one."""
        if self.replay is None:
            return np.zeros(0, np.int64)
        count = self.num_replayed * (4 if warms_up else 1)
        return generator(self.seed, "replay", number).integers(0, len(self.replay), count)
