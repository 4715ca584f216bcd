"""P(level | query, item) by stage one, of pairs as they are asked for: stored by the run, kept, or computed. [O]"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from prectr.rank.history.codes import Grown, encode
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.serving.texts.kept_pairs import KeptPairs
from prectr.rank.serving.texts.text_store import TextStore

PAIRS_KEPT = 500_000


class PairLevels:
    """
    Args:
        stored: what the run has scored, by query and item id; None: nothing. items: ids, in the order of their codes
            in the log; of items that join it later nothing is stored. texts: of the encoder that scored it.
    """

    def __init__(self, stored: LevelProb | None, items: pa.Array, texts: TextStore) -> None:
        self._stored, self._texts = stored, texts
        self._stored_item = np.full(len(items) + 1, -1, np.int32)  # by code; -1: nothing is stored; the last: new items
        if stored is not None:
            self._stored_item[:-1] = encode(items, stored.item_ids)
            stored.queries = Grown(stored.queries)  # hashed once: a page asks for one query
        self._kept = KeptPairs(self._scored, PAIRS_KEPT)

    @property
    def num_levels(self) -> int:
        return self._texts.encoder.num_levels

    def change(self, codes: np.ndarray) -> None:
        """What is stored of these items is no longer so: they have other texts now."""
        self._stored_item[codes[codes < len(self._stored_item)]] = -1

    def keep(self, num_texts: int) -> None:
        """Forget pairs with texts from number `num_texts` on, which will be other texts."""
        self._kept.keep(num_texts)

    def of(self, queries: Sequence[str | None], codes: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Probabilities float32 [n, K] of pairs; zeros where the query is None.

        Args:
            codes: int [n], of the items in the log. texts: int [n], the numbers of the items' texts.
        """
        found = np.zeros((len(queries), self.num_levels), np.float32)
        missing = np.array([query is not None for query in queries], bool)
        if self._stored is not None and missing.any():
            values, known = self._found(self._stored, queries, codes)
            known &= missing
            found[known] = values[known]
            missing &= ~known
        by_query: dict[str, list[int]] = {}
        for place in np.flatnonzero(missing).tolist():
            by_query.setdefault(queries[place], []).append(place)  # type: ignore[arg-type]
        for query, places in by_query.items():
            found[places] = self._kept.of(query, texts[places])
        return found

    def of_page(self, query: str, codes: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """As `of`, of one query."""
        found, missing = np.zeros((len(codes), self.num_levels), np.float32), np.ones(len(codes), bool)
        if self._stored is not None:
            found, known = self._found(self._stored, [query], codes)
            missing = ~known
        if missing.any():
            found[missing] = self._kept.of(query, texts[missing])
        return found

    def _found(
        self, stored: LevelProb, queries: Sequence[str | None], codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `LevelProb.find`, of n queries or of one."""
        items = self._stored_item[np.minimum(codes, len(self._stored_item) - 1)]
        return stored.of_codes(encode(pa.array(queries, pa.string()), stored.queries), items)

    @torch.inference_mode()
    def _scored(self, query: str, texts: np.ndarray) -> np.ndarray:
        """[n, K] of n distinct texts; in float32, as the run's were."""
        states = self._texts.states(query, texts)
        return self._texts.encoder.level_logits(states).softmax(-1).cpu().numpy()
