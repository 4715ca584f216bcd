"""Everything about impressions that is known before the network sees them: features, history slices, text numbers.

Training, evaluation and `Ranker.score` prepare their pages here, so that all of them see the same thing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from prectr.rank.config import HistoryArguments
from prectr.rank.features.compute import FeatureMatrix, compute_features
from prectr.rank.features.feature_map import UNKNOWN, FeatureMap
from prectr.rank.features.groups import OTHERS, USER
from prectr.rank.features.past_columns import past_columns
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.index import row_type
from prectr.rank.history.log import CODED, UNCUT
from prectr.rank.history.slices import cross_slices, user_slices
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator

PAGES_AT_ONCE = 4_000  # bounds the memory that preparing takes


@dataclass
class RawSet:
    """Impressions with their features, before a feature map has put them in the network's units."""

    impressions: pa.Table
    features: FeatureMatrix
    level_prob: np.ndarray
    page: np.ndarray
    item_row: np.ndarray  # [n] row of `Shop.items`, -1 where it lacks the item
    user: np.ndarray
    query: np.ndarray
    category: np.ndarray
    seconds: np.ndarray
    cut: np.ndarray  # [G] pages of history kept, or UNCUT
    user_rows: np.ndarray
    cross_rows: np.ndarray
    cross_depth: np.ndarray
    order: np.ndarray  # [n] row in the table given to `prepare`

    def finish(self, feature_map: FeatureMap, shop: Shop) -> PreparedSet:
        """The network's inputs of these impressions."""
        known = known_users(self.cut[self.page])
        inputs = (shop.items, self.impressions, self.features, known, shop.item_codes, self.item_row)
        numeric, categorical = map_inputs(feature_map, *inputs)
        return replace(self.unmapped(shop), numeric=numeric, categorical=categorical)

    def unmapped(self, shop: Shop) -> PreparedSet:
        """The same with features as they are, and without categoricals: what is known before a feature map is."""
        query_text, item_text = shop.text_numbers(self.impressions, self.page, self.item_row)
        rows = row_type(len(shop.log))
        return PreparedSet(
            impression=self.order.astype(np.int64),
            numeric=self.features.values,
            categorical=np.zeros((len(self.order), 0), np.int32),
            clicked=self.impressions["clicked"].to_numpy().astype(np.uint8),
            level_prob=self.level_prob,
            query_text=query_text,
            item_text=item_text,
            page=self.page.astype(np.int32),
            user=self.user.astype(np.int32),
            query=self.query.astype(np.int32),
            category=self.category.astype(np.int32),
            seconds=self.seconds,
            user_rows=self.user_rows.astype(rows),
            cross_rows=self.cross_rows.astype(rows),
            cross_depth=self.cross_depth.astype(np.int8),
            position=self._optional("position", np.int32),
            weight=self._optional("weight", np.float32),
        )

    def _optional(self, column: str, dtype: type) -> np.ndarray | None:
        if column not in self.impressions.column_names:
            return None
        return self.impressions[column].to_numpy().astype(dtype)


def known_users(cut: np.ndarray) -> np.ndarray:
    """Whose id the network may read: whoever's history is cut must not be recognised by name."""
    return cut == UNCUT


def map_inputs(
    feature_map: FeatureMap,
    items: pa.Table,
    impressions: pa.Table,
    features: FeatureMatrix,
    known: np.ndarray,
    item_codes: np.ndarray | None = None,
    item_row: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The network's numbers float32 [n, F] and categoricals int32 [n, C]; `known` [n]: `known_users`; `item_codes`,
    `item_row`: as of `FeatureMap.transform`."""
    inputs = feature_map.transform(items, impressions, features, item_codes, item_row)
    categorical = inputs.categorical.astype(np.int32)
    if "user_id" in feature_map.categorical_names:
        column = feature_map.categorical_names.index("user_id")
        categorical[:, column] = np.where(known, categorical[:, column], UNKNOWN)
    return inputs.numeric, categorical


def with_label(impressions: pa.Table, label: str) -> pa.Table:
    """The impressions with `clicked` taken from the 0/1 column `label`: from here on, a click is what it says.

    Raises:
        PrectrError: there is no such column, or it is none of the contract's labels.
    """
    labels = [name for name in impressions.column_names if name == "clicked" or name.startswith("label_")]
    if label not in labels:
        raise PrectrError(
            f"impressions.parquet: label {label!r} is not among its 0/1 columns ({', '.join(labels)}): name one of "
            "them, or add a column label_... of booleans."
        )
    return impressions.set_column(impressions.column_names.index("clicked"), "clicked", impressions[label])


def cold_cuts(num_pages: int, share: float, lengths: list[int], seed: int) -> np.ndarray:
    """How many pages of history each training page keeps [G]: with probability `share` one of `lengths`, else UNCUT."""
    draw = generator(seed, "cold users")
    cut = draw.random(num_pages) < share
    return np.where(cut, draw.choice(np.asarray(lengths), num_pages), UNCUT)


def prepare(
    impressions: pa.Table,
    shop: Shop,
    history: HistoryArguments,
    cut: np.ndarray | int = UNCUT,
    read: Collection[str] | None = None,
) -> RawSet:
    """Features and history of whole pages.

    Args:
        impressions: rows of the contract's table, of one split; any order, each page whole.
        cut: pages of history to keep, one number or one per page in ascending order of page_id [G].
        read: names of features that somebody reads, `past_columns`; None: all.
    """
    page_id = impressions["page_id"].to_numpy()
    order = np.argsort(page_id, kind="stable")
    if (page_id[1:] < page_id[:-1]).any():
        impressions, page_id = impressions.take(order), page_id[order]
    _, first, page = np.unique(page_id, return_index=True, return_inverse=True)
    cut = np.broadcast_to(cut, len(first)).astype(np.int64)
    log = shop.log
    coded = log.encode(impressions.select(CODED).take(first))
    item, item_row = shop.places(impressions["item_id"])
    since = log.cut_since(coded.user, coded.before_row, cut)
    level_prob = shop.level_prob.lookup(impressions["query"], impressions["item_id"])

    features, user_rows, cross_rows, cross_depth = [], [], [], []
    bounds = np.append(first, len(page))
    for start in range(0, len(first), PAGES_AT_ONCE):
        pages = slice(start, start + PAGES_AT_ONCE)
        end = min(start + PAGES_AT_ONCE, len(first))
        rows = slice(int(bounds[start]), int(bounds[end]))
        chunk = impressions.slice(rows.start, rows.stop - rows.start)
        of_rows = coded.take(page[rows])._replace(item=item[rows])
        some = coded.take(np.arange(start, end))
        user = user_slices(
            log,
            some.user,
            some.category,
            since[pages],
            some.before_row,
            history.history_in_category,
            history.history_overall,
        )
        cross, depth = cross_slices(log, some.user, some.query, some.category, some.before_row, history.cross_history)
        slices = {USER: user, OTHERS: cross}
        of_past = past_columns(
            shop.likeness, log, of_rows.item, page[rows] - start, some.seconds, some.query, slices, read
        )
        of_query_and_item = compute_features(
            log, shop.items, chunk, level_prob[rows], since[page[rows]], of_rows, item_row[rows]
        )
        features.append(of_query_and_item.beside(of_past))
        user_rows.append(user)
        cross_rows.append(cross)
        cross_depth.append(depth)
    return RawSet(
        impressions=impressions,
        features=FeatureMatrix(features[0].features, np.concatenate([part.values for part in features])),
        level_prob=level_prob,
        page=page,
        item_row=item_row,
        user=coded.user,
        query=coded.query,
        category=coded.category,
        seconds=coded.seconds,
        cut=cut,
        user_rows=np.concatenate(user_rows),
        cross_rows=np.concatenate(cross_rows),
        cross_depth=np.concatenate(cross_depth),
        order=order,
    )
