"""Home Depot Product Search Relevance (Kaggle, 2016), split by query.

    python -m data convert homedepot train.csv.zip --name homedepot

The competition's data may not be passed on: fetch it from Kaggle. Ratings are means of human raters, 1 to 3 in thirds;
levels are cut at 1.5, 2.17 and 2.84. No query is in two splits. The pairs of `unlabelled` have ratings too, which are
kept apart in `ratings.parquet`: they tell how far a teacher's labels are from human ones, and nothing is trained on
them but the upper bound that says so.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import write_table
from prectr.data.converters.reading.readers import Reading, read_batches
from prectr.data.converters.write import finish
from prectr.shared.errors import PrectrError
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.steps import run_step
from prectr.shared.seeds import generator
from prectr.shared.store.at_hand import here
from prectr.shared.values.texts import plain_text

LEVELS = ["irrelevant", "related", "substitute", "exact"]
CUTS = (1.5, 2.17, 2.84)
SIZES = {"train": 3500, "validation": 500, "test": 3000, "unlabelled": 20_000}
"""Pairs of each split at least; whole queries are drawn until there are that many."""

_RULE = "the mean rating cut at " + ", ".join(map(str, CUTS)) + ": " + ", ".join(LEVELS)

COLUMNS = ("search_term", "product_title", "product_uid", "relevance")


def source_file(sources: Sequence[str]) -> Path:
    """The one file there is.

    Raises:
        PrectrError: none, or several.
    """
    if len(sources) != 1:
        raise PrectrError(f"homedepot: found {len(sources)} sources: name train.csv.zip alone.")
    return here(sources[0])


def build_tables(source: Path, folder: Path, seed: int = 0) -> None:
    """Writes items, pairs and ratings; a table that is there from the same file is not written again.

    Args:
        source: train.csv.zip as Kaggle gives it (Latin-1).
        folder: the data set's folder, artifacts/<name>/data.
        seed: decides which query is in which split.

    Raises:
        PrectrError: no such file, not that zip, or a column is missing.
    """
    inputs = {"source": file_fingerprint(source), "seed": seed, "sizes": SIZES, "cuts": list(CUTS)}
    run_step("data", folder, inputs, lambda work: _build(source, work, seed), sources=[__name__])


def _read(source: Path) -> tuple[np.ndarray, ...]:
    """The columns query, text, item_id (str) and rating (float), [rows] each."""
    batches = list(read_batches(source, COLUMNS, Reading("csv", "latin-1", "comma")))
    rows = pa.Table.from_batches(batches) if batches else None
    if rows is None:
        raise PrectrError(f"{source}: it holds no rows; fetch it from Kaggle.")
    for name in COLUMNS:
        if (row := pc.index(rows[name].is_null(), True).as_py()) >= 0:
            raise PrectrError(f"{source}: {name}, row {rows['row'][row]}: nothing is there; fetch it from Kaggle.")
    rating = pc.if_else(pc.match_substring_regex(rows["relevance"], r"^[1-3](\.\d+)?$"), rows["relevance"], None)
    if (row := pc.index(rating.is_null(), True).as_py()) >= 0:
        found = rows["relevance"][row].as_py()
        raise PrectrError(f"{source}: relevance, row {rows['row'][row]}: found {found!r}: ratings go from 1 to 3.")
    texts = (
        np.array([plain_text(html.unescape(value)) for value in rows[name].to_pylist()], dtype=object)
        for name in COLUMNS[:3]
    )
    return (*texts, rating.cast(pa.float64()).to_numpy())


def _build(source: Path, work: Path, seed: int) -> None:
    query, text, item_id, rating = _read(source)
    num_rows = len(query)
    split_of = _split_queries(query, seed)
    split = np.array([split_of.get(each, "") for each in query], dtype=object)
    used = split != ""
    query, text, item_id, rating, split = (part[used] for part in (query, text, item_id, rating, split))
    level = np.searchsorted(CUTS, rating, side="right").astype(float)
    _, first, item = np.unique(item_id.astype(str), return_index=True, return_inverse=True)
    text = text[first][item]  # a few products have two titles; a table of items has one
    write_table(
        work, "items", {"item_id": item_id[first], "text": text[first], "category": np.full(len(first), "unknown")}
    )
    hidden = np.where(split == "unlabelled", np.nan, level)
    pairs = {
        "query": query,
        "item_id": item_id,
        "item_text": pa.nulls(len(query), pa.string()),
        "level": pa.array(hidden, from_pandas=True).cast(pa.int8()),
        "split": split,
    }
    write_table(work, "pairs", pairs, level_names=LEVELS)
    pq.write_table(
        pa.table({"query": query, "item_text": text, "rating": rating, "level": level.astype(np.int8)}),
        work / "ratings.parquet",
    )
    unused = f"{int((~used).sum()):,} rows of queries that no split needed are left out"
    finish(work, [f"{num_rows:,} rows read from {source}", unused, f"levels: {_RULE}"], "homedepot")


def _split_queries(query: np.ndarray, seed: int) -> dict[str, str]:
    distinct, count = np.unique(query.astype(str), return_counts=True)
    split_of: dict[str, str] = {}
    left = dict(SIZES)
    for index in generator(seed, "homedepot", "queries").permutation(len(distinct)):
        name = next((name for name, size in left.items() if size > 0), None)
        if name is None:
            break
        split_of[str(distinct[index])] = name
        left[name] -= int(count[index])
    return split_of
