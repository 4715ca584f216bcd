"""Home Depot Product Search Relevance (Kaggle, 2016) as tables of the contract, split by query.

    python -m benchmarks.homedepot train.csv.zip artifacts/homedepot/data

The competition's data may not be passed on: fetch it from Kaggle. Ratings are means of human raters, 1 to 3 in thirds;
levels are cut at 1.5, 2.17 and 2.84. No query is in two splits. The pairs of `unlabelled` have ratings too, which are
kept apart in `ratings.parquet`: they tell how far a teacher's labels are from human ones, and nothing is trained on
them but the upper bound that says so.
"""

from __future__ import annotations

import csv
import html
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.contract import write_table
from shared.cli import run_main
from shared.config import PrectrError
from shared.seeds import generator
from shared.steps import file_fingerprint, run_step

LEVELS = ["irrelevant", "related", "substitute", "exact"]
CUTS = (1.5, 2.17, 2.84)
SIZES = {"train": 3500, "validation": 500, "test": 3000, "unlabelled": 20_000}
"""Pairs of each split at least; whole queries are drawn until there are that many."""

COLUMNS = ("search_term", "product_title", "product_uid", "relevance")


def build_tables(source: Path, folder: Path, seed: int = 0) -> None:
    """Writes items, pairs and ratings; a table that is there from the same file is not written again.

    Args:
        source: train.csv.zip as Kaggle gives it (Latin-1).
        folder: the data set's folder, artifacts/<name>/data.
        seed: decides which query is in which split.

    Raises:
        PrectrError: no such file, not that zip, or a column is missing.
    """
    inputs = {"version": 2, "source": file_fingerprint(source), "seed": seed, "sizes": SIZES, "cuts": list(CUTS)}
    run_step("data", folder, inputs, lambda work: _build(source, work, seed))


def _read(source: Path) -> list[dict[str, str]]:
    try:
        with zipfile.ZipFile(source) as archive:
            text = archive.read("train.csv").decode("latin-1")
    except (zipfile.BadZipFile, KeyError) as error:
        raise PrectrError(f"{source}: no zip file with train.csv inside ({error}); fetch it from Kaggle.") from error
    rows = list(csv.DictReader(io.StringIO(text)))
    for column in COLUMNS:
        if not rows or column not in rows[0]:
            raise PrectrError(f"{source}: train.csv has no column {column!r}; fetch it from Kaggle.")
    return rows


def _build(source: Path, work: Path, seed: int) -> None:
    rows = _read(source)
    query, text, item_id, rating = (
        np.array([html.unescape(row[name]).strip() for row in rows], dtype=object) for name in COLUMNS
    )
    rating = rating.astype(float)
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
    counts = {name: int((split == name).sum()) for name in SIZES}
    (work / "summary.json").write_text(json.dumps({"pairs": counts}, indent=2) + "\n", encoding="utf-8")


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


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise PrectrError("python -m benchmarks.homedepot SOURCE FOLDER: name train.csv.zip and the folder to write.")
    build_tables(Path(argv[0]), Path(argv[1]))


if __name__ == "__main__":
    run_main(main)
