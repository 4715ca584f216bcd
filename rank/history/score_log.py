"""P(level | query, item) of every logged pair, as an encoder judges it before it meets a click: what features, past
events and every rival read, and `prectr.rank.history.stage_one` looks up.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import read_table, table_path
from prectr.data.scan import scan_table
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.files import ENCODER_FILES
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.hub import published_files
from prectr.shared.storage.duckdb import equal_batches, out_of_core, parquet

PAIRS_AT_ONCE = 1 << 20
"""Pairs that are scored together: texts that several of them share are encoded once."""


def write_level_prob(encoder: LevelEncoder, data: Path, work: Path, engine: Engine = PLAIN) -> None:
    """Write `level_prob.parquet` into `work`: query, item_id, level_prob list<float32>[K] of every pair that occurs in
    the log, sorted by both keys.
    """
    job = Job("scoring pairs", lambda: encoder, _judged, _num_rows, "pairs", shows_itself=True)
    keys = deque[pa.Table]()  # of the parts that are under way

    def parts() -> Iterator[pa.Table]:
        for pairs in logged_pairs(data, work):
            keys.append(pairs.select(["query", "item_id"]))
            yield pairs.select(["query", "text"])

    with atomic_write(work / "level_prob.parquet") as temporary:
        schema = pa.schema([("query", pa.string()), ("item_id", pa.string()), ("level_prob", pa.list_(pa.float32()))])
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for found in engine.map(job, parts(), kept=work / "checkpoints" / "parts"):
                writer.write_table(with_level_prob(keys.popleft(), found["level_prob"]).cast(schema))


def _judged(encoder: LevelEncoder, pairs: pa.Table) -> Arrays:
    return {"level_prob": encoder.score_pairs(pairs["query"].to_pylist(), pairs["text"].to_pylist())}


def _num_rows(pairs: pa.Table) -> int:
    return int(pairs.num_rows)


def kept_encoder(run: Path) -> Path:
    """Where a run keeps the encoder by which its `level_prob/` was made, whatever becomes of the one it was given."""
    return run / "level_prob" / "encoder"


def keep_encoder(encoder: Path, level_prob: Path) -> None:
    """Copy an encoder's folder, and what it says of its origin, into `level_prob`/encoder."""
    for name in published_files(encoder, (*ENCODER_FILES, "metrics.json")):
        target = level_prob / "encoder" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(encoder / name, target)


def logged_pairs(data: Path, spill: Path) -> Iterator[pa.Table]:
    """Every distinct (query, item_id) of impressions, and of behaviours that have a query; sorted, with the item's
    `text`. A part at a time, however large the log: DuckDB spills into `spill`.
    """
    items = read_table(data, "items", ["item_id", "text"])
    ids = items["item_id"].combine_chunks()
    for table in ("impressions", "behaviours"):
        next(scan_table(data, table, ["query", "item_id"], 1), None)  # it is there, and so are its columns
    logged = " UNION ALL ".join(
        f"SELECT query, item_id FROM {parquet(table_path(data, table))} WHERE query IS NOT NULL"
        for table in ("impressions", "behaviours")
    )
    with out_of_core(spill, [data]) as database:
        distinct = database.sql(f"SELECT DISTINCT query, item_id FROM ({logged}) ORDER BY query, item_id")
        for batch in equal_batches(distinct.to_arrow_reader(PAIRS_AT_ONCE), PAIRS_AT_ONCE):
            pairs = pa.Table.from_batches([batch]).cast(pa.schema([("query", pa.string()), ("item_id", pa.string())]))
            row = pc.index_in(pairs["item_id"], value_set=ids)
            yield pairs.append_column("text", items["text"].take(row))


def with_level_prob(keys: pa.Table, level_prob: np.ndarray) -> pa.Table:
    """`keys` with the column level_prob [n, K] behind them."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(level_prob.astype(np.float32).ravel()), level_prob.shape[1])
    return keys.append_column("level_prob", lists.cast(pa.list_(pa.float32())))
