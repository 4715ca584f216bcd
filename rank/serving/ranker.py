"""The trained ranker as people use it: a folder to save and load, and `score` for one query.

ranker = Ranker.from_pretrained("artifacts/journey/ranker")
ranker.score("2 liter soda", [{"item_id": "1", "text": "SOFT DRINKS 2 LITER", "category": "SOFT DRINKS"}])
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from prectr.rank.history.log import BehaviourLog
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.serving.explain import explain_page, without_a_page
from prectr.rank.serving.own_names import OwnNames
from prectr.rank.serving.request import request_tables
from prectr.rank.serving.scorer import Scorer, StageOne, frozen_vectors


class Ranker(TrainedRanker):
    """A trained ranker that scores pages; see `TrainedRanker` for what it is made of and what its folder holds."""

    def score(
        self,
        query: str,
        items: Iterable[Mapping[str, Any]],
        user_events: Iterable[Mapping[str, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:
        """Score a page of candidate items for one query and one user.

        Args:
            query: what was typed.
            items: n candidates, each with `text` and, as far as known, `item_id`, `category`, `cat_*` and `num_*`
                attributes and `ctx_*` context of its own (price, promotion). Unknown ids are normal. Values may be
                scalars of numpy, pandas or pyarrow; None and NaN are missing; features that no candidate has are
                named in one warning. Of data that were converted, the shop's own names are read too (`own_names`).
            user_events: the user's past, in any order: each an item as above with `timestamp` (datetime, ISO 8601 or
                seconds since 1970), `clicked` (default True) and, as far as known, `query` and `page_id`; one without
                a query has an `event_type` (default "purchase"). None or empty: a new user.
            context: `ctx_*` values of the whole page, `timestamp` (default: now) and `query_category` (default: the
                candidates' most frequent category).

        Returns:
            Arrays by name, in the items' order: `p_click` [n], `level_prob` [n, K], `p_click_given_level` [n, K],
            `tau` [n].

        Raises:
            PrectrError: an item without text, an event without a timestamp, a feature that the ranker was not trained
                with, one id for two items, or a value that could be meant in two ways.
        """
        scorer, page = self._opened(query, items, user_events, context)
        shop, _, prepared = scorer.prepare(page)
        return scorer.predict(shop, prepared)

    def explain(
        self,
        query: str,
        items: Iterable[Mapping[str, Any]],
        user_events: Iterable[Mapping[str, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        top_events: int = 3,
        top_features: int = 3,
    ) -> dict[str, Any]:
        """Say what went into the scores of a page.

        Args:
            query, items, user_events, context: as of `score`.
            top_events: past events told, most attended first. top_features: single inputs told of each item.

        Returns:
            JSON values: `why` the best item is above the second, in a sentence, and `candidates`, best first; see
            `rank.serving.explain.explain_page`.

        Raises:
            PrectrError: as `score`.
        """
        scorer, page = self._opened(query, items, user_events, context)
        return without_a_page(explain_page(scorer, page, None, top_events, top_features))

    def _opened(
        self,
        query: str,
        items: Iterable[Mapping[str, Any]],
        user_events: Iterable[Mapping[str, Any]] | None,
        context: Mapping[str, Any] | None,
    ) -> tuple[Scorer, pa.Table]:
        """This ranker in front of what a caller said, and the page as a table of the contract."""
        means = {column.name: column.mean for column in self.feature_map.numeric}
        names = OwnNames(self.own_names)
        tables = request_tables(query, items, user_events, context, self.columns, means, names)
        stage_one = StageOne(self.model.encoder, tables.items)
        level_prob = stage_one.of(tables.behaviours)
        log = BehaviourLog.from_tables(tables.items, tables.behaviours, level_prob, self.columns.matched)
        # What the network has learnt to read is made by the encoder that judged its run's log: the folder has only the
        # one that learnt on.
        vectors = frozen_vectors(self, self.model.encoder, tables.items)
        scorer = Scorer(self, tables.items, log, stage_one, batch_size=len(tables.impressions), vectors=vectors)
        return scorer, tables.impressions
