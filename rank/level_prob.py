"""What stage one says about every (query, item) pair that was ever shown: `level_prob/level_prob.parquet`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.config import PrectrError


class LevelProb:
    """P(level | query, item) of the frozen stage-one encoder, looked up by text and id.

    Args:
        table: query string, item_id string, level_prob list<float>[K]; one row per distinct pair.
        source: what error messages call the table.
    """

    def __init__(self, table: pa.Table, source: str = "level_prob"):
        self.source = source
        self.queries = pc.unique(table["query"])
        self.item_ids = pc.unique(table["item_id"])
        values = table["level_prob"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if not table.num_rows or len(values) % table.num_rows:
            raise PrectrError(
                f"{source}: level_prob: {len(values)} values in {table.num_rows} rows: write K values in each of them "
                "with `python -m distill run`."
            )
        pairs = self._codes(table["query"], table["item_id"])
        order = np.argsort(pairs, kind="stable")
        self._pairs = pairs[order]
        self.values = values.reshape(table.num_rows, -1).astype(np.float32)[order]

    @classmethod
    def read(cls, path: Path) -> LevelProb:
        if not Path(path).exists():
            raise PrectrError(f"{path} is missing: score the pairs with `python -m distill run`.")
        return cls(pq.read_table(path, columns=["query", "item_id", "level_prob"]), str(path))

    @property
    def num_levels(self) -> int:
        return self.values.shape[1]

    def lookup(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        """Probabilities float32 [n, K]; a row of zeros where the query is null (an event without a search).

        Raises:
            PrectrError: a pair that stage one has not scored.
        """
        pairs = self._codes(query, item_id)
        found = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        no_query = query.is_null().to_numpy(zero_copy_only=False) if query.null_count else np.zeros(len(pairs), bool)
        missing = (self._pairs[found] != pairs) & ~no_query
        if missing.any():
            row = int(missing.argmax())
            raise PrectrError(
                f"{self.source}: {int(missing.sum())} pairs are not scored, such as query {query[row].as_py()!r} and "
                f"item {item_id[row].as_py()!r}: run `python -m distill run` on this data set."
            )
        return np.where(no_query[:, None], np.float32(0), self.values[found])

    def _codes(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        query_code = encode(query, self.queries).astype(np.int64)
        item_code = encode(item_id, self.item_ids).astype(np.int64)
        return np.where((query_code < 0) | (item_code < 0), -1, query_code * len(self.item_ids) + item_code)


def encode(values: pa.Array | pa.ChunkedArray, vocabulary: pa.Array) -> np.ndarray:
    """The position int32 [n] of each value in `vocabulary`; -1 where it is null or not in it."""
    codes = pc.index_in(values, value_set=vocabulary, skip_nulls=True)
    return pc.fill_null(codes, -1).to_numpy().astype(np.int32, copy=False)
