"""The data set's (query, item text) pairs as arrays: what the teacher judges and the student learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.checks.validate import validate_pairs
from prectr.data.contract import read_table, table_path
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator

GOLD_SPLITS = ("train", "validation")

SEEN_BEFORE = {"test": ("train", "validation", "unlabelled"), "test_types": GOLD_SPLITS}
"""Where a test split's queries must not occur. The teacher may meet those of `test_types`: its knowledge is all there
is of types nobody labelled."""


@dataclass(frozen=True)
class Pairs:
    """n distinct pairs in the order of the table. `level` [n] is -1 where nobody labelled the pair."""

    query: np.ndarray  # [n] str
    item_text: np.ndarray  # [n] str
    level: np.ndarray  # [n] int64

    def __len__(self) -> int:
        return len(self.query)

    def take(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.query[rows], self.item_text[rows], self.level[rows])

    def sample(self, size: int, seed: int, *names: str) -> Pairs:
        """`size` pairs (or all), drawn without replacement in an order that does not depend on `size`."""
        return self.take(generator(seed, "sample pairs", *names).permutation(len(self))[:size])

    def sample_queries(self, size: int, seed: int, *names: str) -> Pairs:
        """All pairs of queries drawn at random, `size` pairs (or all): of the last query those that still fit."""
        queries, code = np.unique(self.query, return_inverse=True)
        place = np.argsort(generator(seed, "sample queries", *names).permutation(len(queries)))
        return self.take(np.argsort(place[code], kind="stable")[:size])

    def keys(self) -> list[str]:
        """A name for each pair's two texts: sha256, 32 hex digits."""
        return [pair_key(query, text) for query, text in zip(self.query, self.item_text, strict=True)]


def no_pairs() -> Pairs:
    nothing = np.array([], dtype=object)
    return Pairs(nothing, nothing, np.array([], np.int64))


def pair_key(query: str, item_text: str) -> str:
    """Equal exactly for equal texts; the length in front keeps ("a", "bc") apart from ("ab", "c")."""
    return hashlib.sha256(f"{len(query)}:{query}{item_text}".encode()).hexdigest()[:32]


def with_random_items(pairs: Pairs, texts: Sequence[str], size: int, seed: int, *names: str) -> Pairs:
    """`size` pairs (or as many as `pairs`) of queries of `pairs` with an item text drawn at random that is not among
    the query's own; `level` is -1.
    """
    if not len(pairs) or not len(texts):
        return pairs.take(np.array([], int))
    draws = generator(seed, "random items", *names)
    rows = draws.permutation(len(pairs))[:size]
    drawn = np.array([texts[at] for at in draws.integers(len(texts), size=len(rows))], dtype=object)
    graded = set(zip(pairs.query, pairs.item_text, strict=True))
    query = pairs.query[rows]
    new = [row for row, pair in enumerate(zip(query, drawn, strict=True)) if pair not in graded]
    return Pairs(query[new], drawn[new], np.full(len(new), -1))


def read_pairs(data: Path) -> dict[str, Pairs]:
    """The table `pairs` by split, items replaced by their texts; both tables are checked first.

    Items may share a text, so equal (query, text, level) rows are kept once: a pair counts as often as it says
    something new.

    Raises:
        PrectrError: see `prectr.data.checks.validate.validate_pairs`.
    """
    validate_pairs(data)
    table = read_table(data, "pairs")
    items = read_table(data, "items", ["item_id", "text"])
    # Texts are compared and carried as numbers: a long one that many pairs share is in memory once.
    queries, splits = pc.unique(table["query"]), pc.unique(table["split"])
    texts = pc.unique(pa.chunked_array([*items["text"].chunks, *table["item_text"].chunks], pa.string()))
    row_of_item = pc.index_in(table["item_id"], value_set=items["item_id"].combine_chunks()).combine_chunks()
    text_of_item = pc.index_in(items["text"], value_set=texts).combine_chunks().take(row_of_item)
    own_text = pc.index_in(table["item_text"], value_set=texts).combine_chunks()
    text = pc.coalesce(text_of_item, own_text).to_numpy()
    query, split = (
        pc.index_in(table[name], value_set=values).to_numpy()
        for name, values in (("query", queries), ("split", splits))
    )
    level = pc.fill_null(table["level"].cast(pa.int64()), -1).to_numpy()
    sizes = (len(queries), len(texts), level.max() + 2, len(splits))
    _, first = np.unique(np.ravel_multi_index((query, text, level + 1, split), sizes), return_index=True)
    first.sort()
    query_text, item_text = (np.array(values.to_pylist(), dtype=object) for values in (queries, texts))
    found = {}
    for code, name in enumerate(splits.to_pylist()):
        rows = first[split[first] == code]
        found[name] = Pairs(query_text[query[rows]], item_text[text[rows]], level[rows])
    return found


def require_training_pairs(pairs: Mapping[str, Pairs], data: Path) -> None:
    """Stops unless there is something to learn from: gold pairs in `train` and `validation`, of two levels or more in
    each; or gold in neither, and `unlabelled` pairs that a teacher judges as it comes.

    Raises:
        PrectrError: which split is empty or has a single level.
    """
    path = table_path(data, "pairs")
    gold = [split for split in GOLD_SPLITS if split in pairs]
    for split in GOLD_SPLITS if gold else ("unlabelled",):
        if split not in pairs:
            raise PrectrError(f"{path}: split: no row is {split!r}: stage one needs some, so move whole queries there.")
    for split in gold:
        found = np.unique(pairs[split].level)
        if len(found) < 2:
            raise PrectrError(
                f"{path}: level: every row of split {split!r} is of level {found[0]}: judge pairs of other levels too."
            )


def remarks(pairs: Mapping[str, Pairs], data: Path, level_names: Sequence[str]) -> list[str]:
    """What is no error but should be known of the pairs before they are trained on, a line each."""
    lines = []
    num_rows, kept = pq.read_metadata(table_path(data, "pairs")).num_rows, sum(map(len, pairs.values()))
    if kept < num_rows:
        lines.append(
            f"{num_rows - kept:,} of {num_rows:,} rows repeat a query, text, level and split: each counts once."
        )
    gold = [part for split, part in pairs.items() if split != "unlabelled"]
    num_gold = sum(map(len, gold))
    distinct = {pair for part in gold for pair in zip(part.query, part.item_text, strict=True)}
    if len(distinct) < num_gold:
        lines.append(
            f"{num_gold - len(distinct):,} of {num_gold:,} gold pairs have the texts of another with another level or "
            "split (different items of one text): both are kept, and no judge of texts can satisfy both."
        )
    if "unlabelled" not in pairs:
        lines.append("no row is 'unlabelled': the teacher judges near misses and random pairs of the training queries.")
    if "train" not in pairs:
        lines.append(
            "no row of train has a level: the teacher judges as it comes, nothing is fine-tuned or calibrated on gold, "
            "and what is kept of a training is what agrees best with the teacher on queries held out."
        )
    missing = sorted(set(range(len(level_names))) - set(pairs["train"].level.tolist())) if "train" in pairs else []
    if missing:
        names = ", ".join(level_names[level] for level in missing)
        lines.append(f"train has no pair of level {names}: the student hardly predicts what it never saw.")
    for test, seen in SEEN_BEFORE.items():
        known = set().union(*(pairs[split].query.tolist() for split in seen if split in pairs))
        queries = set(pairs[test].query.tolist()) if test in pairs else set()
        if shared := len(queries & known):
            lines.append(
                f"{shared:,} of {len(queries):,} queries of {test} are in {' or '.join(seen)} too: its figures do not "
                "tell how queries never seen would fare."
            )
    return [f"pairs: {line}" for line in lines]


def concatenate(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("query", "item_text", "level")))
