"""P(level | query, item) by stage one, of pairs as they are asked for: stored by the run, kept, or computed. [O]"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
import pyarrow as pa
import torch

from prectr.rank.history.codes import Grown
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.frozen_text import TokenTables
from prectr.rank.serving.texts.text_store import TextStore

PAIRS_KEPT = 500_000


class PairLevels:
    """
    Args:
        stored: what the run has scored, by query and item id; None: nothing. texts: of the encoder that scored it.
    """

    def __init__(self, stored: LevelProb | None, texts: TextStore) -> None:
        self._stored, self._texts = stored, texts
        if stored is not None:
            # Hashed once: a page asks for one query and its candidates.
            stored.queries, stored.item_ids = Grown(stored.queries), Grown(stored.item_ids)
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._changed: set[str] = set()
        self._lock = Lock()

    @property
    def num_levels(self) -> int:
        return self._texts.encoder.num_levels

    def change(self, item_ids: Sequence[str]) -> None:
        """What is stored of these items is no longer so: they have other texts now."""
        self._changed.update(item_ids)

    def keep(self, num_texts: int) -> None:
        """Forget pairs with texts from number `num_texts` on, which will be other texts."""
        with self._lock:
            for key in [key for key in self._kept if key[1] >= num_texts]:
                del self._kept[key]

    def of(self, queries: Sequence[str | None], item_ids: Sequence[str], texts: np.ndarray) -> np.ndarray:
        """Probabilities float32 [n, K] of pairs; zeros where the query is None.

        Args:
            texts: int [n], the numbers of the items' texts.
        """
        found = np.zeros((len(queries), self.num_levels), np.float32)
        missing = np.array([query is not None for query in queries], bool)
        if self._stored is not None and missing.any():
            ids = pa.chunked_array([pa.array(item_ids, pa.string())])
            values, known = self._stored.find(pa.chunked_array([pa.array(queries, pa.string())]), ids)
            known &= missing
            if self._changed:
                known &= np.array([item_id not in self._changed for item_id in item_ids])
            found[known] = values[known]
            missing &= ~known
        by_query: dict[str, list[int]] = {}
        for place in np.flatnonzero(missing).tolist():
            by_query.setdefault(queries[place], []).append(place)  # type: ignore[arg-type]
        for query, places in by_query.items():
            found[places] = self._of_query(query, texts[places])
        return found

    def _of_query(self, query: str, texts: np.ndarray) -> np.ndarray:
        numbers = np.unique(texts)
        with self._lock:
            known = {int(text): self._kept[query, int(text)] for text in numbers if (query, int(text)) in self._kept}
        new = np.array([text for text in numbers.tolist() if text not in known], np.int64)
        if len(new):
            known |= dict(zip(new.tolist(), self._scored(query, new), strict=True))
            with self._lock:
                self._kept.update({(query, text): known[text] for text in new.tolist()})
                while len(self._kept) > PAIRS_KEPT:
                    self._kept.popitem(last=False)
        return np.stack([known[text] for text in texts.tolist()])

    @torch.inference_mode()
    def _scored(self, query: str, texts: np.ndarray) -> np.ndarray:
        """[n, K] of n distinct texts; in float32, as the run's were."""
        encoder = self._texts.encoder
        tables = TokenTables.of_vectors(encoder, self._texts.query(query), self._texts.items(texts))
        states, place = tables.states(np.zeros(len(texts), np.int64), np.arange(len(texts)))
        return encoder.level_logits(states).softmax(-1).float().cpu().numpy()[place]
