"""The figures of `summary.json`, asked of the tables where they lie: memory does not grow with their rows. [O]"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.checks.sql import Checker
from prectr.data.contract import (
    EVALUATED_SPLITS,
    IMPRESSION_SPLITS,
    PAIR_SPLITS,
    SCHEMAS,
    has_table,
    levels,
    read_table,
    table_path,
)
from prectr.shared.storage.duckdb import literals

_BATCH = 1 << 16


def figures(folder: Path, level_mix: Mapping[str, list[float]], depths: Sequence[int]) -> dict[str, Any]:
    """What the tables of a data set hold, in numbers.

    Args:
        level_mix: see `prectr.data.report.write_summary`.
        depths: of cross-user coverage, numbers of earlier searches.
    """
    names = levels(folder)
    there = [name for name in SCHEMAS if has_table(folder, name)]
    with Checker(folder, there) as ask:
        found: dict[str, Any] = {
            "rows": {name: pq.read_metadata(table_path(folder, name)).num_rows for name in there},
            "levels": names,
            "text_twin_rate": _text_twin_rate(ask),
            "pairs": _pairs(ask, len(names)),
        }
        if "impressions" in there:
            found |= {
                "impressions": _impressions(ask, len(names), level_mix),
                "behaviours": _behaviours(ask),
                "cross_user_coverage": _cross_user_coverage(ask, depths),
                "mean_shift": _mean_shift(ask, folder),
            }
    return found


def _text_twin_rate(ask: Checker) -> float:
    counts = "SELECT count(*) AS items FROM items GROUP BY text"
    [(twins, items)] = ask.ask(f"SELECT coalesce(sum(items) FILTER (items > 1), 0), sum(items) FROM ({counts})")
    return float(twins / items) if items else 0.0


def _pairs(ask: Checker, num_levels: int) -> dict[str, Any]:
    distinct = {"queries": "query", "items": "coalesce(item_id, item_text)"}
    mix = _level_mix(ask, "pairs", num_levels)
    of = _by_split(ask, "pairs", PAIR_SPLITS, distinct)
    return {split: {**counts, "level_mix": mix.get(split)} for split, counts in of.items()}


def _impressions(ask: Checker, num_levels: int, level_mix: Mapping[str, list[float]]) -> dict[str, Any]:
    distinct = {"pages": "page_id", "users": "user_id", "queries": "query"}
    mix: Mapping[str, list[float]] = {}
    if "gold" in ask.tables:
        judged = f"impressions JOIN gold USING (query, item_id) WHERE split IN {literals(EVALUATED_SPLITS)}"
        mix = _level_mix(ask, f"(SELECT split, level FROM {judged})", num_levels)
    of = _by_split(ask, "impressions", IMPRESSION_SPLITS, distinct, clicks=True)
    return {split: {**counts, "level_mix": level_mix.get(split) or mix.get(split)} for split, counts in of.items()}


def _behaviours(ask: Checker) -> dict[str, Any]:
    [(pages, users, queries, searches, clicks, rows)] = ask.ask(
        """SELECT count(DISTINCT page_id) FILTER (query IS NOT NULL),
           count(DISTINCT user_id) FILTER (query IS NOT NULL), count(DISTINCT query), count(query),
           count(query) FILTER (clicked), count(*) FROM behaviours"""
    )
    distinct = "SELECT DISTINCT query, item_id FROM behaviours WHERE query IS NOT NULL"
    return {
        "pages": pages,
        "users": users,
        "queries": queries,
        "rows": searches,
        "purchase_rows": rows - searches,
        "ctr": clicks / searches if searches else None,
        "query_item_pairs": ask.ask(f"SELECT count(*) FROM ({distinct})")[0][0],
    }


def _by_split(
    ask: Checker, table: str, splits: Sequence[str], distinct: Mapping[str, str], clicks: bool = False
) -> dict[str, dict[str, Any]]:
    """Of each split the numbers of distinct values and of rows, and of clicks a row."""
    counts = ", ".join(f"count(DISTINCT {expression})" for expression in distinct.values())
    clicked = "count(*) FILTER (clicked)" if clicks else "0"
    rows = ask.ask(f"SELECT split, {counts}, count(*), {clicked} FROM {table} GROUP BY split")
    found = {split: of for split, *of in rows}
    told = {}
    for split in splits:
        *values, total, hits = found.get(split, [0] * (len(distinct) + 2))
        told[split] = {**dict(zip(distinct, values, strict=True)), "rows": total}
        if clicks:
            told[split]["ctr"] = hits / total if total else None
    return told


def _level_mix(ask: Checker, rows: str, num_levels: int) -> dict[str, list[float]]:
    """By split, the share of each level among the rows that have one; no entry where none has."""
    found: dict[str, list[int]] = {}
    for split, level, count in ask.ask(
        f"SELECT split, level, count(*) FROM {rows} WHERE level IS NOT NULL GROUP BY ALL"
    ):
        found.setdefault(split, [0] * num_levels)[level] = count
    return {split: [count / sum(counts) for count in counts] for split, counts in found.items()}


def _cross_user_coverage(ask: Checker, depths: Sequence[int]) -> dict[str, dict[str, float | None]]:
    """Share of test impressions whose query, or category, other users have searched before, at least so many times.

    Two events without a user are of two users, as far as anyone knows.
    """
    names = "user_id, query, query_category, page_id, timestamp"
    ask.ask(
        f"""CREATE TEMP TABLE searches AS SELECT {names}, 0 AS rows FROM behaviours WHERE page_id IS NOT NULL
            GROUP BY ALL UNION ALL SELECT {names}, count(*) FROM impressions WHERE split = 'test' GROUP BY ALL"""
    )
    coverage: dict[str, dict[str, float | None]] = {}
    for label, key in (("query", "query"), ("category", "query_category")):
        others = (
            f"SELECT rows, all_of.earlier - coalesce(own.earlier, 0) AS earlier FROM searches "
            f"LEFT JOIN ({_earlier(key)}) AS all_of ON searches.{key} = all_of.{key} "
            "AND searches.timestamp = all_of.timestamp "
            f"LEFT JOIN ({_earlier(f'{key}, user_id')}) AS own ON searches.{key} = own.{key} "
            "AND searches.timestamp = own.timestamp AND searches.user_id = own.user_id WHERE rows > 0"
        )
        deep = ", ".join(f"coalesce(sum(rows) FILTER (earlier >= {depth}), 0)" for depth in depths)
        [(total, *found)] = ask.ask(f"SELECT sum(rows), {deep} FROM ({others})")
        coverage[label] = {
            str(depth): float(rows / total) if total else None for depth, rows in zip(depths, found, strict=True)
        }
    ask.ask("DROP TABLE searches")
    return coverage


def _earlier(keys: str) -> str:
    """SQL: of each moment, how many of the earlier searches have its keys, none of which is null."""
    known = " AND ".join(f"{key} IS NOT NULL" for key in keys.split(", "))
    moments = (
        f"SELECT {keys}, timestamp, count(*) FILTER (rows = 0) AS searched FROM searches WHERE {known} GROUP BY ALL"
    )
    return (
        f"SELECT {keys}, timestamp, coalesce(sum(searched) OVER (PARTITION BY {keys} ORDER BY timestamp "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier FROM ({moments})"
    )


def _mean_shift(ask: Checker, folder: Path) -> dict[str, dict[str, float]]:
    """Means of every numeric feature of context and item in train and test, and the shift in train's deviations."""
    found = {}
    for name, train, test in _numeric_features(ask, folder):
        if not (train.weight and test.weight):
            return {}
        spread = float(np.sqrt(train.squares / train.weight))
        shift = float((test.mean - train.mean) / spread) if spread > 0 else 0.0
        found[name] = {"train": float(train.mean), "test": float(test.mean), "shift": shift}
    return found


class _Moments:
    """Weight, mean and sum of squared deviations of values that come in batches."""

    def __init__(self) -> None:
        self.weight, self.mean, self.squares = 0.0, 0.0, 0.0

    def add(self, values: np.ndarray, weights: np.ndarray) -> None:
        weight = float(weights.sum())
        if not weight:
            return
        mean = float((weights * values).sum()) / weight
        squares = float((weights * (values - mean) ** 2).sum())
        total, ahead = self.weight + weight, mean - self.mean
        self.squares += squares + ahead**2 * self.weight * weight / total
        self.mean += ahead * weight / total
        self.weight = total


def _numeric_features(ask: Checker, folder: Path) -> Iterator[tuple[str, _Moments, _Moments]]:
    """Name, and moments over the rows of train and of test."""
    for name in ask.columns["impressions"]:
        if name.startswith("ctx_num_"):
            train, test = _Moments(), _Moments()
            with pq.ParquetFile(table_path(folder, "impressions")) as file:
                for batch in file.iter_batches(_BATCH, columns=["split", name]):
                    values = batch[name].to_numpy(zero_copy_only=False).astype(np.float64)
                    for split, moments in (("train", train), ("test", test)):
                        moments.add(values, _as_weights(pc.equal(batch["split"], split)))
            yield name, train, test
    names = [name for name in ask.columns["items"] if name.startswith("num_")]
    if not names:
        return
    items = read_table(folder, "items", ["item_id", *names])
    shown = ask.table(
        """SELECT item_id, count(*) FILTER (split = 'train') AS train, count(*) FILTER (split = 'test') AS test
           FROM impressions GROUP BY item_id"""
    )
    place = pc.index_in(items["item_id"].combine_chunks(), shown["item_id"].cast(pa.string()).combine_chunks())
    for name in names:
        values = items[name].to_numpy().astype(np.float64)
        train, test = _Moments(), _Moments()
        for split, moments in (("train", train), ("test", test)):
            moments.add(values, _as_weights(pc.fill_null(shown[split].take(place), 0)))
        yield name, train, test


def _as_weights(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False))
