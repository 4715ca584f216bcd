"""What stage one says about every (query, item) pair that was ever shown: `level_prob/level_prob.parquet`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.rank.history.codes import encode
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import distinct, equal_batches, out_of_core, parquet
from prectr.shared.storage.npy import NpyWriter, open_array

PAIRS_AT_ONCE = 1 << 18


class LevelProb:
    """P(level | query, item) of the frozen stage-one encoder, looked up by text and id.

    Args:
        table: query string, item_id string, level_prob list<float>[K]; one row per distinct pair.
        source: what error messages call the table.
        queries, item_ids: the distinct ones, where they are known.
    """

    def __init__(
        self,
        table: pa.Table,
        source: str = "level_prob",
        queries: pa.Array | None = None,
        item_ids: pa.Array | None = None,
    ):
        self.source = source
        self.folder: Path | None = None
        self.queries = pc.unique(table["query"]) if queries is None else queries
        self.item_ids = pc.unique(table["item_id"]) if item_ids is None else item_ids
        values = table["level_prob"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if not table.num_rows or len(values) % table.num_rows:
            raise PrectrError(
                f"{source}: level_prob: {len(values)} values in {table.num_rows} rows: write K values in each of them "
                "with `python -m rank run`."
            )
        pairs = self._codes(table["query"], table["item_id"])
        order = np.argsort(pairs, kind="stable")
        self._pairs = pairs[order]
        self.values = values.reshape(table.num_rows, -1).astype(np.float32)[order]

    @classmethod
    def read(cls, path: Path) -> LevelProb:
        if not Path(path).exists():
            raise PrectrError(f"{path} is missing: score the pairs with `python -m rank run`.")
        return cls(pq.read_table(path, columns=["query", "item_id", "level_prob"]), str(path))

    @classmethod
    def build(cls, path: Path, folder: Path, engine: Engine = PLAIN) -> LevelProb:
        """Write a table of any length into `folder`, sorted, as arrays that are opened memory-mapped; and open them.

        In memory are its distinct queries and items only.

        Raises:
            PrectrError: the table is missing, or a row has another number of levels.
        """
        if not path.exists():
            raise PrectrError(f"{path} is missing: score the pairs with `python -m rank run`.")
        folder.mkdir(parents=True, exist_ok=True)
        with out_of_core(folder, [path.parent]) as database, ExitStack() as stack:
            names = {"queries": "query", "item_ids": "item_id"}
            known = {name: distinct(database, path, column) for name, column in names.items()}
            for name, values in known.items():
                pq.write_table(pa.table({"value": values}), folder / f"{name}.parquet")
            ordered = database.sql(f"SELECT * FROM {parquet(path)} ORDER BY query, item_id")
            total = pq.read_metadata(path).num_rows
            if not total:
                raise PrectrError(f"{path} has no rows: score the pairs with `python -m rank run`.")
            job = Job("pairs", lambda: known, partial(_coded, str(path)), _num_rows, "pairs")
            batches = equal_batches(ordered.to_arrow_reader(PAIRS_AT_ONCE), PAIRS_AT_ONCE)
            writers: dict[str, NpyWriter] = {}
            for part in engine.map(job, batches, total, folder / "checkpoints" / "parts"):
                for name, values in part.items():
                    if name not in writers:
                        file = NpyWriter(folder / f"{name}.npy", values.dtype, values.shape[1:])
                        writers[name] = stack.enter_context(file)
                    writers[name].append(values)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> LevelProb:
        """What `build` wrote into a folder."""
        self = cls.__new__(cls)
        self.source, self.folder = str(folder), folder
        self.queries, self.item_ids = (
            pq.read_table(folder / f"{name}.parquet")["value"].combine_chunks() for name in ("queries", "item_ids")
        )
        self._pairs, self.values = open_array(folder / "pairs.npy"), open_array(folder / "values.npy")
        return self

    def __getstate__(self) -> dict[str, Any]:
        """To another process travels the folder, where there is one, and not what is mapped of it."""
        return vars(self) if self.folder is None else {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state if "values" in state else vars(LevelProb.open(state["folder"])))

    @property
    def arrays(self) -> Arrays:
        """The pairs as ascending codes int64 [n], and their values float32 [n, K]."""
        return {"pairs": self._pairs, "values": self.values}

    @property
    def num_levels(self) -> int:
        return self.values.shape[1]

    @property
    def num_pairs(self) -> int:
        return len(self._pairs)

    def lookup(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        """Probabilities float32 [n, K]; a row of zeros where the query is null (an event without a search).

        Raises:
            PrectrError: a pair that stage one has not scored.
        """
        values, known = self.find(query, item_id)
        no_query = query.is_null().to_numpy(zero_copy_only=False) if query.null_count else np.zeros(len(known), bool)
        missing = ~known & ~no_query
        if missing.any():
            row = int(missing.argmax())
            raise PrectrError(
                f"{self.source}: {int(missing.sum())} pairs are not scored, such as query {query[row].as_py()!r} and "
                f"item {item_id[row].as_py()!r}: run `python -m rank run` on this data set."
            )
        return np.where(no_query[:, None], np.float32(0), values)

    def find(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [n, K] of the pairs that are scored, and which [n] are; the others' rows mean nothing."""
        return self._of_pairs(self._codes(query, item_id))

    def of_codes(self, query: np.ndarray, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `find`, of positions int32 in `queries` and `item_ids`, -1 for one that is not there; of n of both, or of
        one query."""
        return self._of_pairs(self._numbered(query, item))

    def _of_pairs(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        return self.values[found], self._pairs[found] == pairs

    def _codes(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        return self._numbered(encode(query, self.queries), encode(item_id, self.item_ids))

    def _numbered(self, query: np.ndarray, item: np.ndarray) -> np.ndarray:
        return np.where((query < 0) | (item < 0), -1, query.astype(np.int64) * len(self.item_ids) + item)


def _coded(source: str, known: dict[str, pa.Array], batch: pa.RecordBatch) -> Arrays:
    """Some rows of a table that is sorted by query and item."""
    return LevelProb(pa.Table.from_batches([batch]), source, known["queries"], known["item_ids"]).arrays


def _num_rows(batch: pa.RecordBatch) -> int:
    return int(batch.num_rows)
