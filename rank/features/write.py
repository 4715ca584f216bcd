"""Writes a prepared set of any size: pages are prepared part by part, and nothing is in memory whole.

The training set is read twice. First its features are computed, written as they are, and counted for the feature map;
then, the map being known, the written numbers are put in the network's units, in place, and the categoricals coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prectr.rank.config import HistoryArguments
from prectr.rank.features.compute import Feature, FeatureMatrix
from prectr.rank.features.feature_map import FeatureMap, FeatureMapFit
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import RawSet, known_users, map_inputs, prepare
from prectr.rank.features.prepared_set import PreparedSet, PreparedWriter
from prectr.rank.features.shop import Shop
from prectr.shared.run.console import progress_bar
from prectr.shared.storage.npy import NpyWriter


def write_prepared(
    parts: PageParts,
    shop: Shop,
    history: HistoryArguments,
    cut: np.ndarray | int,
    feature_map: FeatureMap,
    folder: Path,
) -> PreparedSet:
    """Prepare the pages of a split into `folder`, and open them; arguments as of `prepare`."""
    with PreparedWriter(folder) as writer:
        for raw in _raw_sets(parts, shop, history, cut, folder.name):
            writer.append(raw.finish(feature_map, shop))
    return PreparedSet.open(folder)


def write_features(
    parts: PageParts,
    shop: Shop,
    history: HistoryArguments,
    cut: np.ndarray,
    fit: FeatureMapFit,
    folder: Path,
) -> tuple[Feature, ...]:
    """The first reading of the training pages: a prepared set in `folder` whose numbers are features as they are and
    which has no categoricals, and everything counted into `fit`. Returns what the features mean.
    """
    described: tuple[Feature, ...] = ()
    with PreparedWriter(folder) as writer:
        for raw in _raw_sets(parts, shop, history, cut, folder.name):
            fit.add(raw.impressions, raw.features)
            writer.append(raw.unmapped(shop))
            described = raw.features.features
    return described


def apply_feature_map(
    parts: PageParts,
    shop: Shop,
    cut: np.ndarray,
    features: tuple[Feature, ...],
    feature_map: FeatureMap,
    folder: Path,
) -> PreparedSet:
    """The second reading: puts what `write_features` wrote into the network's units, and opens it."""
    numeric = np.load(folder / "numeric.npy", mmap_mode="r+")
    page = np.load(folder / "page.npy", mmap_mode="r")
    mapped = folder / "mapped.npy"
    width = (len(feature_map.categorical),)
    start = 0
    with (
        NpyWriter(mapped, np.int32, width) as categorical,
        progress_bar("inputs of the network", parts.num_rows, "impressions") as advance,
    ):
        for impressions, _ in parts:
            stop = start + impressions.num_rows
            matrix = FeatureMatrix(features, np.array(numeric[start:stop]))
            known = known_users(cut[page[start:stop]])
            numeric[start:stop], coded = map_inputs(feature_map, shop.items, impressions, matrix, known)
            categorical.append(coded)
            start = stop
            advance(impressions.num_rows)
    numeric.flush()
    mapped.replace(folder / "categorical.npy")
    return PreparedSet.open(folder)


def _raw_sets(
    parts: PageParts, shop: Shop, history: HistoryArguments, cut: np.ndarray | int, name: str
) -> Iterator[RawSet]:
    """Every part of the pages prepared, in their order."""
    first = 0
    with progress_bar(f"features: {name}", parts.num_rows, "impressions") as advance:
        for impressions, rows in parts:
            pages = int(np.count_nonzero(np.diff(impressions["page_id"].to_numpy()))) + 1
            kept = cut if isinstance(cut, int) else cut[first : first + pages]
            raw = prepare(impressions, shop, history, kept)
            raw.order = rows[raw.order]
            yield raw
            first += pages
            advance(impressions.num_rows)
