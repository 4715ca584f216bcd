"""Stage one's labelled pairs, replayed beside the exposures so that the level head forgets no level."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.rank.features.shop import Shop
from prectr.rank.history.codes import encode


@dataclass
class Replay:
    """Pairs of all levels, replayed beside the exposures: gold ones, and those stage one judges by itself."""

    query_text: np.ndarray  # [r] int32
    item_text: np.ndarray  # [r] int32
    target: np.ndarray  # [r, K] float32, a distribution over levels

    def __len__(self) -> int:
        return len(self.target)

    def texts(self, rows: np.ndarray) -> np.ndarray:
        """Query and item text of some pairs: [2, n]."""
        return np.stack([self.query_text[rows], self.item_text[rows]])


def read_replay(folder: Path, shop: Shop) -> tuple[Replay, list[str]]:
    """Stage one's labelled pairs in `folder`, and the item texts among them that no item of the catalogue has; they are
    numbered behind the catalogue's."""
    table = pq.read_table(folder / "replay.parquet")
    known = set(shop.item_texts)
    others = sorted(set(table["item_text"].to_pylist()) - known)
    item_text = encode(table["item_text"], pa.array([*shop.item_texts, *others], pa.string()))
    query_text = encode(table["query"], pa.array(shop.query_texts, pa.string()))
    target = table["level_prob"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return Replay(query_text, item_text, target.astype(np.float32)), others
