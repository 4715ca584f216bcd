"""What stage one hands to stage two beside the encoder: its opinion of every logged pair, and labelled pairs to
replay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.contract import SCHEMAS, has_table, read_table
from distill.labels import read_labels
from distill.pairs import concatenate, read_pairs
from shared.encoder import LevelEncoder
from shared.steps import atomic_write, fingerprint_of, run_step


def write_level_prob(folder: Path, data_fingerprint: str, seconds: Mapping[str, float | None]) -> None:
    """`level_prob/`: two tables, both with level_prob list<float32>[K], and what they cost.

    level_prob.parquet: query, item_id — the published encoder's P(level | query, item) of every pair that occurs in the
    log, the column stage two and every rival read; sorted by both keys.
    replay.parquet: query, item_text — the training pairs, gold levels as one-hot rows and the teacher's as it gave
    them.
    seconds.json: of every step of stage one before this one; `convert` is null where no teacher had to be made.
    """
    inputs = {"encoder": fingerprint_of(folder / "encoder"), "data": data_fingerprint}

    def build(work: Path) -> None:
        _build(folder, work)
        (work / "seconds.json").write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")

    run_step("level_prob", folder / "level_prob", inputs, build)


def logged_pairs(data: Path) -> pa.Table:
    """Every distinct (query, item_id) of impressions, and of behaviours that have a query; sorted, with the item's
    `text`. None where there is no log.
    """
    columns = ["query", "item_id"]
    if not has_table(data, "impressions"):
        return SCHEMAS["gold"].empty_table().select(columns).append_column("text", pa.array([], pa.string()))
    behaviours = read_table(data, "behaviours", columns)
    behaviours = behaviours.filter(pc.is_valid(behaviours["query"]))
    both = pa.concat_tables([read_table(data, "impressions", columns), behaviours])
    distinct = both.group_by(columns).aggregate([]).sort_by([(column, "ascending") for column in columns])
    items = read_table(data, "items", ["item_id", "text"])
    row = pc.index_in(distinct["item_id"], value_set=items["item_id"].combine_chunks())
    return distinct.append_column("text", items["text"].take(row.combine_chunks()))


def _build(folder: Path, work: Path) -> None:
    pairs = logged_pairs(folder / "data")
    encoder = LevelEncoder.from_pretrained(folder / "encoder")
    level_prob = np.zeros((0, encoder.num_levels), np.float32)
    if pairs.num_rows:
        level_prob = encoder.score_pairs(pairs["query"].to_pylist(), pairs["text"].to_pylist())
    _write(work / "level_prob.parquet", pairs.select(["query", "item_id"]), level_prob)
    taught, judgement = read_labels(folder / "labels")
    gold = read_pairs(folder / "data").get("train", taught.take(np.array([], int)))
    one_hot = np.eye(level_prob.shape[1], dtype=np.float32)[gold.level]
    replayed = concatenate([gold, taught])
    texts = pa.table({"query": replayed.query.tolist(), "item_text": replayed.item_text.tolist()})
    _write(work / "replay.parquet", texts, np.concatenate([one_hot, judgement.level_prob]))


def _write(path: Path, keys: pa.Table, level_prob: np.ndarray) -> None:
    """`keys` with the column level_prob [n, K] behind them."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(level_prob.astype(np.float32).ravel()), level_prob.shape[1])
    with atomic_write(path) as temporary:
        pq.write_table(
            keys.append_column("level_prob", lists.cast(pa.list_(pa.float32()))), temporary, compression="zstd"
        )
