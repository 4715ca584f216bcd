"""The feature map: how raw features become the network's inputs. Fitted once on training rows, saved with the model.

One map drives every embedding, the item columns of past events included, and gives LightGBM the same columns. It
holds no queries, and user ids only if asked for them: without them it can be published as it is.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import EVENT_TYPES
from prectr.rank.config import HASH_BUCKETS, MAX_VOCABULARY
from prectr.rank.features.compute import FeatureMatrix
from prectr.rank.history.codes import encode
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import member, parsed, read_json

UNKNOWN = 0  # the index of every value that is not in a vocabulary
MIN_COUNT = 5
MAX_DEVIATIONS = 8.0
ROWS_AT_ONCE = 1 << 13  # that are put in other units together, in twice the precision


class Inputs(NamedTuple):
    """numeric float32 [n, F], standardised; categorical int64 [n, C], 0 where a value is unknown."""

    numeric: np.ndarray
    categorical: np.ndarray


@dataclass(frozen=True)
class NumericColumn:
    """A number, standardised by the training rows; values outside what they held are drawn to its edge."""

    name: str
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class CategoricalColumn:
    """A vocabulary, most frequent value first; its indices start at 1. `of_item`: the items table has the column.

    Where a vocabulary would have been too large, every value that is not in it shares an index, the one of its bucket,
    with whatever else has the same checksum: `buckets` indices behind the vocabulary's.
    """

    name: str
    of_item: bool
    vocabulary: list[str]
    buckets: int = 0

    @property
    def cardinality(self) -> int:
        """How many indices there are, the unknown one and the buckets included."""
        return 1 + len(self.vocabulary) + self.buckets

    @cached_property
    def _values(self) -> pa.Array:
        return pa.array(self.vocabulary, pa.string())

    def encode(self, values: pa.ChunkedArray) -> np.ndarray:
        """Indices int64 [n]; 0 for a null and, without buckets, for a value that is not in the vocabulary."""
        codes = encode(values, self._values).astype(np.int64) + 1
        if self.buckets:
            rare = np.flatnonzero((codes == UNKNOWN) & values.is_valid().to_numpy(zero_copy_only=False))
            named = values.take(pa.array(rare)).combine_chunks().dictionary_encode()
            checksums = [zlib.crc32(value.encode()) % self.buckets for value in named.dictionary.to_pylist()]
            bucket = np.array(checksums, np.int64)[named.indices.to_numpy()]
            codes[rare] = 1 + len(self.vocabulary) + bucket
        return codes


@dataclass(frozen=True)
class FeatureMap:
    """Every input column in its order; item columns come first among the categoricals.

    `event_types` are the types that a past event is told apart by, `prectr.data.contract.EVENT_TYPES` first.

    Example:
        >>> feature_map = FeatureMap.fit(items, train_impressions, train_features)
        >>> inputs = feature_map.transform(items, impressions, features)
    """

    numeric: tuple[NumericColumn, ...]
    categorical: tuple[CategoricalColumn, ...]
    event_types: tuple[str, ...] = EVENT_TYPES

    @classmethod
    def fit(
        cls,
        items: pa.Table,
        impressions: pa.Table,
        features: FeatureMatrix,
        *,
        event_types: Sequence[str] = EVENT_TYPES,
        **settings: Any,
    ) -> FeatureMap:
        """Fit on training impressions that are all in memory; `settings` are those of `FeatureMapFit`.

        Raises:
            PrectrError: rows of another split than `train` are among the impressions, or there are none.
        """
        fit = FeatureMapFit(items, **settings)
        fit.add(impressions, features)
        return fit.finish(event_types)

    @property
    def numeric_names(self) -> list[str]:
        return [column.name for column in self.numeric]

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Mean, deviation, least and largest value of each number: [4, F]."""
        return np.array([(c.mean, c.std, c.low, c.high) for c in self.numeric]).reshape(-1, 4).T.copy()

    @property
    def categorical_names(self) -> list[str]:
        return [column.name for column in self.categorical]

    @property
    def cardinalities(self) -> list[int]:
        """How many indices each categorical has, the unknown one included."""
        return [column.cardinality for column in self.categorical]

    @property
    def item_columns(self) -> list[int]:
        """Which categoricals describe the item: past events carry these too."""
        return [place for place, column in enumerate(self.categorical) if column.of_item]

    def transform(
        self,
        items: pa.Table,
        impressions: pa.Table,
        features: FeatureMatrix,
        of_items: np.ndarray | None = None,
        row: np.ndarray | None = None,
    ) -> Inputs:
        """The inputs of n impressions, from their own columns, their items' and their hand-made features [n, F].

        Args:
            of_items: `transform_items` of the items, where it is known. row: the row of each impression's item [n], -1
                where `items` lacks it, where that is known.

        Raises:
            PrectrError: the features or columns are not those the map was fitted on.
        """
        if features.names != self.numeric_names:
            differing = sorted(set(features.names) ^ set(self.numeric_names)) or ["their order"]
            raise PrectrError(
                f"The features are not those the feature map was fitted on ({', '.join(differing[:3])}): build the "
                "ranker again on this data set with `python -m rank run`."
            )
        mean, std, low, high = self._numbers
        numeric = np.empty(features.values.shape, np.float32)
        for start in range(0, len(numeric), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            centred = np.clip(features.values[rows], low, high) - mean
            # A column that is constant in training tells nothing, whatever it is later.
            scaled = np.divide(centred, std, out=np.zeros_like(centred), where=std > 0)
            numeric[rows] = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS)

        of_items = self.transform_items(items) if of_items is None else of_items
        row = encode(impressions["item_id"], items["item_id"].combine_chunks()) if row is None else row
        categorical = np.empty((impressions.num_rows, len(self.categorical)), np.int64)
        categorical[:, self.item_columns] = np.where(row[:, None] < 0, UNKNOWN, of_items[row])
        for place, column in enumerate(self.categorical):
            if not column.of_item:
                categorical[:, place] = column.encode(_column(impressions, "impressions", column.name))
        return Inputs(numeric, categorical)

    def transform_items(self, items: pa.Table) -> np.ndarray:
        """Indices int64 [items, len(item_columns)] of every item of the table, in its order."""
        columns = [self.categorical[place] for place in self.item_columns]
        codes = [column.encode(_column(items, "items", column.name)) for column in columns]
        return np.stack(codes, 1) if codes else np.zeros((items.num_rows, 0), np.int64)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def read(cls, path: Path) -> FeatureMap:
        """What a file of `to_json` holds; raises `PrectrError` if it is missing or damaged."""
        stored = read_json(path)
        numeric, categorical = (member(stored, name, path, list) for name in ("numeric", "categorical"))
        event_types = member({"event_types": list(EVENT_TYPES), **stored}, "event_types", path, list)
        return cls(
            tuple(parsed(NumericColumn, column, path) for column in numeric),
            tuple(parsed(CategoricalColumn, column, path) for column in categorical),
            tuple(map(str, event_types)),
        )


class FeatureMapFit:
    """Takes training impressions and their features a part at a time, and makes the feature map of them all.

    Means, deviations and ranges are exact, merged from part to part, and values are counted. Kept meanwhile is one
    number per item and per distinct value of the other columns.

    Args:
        items: the contract's table.
        min_count: how often a value must occur in the training rows to have an index of its own.
        item_id, user_id: whether ids get a vocabulary; a map with user ids must not be published.
        max_vocabulary: values that have an index of their own, at most: the most frequent; the others of a column
            that has more go to `hash_buckets` shared ones, so that no table is larger than both together.
    """

    def __init__(
        self,
        items: pa.Table,
        *,
        min_count: int = MIN_COUNT,
        item_id: bool = True,
        user_id: bool = False,
        max_vocabulary: int = MAX_VOCABULARY,
        hash_buckets: int = HASH_BUCKETS,
    ) -> None:
        of_items = [name for name in items.column_names if name == "category" or name.startswith("cat_")]
        self._item_columns = (["item_id"] if item_id else []) + of_items
        self._items, self._user_id = items, user_id
        self._min_count, self._max_vocabulary, self._hash_buckets = min_count, max_vocabulary, hash_buckets
        self._item_count = np.zeros(items.num_rows, np.int64)
        self._counts: dict[str, Counter[str]] = {}
        self._names: list[str] = []
        self._rows = 0
        self._mean = self._variance = self._low = self._high = np.zeros(0)

    def add(self, impressions: pa.Table, features: FeatureMatrix) -> None:
        """Count n training impressions, with their features [n, F].

        Raises:
            PrectrError: rows of another split than `train` are among the impressions.
        """
        splits = pc.unique(impressions["split"]).to_pylist() if "split" in impressions.column_names else []
        if [split for split in splits if split != "train"]:
            raise _other_rows(", ".join(splits))
        if not impressions.num_rows:
            return
        row = encode(impressions["item_id"], self._items["item_id"].combine_chunks())
        self._item_count += np.bincount(row[row >= 0], minlength=len(self._item_count))
        context = [name for name in impressions.column_names if name.startswith("ctx_cat_")]
        for name in ["query_category", *context] + (["user_id"] if self._user_id else []):
            counted = pc.value_counts(impressions[name].combine_chunks())
            known = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
            self._counts.setdefault(name, Counter()).update(known)
        self._add_numbers(features)

    def _add_numbers(self, features: FeatureMatrix) -> None:
        columns = (column.astype(np.float64) for column in features.values.T)
        of_columns = [[of(column) for of in (np.mean, np.var, np.min, np.max)] for column in columns]
        mean, variance, low, high = np.array(of_columns).T
        rows = len(features.values)
        if not self._rows:
            self._names, self._mean, self._variance, self._low, self._high = features.names, mean, variance, low, high
        else:
            share, gap = rows / (self._rows + rows), mean - self._mean
            self._variance = (1 - share) * self._variance + share * variance + share * (1 - share) * gap**2
            self._mean = self._mean + share * gap
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        self._rows += rows

    def finish(self, event_types: Sequence[str] = EVENT_TYPES) -> FeatureMap:
        """
        Args:
            event_types: those that occur before the training rows end (`BehaviourLog.event_types_before`).

        Raises:
            PrectrError: there were no rows.
        """
        if not self._rows:
            raise _other_rows("no rows")
        # Equal values may have a rounding error for a standard deviation.
        std = np.where(self._high > self._low, np.sqrt(self._variance), 0.0)
        columns = zip(self._names, self._mean, std, self._low, self._high, strict=True)
        numeric = tuple(NumericColumn(name, *map(float, numbers)) for name, *numbers in columns)
        of_items = [(name, True, self._counts_of_items(name)) for name in self._item_columns]
        others = [(name, False, counts) for name, counts in self._counts.items()]
        categorical = tuple(self._column(name, of_item, counts) for name, of_item, counts in [*of_items, *others])
        return FeatureMap(numeric, categorical, tuple(event_types))

    def _counts_of_items(self, name: str) -> Counter[str]:
        values = self._items[name].combine_chunks().dictionary_encode()
        known = values.indices.is_valid().to_numpy(zero_copy_only=False)
        codes = pc.fill_null(values.indices, 0).to_numpy()[known]
        counts = np.bincount(codes, self._item_count[known], len(values.dictionary)).astype(np.int64)
        return Counter(dict(zip(values.dictionary.to_pylist(), counts.tolist(), strict=True)))

    def _column(self, name: str, of_item: bool, counts: Counter[str]) -> CategoricalColumn:
        frequent = sorted(
            (-count, value) for value, count in counts.items() if value is not None and count >= self._min_count
        )
        vocabulary = [value for _, value in frequent[: self._max_vocabulary]]
        return CategoricalColumn(
            name, of_item, vocabulary, self._hash_buckets if len(frequent) > self._max_vocabulary else 0
        )


def _other_rows(found: str) -> PrectrError:
    return PrectrError(
        f"impressions.parquet: split: a feature map is fitted on training rows alone, found {found}: pass the rows of "
        "split 'train'."
    )


def _column(table: pa.Table, name: str, column: str) -> pa.ChunkedArray:
    if column not in table.column_names:
        raise PrectrError(f"{name}: column {column!r} is missing: the feature map was fitted on a table that has it.")
    return table[column]
