"""A scorer whose log and catalogue grow: what the preparation of a page needs is ready before it is asked for. [O]"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from prectr.rank.features.prepare import RawSet, prepare
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.codes import encode
from prectr.rank.history.event import Event
from prectr.rank.history.live_log import LiveLog
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.frozen_text import TokenTables
from prectr.rank.model.predictor import Predictor, ProjectedVectors
from prectr.rank.model.trained import ENCODER
from prectr.rank.serving.catalogue import Catalogue, Mark
from prectr.rank.serving.export.exported import Exported
from prectr.rank.serving.journal import Item
from prectr.rank.serving.pair_levels import PairLevels
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.stored import SERVING, run_of
from prectr.rank.serving.texts.kept_texts import JUDGED, LEARNT, kept_texts
from prectr.rank.serving.texts.text_store import TextStore
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.training.device import compute_device

QUERIES_AT_MOST = 200_000
"""Queries of the log whose vectors are kept; of a log with more, the others are read when they are asked."""


class _OfPage(LevelProb):
    """What stage one says of the pairs of one query: [n, K] of n items."""

    def __init__(self, item_ids: pa.Array, values: np.ndarray) -> None:
        self.item_ids, self.values = item_ids, values

    def lookup(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        return self.values[encode(item_id, self.item_ids)]


class LiveScorer(Scorer):
    """A scorer whose log and catalogue grow, and which encodes no text twice.

    Whoever changes it, or calls `prepare`, holds `lock`.
    """

    def __init__(self, base: Scorer, folder: Path | None = None, exported: Exported | None = None) -> None:
        """
        Args:
            folder: the ranker's, where what is made of texts is kept beside it; None: it is made at every opening.
            exported: reads queries and computes pages in place of torch; in float32.
        """
        self.ranker, self.bf16, self.batch_size = base.ranker, base.bf16, base.batch_size
        self._exported = exported
        self._page_network = None if exported is None else exported.page_network(base.ranker.model)
        groups = {name: f"cat_{name}" for name in base.log.item_groups if name != "category"}
        values = {name: base.items[column].combine_chunks() for name, column in groups.items()}
        self.log = self.live_log = LiveLog(base.log, self.ranker.feature_map.event_types, values)
        events = base.events
        events.log = self.log
        self.catalogue = Catalogue(base.items, self.log, base.likeness, events, self.ranker.feature_map)
        self._add_kinds()
        self.lock = RLock()
        self._before: tuple[Mark, torch.Tensor | None] | None = None  # what there was before items were adopted
        stored = base.stage_one.stored
        run = run_of(folder) if folder is not None and stored is not None else None
        judge = folder if run is None else kept_encoder(run).parent
        self.texts = self._store(LEARNT, self.ranker.model.encoder, folder, folder)
        self.judged_texts = self._store(JUDGED, base.stage_one.encoder, judge, folder)
        self._past = self._projected(self.texts.pooled())
        self.levels = PairLevels(None if stored is None else LevelProb(stored), self.judged_texts)

    @property
    def items(self) -> pa.Table:
        return self.catalogue.items

    @property
    def events(self) -> Any:  # type: ignore[override]
        return self.catalogue.events

    def _store(self, name: str, encoder: LevelEncoder, read_from: Path | None, folder: Path | None) -> TextStore:
        """What `encoder`, of the folder `read_from`, makes of the catalogue's texts and of the log's queries."""
        # Stage one's own probabilities are in float32 wherever they are made.
        bf16 = self.bf16 and name == LEARNT
        texts = self.items["text"].combine_chunks().dictionary_encode().dictionary.to_pylist()
        reader = None if self._exported is None else self._exported.reader(name, encoder)
        if folder is None or read_from is None:
            store = TextStore(encoder, bf16, None, reader)
            store.add(texts)
            return store
        queries = self.live_log.base.queries[:QUERIES_AT_MOST].to_pylist()
        encoder = encoder.to(compute_device())
        kept = kept_texts(folder / SERVING / name, read_from / ENCODER, encoder, texts, queries, bf16)
        return TextStore(encoder, bf16, kept, reader)

    def _add_kinds(self) -> None:
        """Types of event that came later than the table of what is told apart."""
        if len(self.catalogue.events.kinds) < len(self.log.event_types):
            self.catalogue.events.__post_init__()

    @torch.inference_mode()
    def _projected(self, pooled: torch.Tensor) -> torch.Tensor | None:
        model = self.ranker.model
        return model.text_projection(pooled.half()) if model.config.text_vectors else None

    @property
    def num_lasting(self) -> int:
        """Items that nobody will take back; their codes come first."""
        return len(self.log.items) if self._before is None else self._before[0].of_log.size

    def adopt(self, items: Sequence[Item]) -> None:
        """Add items that are not known, until `let_go`; there must be no event of them."""
        if self._before is None:
            self._before = self.catalogue.mark(), self._past
        self._put(items, for_now=True)

    def let_go(self) -> None:
        """Take back what was adopted."""
        if self._before is not None:
            mark, self._past = self._before
            self.catalogue.keep(mark)
            for texts in (self.texts, self.judged_texts):
                texts.keep(mark.num_texts)
            self.levels.keep(mark.num_texts)
            self._before = None
            self._add_kinds()

    def put(self, items: Sequence[Item]) -> None:
        """Add items, or change them, for good; what was adopted is let go. Their texts are encoded."""
        self.let_go()
        self._put(items)

    def _put(self, items: Sequence[Item], for_now: bool = False) -> None:
        self.levels.change(self.catalogue.with_another_text(items))
        new = self.catalogue.new_texts(items)
        vectors = None
        if new:
            projected, judged = self._projected(self.texts.add(new)), self.judged_texts.add(new)
            vectors = judged.float().cpu().numpy().astype(np.float16)
            if projected is not None and self._past is not None:
                self._past = torch.cat([self._past, projected])
        self.catalogue.put(items, vectors, for_now)

    def remember(self, events: Sequence[Event]) -> None:
        """Add events of known items, in the journal's order."""
        codes, is_known = self.lasting(pa.array([event.item_id for event in events], pa.string()))
        known = [event for event, here in zip(events, is_known.tolist(), strict=True) if here]
        if known:
            texts = self.catalogue.text_numbers(codes[is_known])
            ids = [str(event.item_id) for event in known]
            self.live_log.append(known, self.levels.of([event.query for event in known], ids, texts))
            self._add_kinds()

    def lasting(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Codes [n] of items in the log, and which [n] of them will stay."""
        codes = encode(item_ids, self.log.items)
        return codes, (codes >= 0) & (codes < self.num_lasting)

    def make_ready(self, query: str, item_ids: pa.Array) -> np.ndarray:
        """Encode and compare what a page needs and nobody asked for yet; the one thing that needs no `lock`. Returns
        what stage one says of n candidates [n, K]."""
        self.texts.query(query)
        texts = self.catalogue.text_numbers(encode(item_ids, self.log.items))
        return self.levels.of([query] * len(texts), item_ids.to_pylist(), texts)

    def prepare(
        self, impressions: pa.Table, read: Collection[str] | None = None, level_prob: np.ndarray | None = None
    ) -> tuple[Shop, RawSet, PreparedSet]:
        """Everything about one page that is known before the network sees it.

        Args:
            read: as of `prepare` of training. level_prob: what `make_ready` said of it; None: it is asked.
        """
        ids, query = impressions["item_id"].combine_chunks(), impressions["query"][0].as_py()
        if level_prob is None:
            level_prob = self.make_ready(query, ids)
        distinct, place = np.unique(encode(ids, self.log.items), return_index=True)
        items = self.items.take(pa.array(self.catalogue.row[distinct]))
        pairs = _OfPage(items["item_id"].combine_chunks(), level_prob[place])
        codes_of_items = self.events.item_categorical[distinct]
        shop = Shop(items, self.log, pairs, [query], likeness=self.catalogue.likeness, item_codes=codes_of_items)
        raw = prepare(impressions, shop, self.ranker.history, read=read)
        return shop, raw, raw.finish(self.ranker.feature_map, shop)

    def predictor(self, shop: Shop) -> Predictor:
        query = self.texts.query(shop.query_texts[0])
        numbers = encode(pa.array(shop.item_texts, pa.string()), self.catalogue.texts)
        model = self.ranker.model
        vectors = None
        if self._past is not None:
            with torch.inference_mode():
                of_query = model.text_projection(query.pooled.half())
            vectors = ProjectedVectors(of_query, self._past[torch.from_numpy(numbers.astype(np.int64))], self._past)
        tables = TokenTables.of_vectors(self.texts.encoder, query, self.texts.items(numbers))
        return Predictor(model, tables, self.events, self.bf16, items=vectors, page_network=self._page_network)
