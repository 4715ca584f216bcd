"""The items of a shop that is open: what a scorer reads of each, ready by its code in the log, and growing. [O]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.likeness import Likeness
from prectr.rank.history.codes import Grown, encode
from prectr.rank.history.live_log import ItemsMark, LiveLog
from prectr.rank.history.recent import Behind
from prectr.rank.inputs.events import Events
from prectr.rank.serving.journal import Item
from prectr.rank.serving.request import column_of


class Mark(NamedTuple):
    """A catalogue as it was: what is replaced as a whole, and the sizes of what grows."""

    items: pa.Table
    row: np.ndarray
    likeness: Likeness
    events: Events
    num_texts: int
    num_vectors: int
    num_values: dict[str, int]
    of_log: ItemsMark


class Catalogue:
    """Items by code of the log, texts by number.

    An item that changes is added behind the others: its former row stays, so that the numbers of texts do. What was
    read of an attribute is replaced, never changed: whoever holds it holds what was.

    Attributes:
        items: a row per item, and per former state of one. row: int32 [items of the log], the row of each.
        likeness, events: as `Scorer` has them; their texts are numbered by `texts`.
    """

    def __init__(
        self, items: pa.Table, log: LiveLog, likeness: Likeness, events: Events, feature_map: FeatureMap
    ) -> None:
        self._log, self._feature_map = log, feature_map
        self.items = items.combine_chunks()
        codes = encode(items["item_id"], log.items)
        self.row = np.full(len(log.items), -1, np.int32)
        self.row[codes[codes >= 0]] = np.flatnonzero(codes >= 0)
        self.texts = Grown(items["text"].combine_chunks().dictionary_encode().dictionary)
        vectors = likeness.vectors
        if vectors is not None:
            vectors = replace(vectors, items=Behind(vectors.items))  # type: ignore[arg-type]
        self.likeness, self.events = replace(likeness, vectors=vectors), events
        self._means = {column.name: column.mean for column in feature_map.numeric}
        self._values: dict[str, Grown] = {}

    def text_numbers(self, codes: np.ndarray) -> np.ndarray:
        """The number of each item's text, int64 [n]."""
        return self.likeness.text[codes].astype(np.int64)

    def with_another_text(self, items: Sequence[Item]) -> list[str]:
        """Ids of those that are known with another text."""
        codes = encode(pa.array([item.item_id for item in items], pa.string()), self._log.items)
        texts = encode(pa.array([item.text for item in items], pa.string()), self.texts)
        now = np.where(codes >= 0, self.likeness.text[codes], texts)
        return [item.item_id for item, is_other in zip(items, (now != texts).tolist(), strict=True) if is_other]

    def new_texts(self, items: Sequence[Item]) -> list[str]:
        """Their distinct texts that have no number yet, in the order in which `put` will number them."""
        texts = list(dict.fromkeys(item.text for item in items))
        known = self.texts.encode(pa.array(texts, pa.string())) >= 0
        return [text for text, is_known in zip(texts, known.tolist(), strict=True) if not is_known]

    def mark(self) -> Mark:
        """What `keep` goes back to."""
        vectors = self.likeness.vectors
        return Mark(
            self.items,
            self.row,
            self.likeness,
            self.events,
            len(self.texts),
            0 if vectors is None else len(vectors.items.recent.values),  # type: ignore[attr-defined]
            {name: len(values) for name, values in self._values.items()},
            self._log.mark_items(),
        )

    def keep(self, mark: Mark) -> None:
        """Take back everything that was put since."""
        self.items, self.row, self.likeness, self.events = mark[:4]
        self.texts.keep(mark.num_texts)
        if self.likeness.vectors is not None:
            self.likeness.vectors.items.recent.keep(mark.num_vectors)  # type: ignore[attr-defined]
        for name in list(self._values):
            if name in mark.num_values:
                self._values[name].keep(mark.num_values[name])
            else:
                del self._values[name]
        self._log.keep_items(mark.of_log)

    def put(self, items: Sequence[Item], vectors: np.ndarray | None, for_now: bool = False) -> None:
        """Add items, or change them.

        Args:
            vectors: float16 [new texts, V], the frozen vectors of `new_texts`; None: no feature reads any. for_now:
                `keep` will take them back.
        """
        items = list({item.item_id: item for item in items}.values())
        given = [{"item_id": i.item_id, "text": i.text, "category": i.category, **i.attributes} for i in items]
        rows = pa.table(
            {name: column_of(name, [item.get(name) for item in given], self._means) for name in self.items.column_names}
        ).cast(self.items.schema)
        values = [{name.removeprefix("cat_"): value for name, value in item.attributes.items()} for item in items]
        codes = self._log.add_items([i.item_id for i in items], [i.category for i in items], values, for_now)
        numbers = np.array([self.texts.add(item.text) for item in items], np.int32)
        if vectors is not None and self.likeness.vectors is not None:
            self.likeness.vectors.items.recent.append(vectors)  # type: ignore[attr-defined]
        size = len(self._log.items)
        self.row = _grown(self.row, size, codes, self.items.num_rows + np.arange(len(items)))
        compared = np.stack([self._codes(name, rows) for name in self.likeness.attributes], 1) + 1
        self.likeness = replace(
            self.likeness,
            codes=_grown(self.likeness.codes, size, codes, compared),
            text=_grown(self.likeness.text, size, codes, numbers),
        )
        of_items = self._feature_map.transform_items(rows)
        self.events = Events(
            self._log,
            _grown(self.events.item_categorical, size, codes, of_items),
            self.events.event_types,
            self.likeness.text,
        )
        self.items = pa.concat_tables([self.items, rows]).combine_chunks()

    def _codes(self, name: str, rows: pa.Table) -> np.ndarray:
        """Which of the distinct values of an attribute the new rows have, in the numbers of `Likeness`; -1 for none."""
        if name not in self._values:
            self._values[name] = Grown(self.items[name].combine_chunks().dictionary_encode().dictionary)
        return np.array([-1 if value is None else self._values[name].add(value) for value in rows[name].to_pylist()])


def _grown(column: np.ndarray, size: int, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A copy of a column [n, ...] with room for `size` rows and `values` at `places`."""
    grown = np.zeros((size, *column.shape[1:]), column.dtype)
    grown[: len(column)] = column
    grown[places] = values
    return grown
