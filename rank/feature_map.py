"""The feature map: how raw features become the network's inputs. Fitted once on training rows, saved with the model.

One map drives every embedding, the item columns of past events included, and gives LightGBM the same columns. It
holds no queries, and user ids only if asked for them: without them it can be published as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.contract import EVENT_TYPES
from rank.features import FeatureMatrix
from rank.level_prob import encode
from shared.config import PrectrError

UNKNOWN = 0  # the index of every value that is not in a vocabulary
MIN_COUNT = 5
MAX_DEVIATIONS = 8.0


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
    """A vocabulary, most frequent value first; its indices start at 1. `of_item`: the items table has the column."""

    name: str
    of_item: bool
    vocabulary: list[str]

    def encode(self, values: pa.ChunkedArray) -> np.ndarray:
        return encode(values, pa.array(self.vocabulary, pa.string())).astype(np.int64) + 1


@dataclass(frozen=True)
class FeatureMap:
    """Every input column in its order; item columns come first among the categoricals.

    `event_types` are the types that a past event is told apart by, `data.contract.EVENT_TYPES` first.

    Example:
        >>> feature_map = FeatureMap.fit(items, train_impressions, train_features)
        >>> inputs = feature_map.transform(items, impressions, features)
        >>> FeatureMap.from_json(feature_map.to_json()) == feature_map
        True
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
        min_count: int = MIN_COUNT,
        item_id: bool = True,
        user_id: bool = False,
        event_types: Sequence[str] = EVENT_TYPES,
    ) -> FeatureMap:
        """Fit on training impressions and their features.

        Args:
            min_count: how often a value must occur in these rows to have an index of its own.
            item_id, user_id: whether ids get a vocabulary; a map with user ids must not be published.
            event_types: those that occur before the training rows end (`BehaviourLog.event_types_before`).

        Raises:
            PrectrError: rows of another split than `train` are among the impressions, or there are none.
        """
        splits = pc.unique(impressions["split"]).to_pylist() if "split" in impressions.column_names else []
        if [split for split in splits if split != "train"] or not impressions.num_rows:
            found = ", ".join(splits) or "no rows"
            raise PrectrError(
                f"impressions.parquet: split: a feature map is fitted on training rows alone, found {found}: pass the "
                "rows of split 'train'."
            )
        numeric = tuple(_fit_numeric(features))
        categorical = tuple(
            CategoricalColumn(name, of_item, _frequent(values, min_count))
            for name, of_item, values in _categorical_values(items, impressions, item_id, user_id)
        )
        return cls(numeric, categorical, tuple(event_types))

    @property
    def numeric_names(self) -> list[str]:
        return [column.name for column in self.numeric]

    @property
    def categorical_names(self) -> list[str]:
        return [column.name for column in self.categorical]

    @property
    def cardinalities(self) -> list[int]:
        """How many indices each categorical has, the unknown one included."""
        return [len(column.vocabulary) + 1 for column in self.categorical]

    @property
    def item_columns(self) -> list[int]:
        """Which categoricals describe the item: past events carry these too."""
        return [place for place, column in enumerate(self.categorical) if column.of_item]

    def transform(self, items: pa.Table, impressions: pa.Table, features: FeatureMatrix) -> Inputs:
        """The inputs of n impressions, from their own columns, their items' and their hand-made features [n, F].

        Raises:
            PrectrError: the features or columns are not those the map was fitted on.
        """
        if features.names != self.numeric_names:
            differing = sorted(set(features.names) ^ set(self.numeric_names)) or ["their order"]
            raise PrectrError(
                f"The features are not those the feature map was fitted on ({', '.join(differing[:3])}): build the "
                "ranker again on this data set with `python -m rank run`."
            )
        mean, std, low, high = np.array([(c.mean, c.std, c.low, c.high) for c in self.numeric]).reshape(-1, 4).T
        centred = np.clip(features.values, low, high) - mean
        # A column that is constant in training tells nothing, whatever it is later.
        scaled = np.divide(centred, std, out=np.zeros_like(centred), where=std > 0)
        numeric = np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)

        of_items = self.transform_items(items)
        row = encode(impressions["item_id"], items["item_id"].combine_chunks())
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
    def from_json(cls, text: str) -> FeatureMap:
        stored = json.loads(text)
        return cls(
            tuple(NumericColumn(**column) for column in stored["numeric"]),
            tuple(CategoricalColumn(**column) for column in stored["categorical"]),
            tuple(stored.get("event_types", EVENT_TYPES)),
        )


def _fit_numeric(features: FeatureMatrix) -> Iterator[NumericColumn]:
    for name, values in zip(features.names, features.values.T.astype(np.float64), strict=True):
        low, high = float(values.min()), float(values.max())
        # Equal values may have a rounding error for a standard deviation.
        yield NumericColumn(name, float(values.mean()), float(values.std()) if high > low else 0.0, low, high)


def _categorical_values(
    items: pa.Table, impressions: pa.Table, item_id: bool, user_id: bool
) -> Iterator[tuple[str, bool, pa.ChunkedArray]]:
    """Name, whether it is the item's, and the value in every impression, of each categorical column."""
    row = pc.index_in(impressions["item_id"], value_set=items["item_id"].combine_chunks())
    of_items = [name for name in items.column_names if name == "category" or name.startswith("cat_")]
    for name in (["item_id"] if item_id else []) + of_items:
        yield name, True, items[name].take(row)
    context = [name for name in impressions.column_names if name.startswith("ctx_cat_")]
    for name in ["query_category", *context] + (["user_id"] if user_id else []):
        yield name, False, impressions[name]


def _frequent(values: pa.ChunkedArray, min_count: int) -> list[str]:
    counts = [(entry["counts"], entry["values"]) for entry in pc.value_counts(values.combine_chunks()).to_pylist()]
    frequent = [(-count, value) for count, value in counts if value is not None and count >= min_count]
    return [value for _, value in sorted(frequent)]


def _column(table: pa.Table, name: str, column: str) -> pa.ChunkedArray:
    if column not in table.column_names:
        raise PrectrError(f"{name}: column {column!r} is missing: the feature map was fitted on a table that has it.")
    return table[column]
