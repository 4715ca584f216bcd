"""What impressions refer to: the catalogue, the past, and stage one's opinion of every pair."""

import numpy as np
import pyarrow as pa

from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.features.likeness import Likeness
from prectr.rank.history.codes import encode
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.errors import PrectrError


class Shop:
    """What impressions refer to: the catalogue, the past, and stage one's level probabilities of every pair.

    Args:
        items: the contract's table. log: the behaviour log. level_prob: stage one's probabilities.
        query_texts: the distinct queries that will be encoded.
        vectors: of `item_texts`; without them no feature speaks of texts.
        likeness: of the items of the log, where `items` are only some of them; None: read off `items` and `vectors`.
        item_codes: `FeatureMap.transform_items` of the items, where it is known.

    Attributes:
        item_texts: the distinct texts of the items. text_of_item: int32 [items], which of them each item has.
    """

    def __init__(
        self,
        items: pa.Table,
        log: BehaviourLog,
        level_prob: LevelProb,
        query_texts: list[str],
        vectors: FrozenVectors | None = None,
        likeness: Likeness | None = None,
        item_codes: np.ndarray | None = None,
    ) -> None:
        self.items, self.log, self.level_prob, self.query_texts = items, log, level_prob, query_texts
        self._vectors, self._likeness = vectors, likeness
        self.item_codes = item_codes
        self._queries = pa.array(query_texts, pa.string())
        encoded = items["text"].combine_chunks().dictionary_encode()
        self.item_texts: list[str] = encoded.dictionary.to_pylist()
        self.text_of_item: np.ndarray = encoded.indices.to_numpy()

    @property
    def likeness(self) -> Likeness:
        """What a candidate is compared with past events by."""
        if self._likeness is None:
            self._likeness = Likeness.of(self.items, self.log.items, self._vectors)
        return self._likeness

    def places(self, item_ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Each item's code in the log and row of `items`: int32 [n] twice; -1 where it is not there."""
        return encode(item_ids, self.log.items), encode(item_ids, self.items["item_id"].combine_chunks())

    def text_numbers(
        self, impressions: pa.Table, page: np.ndarray, item_row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each impression's place in `query_texts` and `item_texts`: int32 [n] twice; `page` and `item_row` [n]: see
        `RawSet`."""
        if (item_row < 0).any():
            first = int((item_row < 0).argmax())
            raise PrectrError(
                f"impressions.parquet: item_id, row {first}: {impressions['item_id'][first].as_py()!r} is not in "
                "items.parquet: add the item or drop the impression."
            )
        of_pages = impressions["query"].take(pa.array(np.unique(page, return_index=True)[1]))
        query = encode(of_pages, self._queries)[page]
        return query, self.text_of_item[item_row].astype(np.int32)
