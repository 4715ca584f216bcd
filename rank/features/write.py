"""Writes a prepared set of any size: pages are prepared part by part, and nothing is in memory whole.

The training set is read twice. First its features are computed, written as they are, and counted for the feature map;
then, the map being known, the written numbers are put in the network's units, in a file that takes the place of theirs,
and the categoricals coded.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from prectr.rank.config import HistoryArguments
from prectr.rank.features.compute import Feature, FeatureMatrix
from prectr.rank.features.feature_map import FeatureMap, FeatureMapFit
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import RawSet, known_users, map_inputs, prepare
from prectr.rank.features.prepared_set import PreparedSet, PreparedWriter
from prectr.rank.features.shop import Shop
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.storage.npy import NpyWriter

NUMERIC, CATEGORICAL, FEATURES = "numeric", "categorical", "features"


class Pages(NamedTuple):
    """A part of a set: whole pages, their rows in the split int64 [n], and how many pages of history each keeps [G]."""

    impressions: pa.Table
    rows: np.ndarray
    cut: np.ndarray | int


def write_prepared(
    parts: PageParts,
    shop: Shop,
    history: HistoryArguments,
    cut: np.ndarray | int,
    feature_map: FeatureMap,
    folder: Path,
    engine: Engine = PLAIN,
) -> PreparedSet:
    """Prepare the pages of a split into `folder`, and open them; arguments as of `prepare`."""
    job = _job(folder, shop, partial(_finished, history, feature_map))
    with PreparedWriter(folder) as writer:
        for found in engine.map(job, _pages(parts, cut), parts.num_rows, _kept(folder)):
            writer.append(PreparedSet(**found))
    return PreparedSet.open(folder)


def write_features(
    parts: PageParts,
    shop: Shop,
    history: HistoryArguments,
    cut: np.ndarray,
    fit: FeatureMapFit,
    folder: Path,
    engine: Engine = PLAIN,
) -> tuple[Feature, ...]:
    """The first reading of the training pages: a prepared set in `folder` whose numbers are features as they are and
    which has no categoricals, and everything counted into `fit`. Returns what the features mean.
    """
    job = _job(folder, shop, partial(_unmapped, history))
    under_way = deque[pa.Table]()

    def pages() -> Iterator[Pages]:
        for part in _pages(parts, cut):
            under_way.append(part.impressions)
            yield part

    described: tuple[Feature, ...] = ()
    with PreparedWriter(folder) as writer:
        for found in engine.map(job, pages(), parts.num_rows, _kept(folder)):
            arrays = dict(found)
            described = tuple(Feature(**each) for each in json.loads(str(arrays.pop(FEATURES))))
            fit.add(under_way.popleft(), FeatureMatrix(described, arrays[NUMERIC]))
            writer.append(PreparedSet(**arrays))
    return described


def apply_feature_map(
    parts: PageParts,
    shop: Shop,
    cut: np.ndarray,
    features: tuple[Feature, ...],
    feature_map: FeatureMap,
    folder: Path,
    engine: Engine = PLAIN,
) -> PreparedSet:
    """The second reading: puts what `write_features` wrote into the network's units, and opens it."""
    mapped, coded = folder / f"{NUMERIC}.npy", folder / f"{CATEGORICAL}.npy"
    # Not in place: another process may be given a part again when its numbers are mapped already.
    numbers = mapped.replace(folder / "unmapped.npy")
    units = _Units(shop.items, features, feature_map, numbers)
    job = Job("inputs of the network", lambda: units, _mapped, _num_rows, "impressions")
    page = np.load(folder / "page.npy", mmap_mode="r")

    def written() -> Iterator[_Written]:
        start = 0
        for impressions, _ in parts:
            stop = start + impressions.num_rows
            yield _Written(impressions, start, known_users(cut[page[start:stop]]))
            start = stop

    with (
        NpyWriter(mapped, np.float32, (len(features),)) as numeric,
        NpyWriter(coded, np.int32, (len(feature_map.categorical),)) as categorical,
    ):
        # Nothing is kept of these: they are as much to write as to compute.
        for found in engine.map(job, written(), parts.num_rows):
            numeric.append(found[NUMERIC])
            categorical.append(found[CATEGORICAL])
    numbers.unlink()
    return PreparedSet.open(folder)


def _job(folder: Path, shop: Shop, work: partial[Arrays]) -> Job[Shop, Pages]:
    return Job(f"features: {folder.name}", lambda: shop, work, _num_rows, "impressions")


def _kept(folder: Path) -> Path:
    return folder.parent / "checkpoints" / folder.name / FEATURES


def _pages(parts: PageParts, cut: np.ndarray | int) -> Iterator[Pages]:
    first = 0
    for impressions, rows in parts:
        pages = int(np.count_nonzero(np.diff(impressions["page_id"].to_numpy()))) + 1
        yield Pages(impressions, rows, cut if isinstance(cut, int) else cut[first : first + pages])
        first += pages


def _num_rows(part: Pages | _Written) -> int:
    return int(part.impressions.num_rows)


def _raw(history: HistoryArguments, shop: Shop, part: Pages) -> RawSet:
    raw = prepare(part.impressions, shop, history, part.cut)
    raw.order = part.rows[raw.order]
    return raw


def _finished(history: HistoryArguments, feature_map: FeatureMap, shop: Shop, part: Pages) -> Arrays:
    return _arrays(_raw(history, shop, part).finish(feature_map, shop))


def _unmapped(history: HistoryArguments, shop: Shop, part: Pages) -> Arrays:
    """Features as they are, and what they mean."""
    raw = _raw(history, shop, part)
    described = json.dumps([feature._asdict() for feature in raw.features.features])
    return {**_arrays(raw.unmapped(shop)), FEATURES: np.array(described)}


def _arrays(prepared: PreparedSet) -> Arrays:
    arrays = {item.name: getattr(prepared, item.name) for item in fields(prepared)}
    return {name: array for name, array in arrays.items() if array is not None}


class _Units(NamedTuple):
    """What numbers that were written are mapped by, and where they lie."""

    items: pa.Table
    features: tuple[Feature, ...]
    feature_map: FeatureMap
    numbers: Path


class _Written(NamedTuple):
    """Impressions whose features were written from row `start` on; `known` [n]: see `map_inputs`."""

    impressions: pa.Table
    start: int
    known: np.ndarray


def _mapped(units: _Units, part: _Written) -> Arrays:
    """Numbers and categoricals as the network reads them."""
    numbers = np.load(units.numbers, mmap_mode="r")[part.start : part.start + part.impressions.num_rows]
    matrix = FeatureMatrix(units.features, np.array(numbers))
    numeric, categorical = map_inputs(units.feature_map, units.items, part.impressions, matrix, part.known)
    return {NUMERIC: numeric, CATEGORICAL: categorical}
