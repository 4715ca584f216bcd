"""A scorer whose log and catalogue grow: what the preparation of a page needs is ready before it is asked for. [O]"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from prectr.rank.features.likeness import Likeness
from prectr.rank.features.prepare import RawSet, prepare
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.codes import encode
from prectr.rank.history.event import Event
from prectr.rank.history.live_log import LiveLog
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.model.predictor import Predictor, ProjectedVectors
from prectr.rank.model.trained import ENCODER
from prectr.rank.serving.catalogue import Catalogue, Mark
from prectr.rank.serving.export.exported import Computes
from prectr.rank.serving.journal import Item
from prectr.rank.serving.pair_levels import PairLevels
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.stored import SERVING, run_of
from prectr.rank.serving.texts.kept_pairs import KeptPairs
from prectr.rank.serving.texts.kept_texts import JUDGED, LEARNT, kept_texts
from prectr.rank.serving.texts.text_store import TextStore
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.training.device import compute_device

QUERIES_AT_MOST = 200_000
"""Queries of the log whose vectors are kept; of a log with more, the others are read when they are asked."""


STATES_KEPT = 200_000
"""Pairs whose relevance state is kept, 256 bytes each."""


class _Levels(LevelProb):
    """What stage one says of a page's candidates, [n, K] in their order."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def lookup(self, query: pa.ChunkedArray, item_id: pa.ChunkedArray) -> np.ndarray:
        return self.values


class _States(NamedTuple):
    """The relevance states of a page's pairs, [D, S]: a `PairStates`."""

    values: np.ndarray

    def states(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        return torch.from_numpy(self.values).to(compute_device()), item_text.astype(np.int64)


class Ready(NamedTuple):
    """What a page of n candidates needs of texts."""

    codes: np.ndarray  # [n] of the candidates in the log
    level_prob: np.ndarray  # [n, K], stage one's
    texts: np.ndarray  # [D] numbers of the distinct texts
    text_of: np.ndarray  # [n] which of these each candidate has
    states: np.ndarray  # [D, S] relevance states of the query with these


class PageShop(Shop):
    """What one page refers to: its candidates, in their order, by their codes; no name is looked up."""

    def __init__(self, items: pa.Table, log: LiveLog, query: str, likeness: Likeness, ready: Ready) -> None:
        """
        Args:
            items: `item_id`, `text` and `num_*` of the candidates.
        """
        self.items, self.log, self.level_prob, self.query_texts = items, log, _Levels(ready.level_prob), [query]
        self.ready, self._likeness = ready, likeness
        self.text_of_item = ready.text_of.astype(np.int32)

    def places(self, item_ids: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        return self.ready.codes, np.arange(len(self.ready.codes), dtype=np.int32)

    def text_numbers(
        self, impressions: pa.Table, page: np.ndarray, item_row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(item_row), np.int32), self.text_of_item


class LiveScorer(Scorer):
    """A scorer whose log and catalogue grow, and which encodes no text twice.

    Whoever changes it, or calls `prepare`, holds `lock`.
    """

    def __init__(self, base: Scorer, folder: Path | None = None, exported: Computes | None = None) -> None:
        """
        Args:
            folder: the ranker's, where what is made of texts is kept beside it; None: it is made at every opening.
            exported: reads queries and computes pages in place of torch.
        """
        self.ranker, self.batch_size = base.ranker, base.batch_size
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
        self.levels = PairLevels(None if stored is None else stored.pairs, self.live_log.base.items, self.judged_texts)
        self._states = KeptPairs(self._compared, STATES_KEPT)
        numbers = [name for name in self.items.column_names if name.startswith("num_")]
        self._of_items = ["item_id", "text", *numbers]

    @property
    def items(self) -> pa.Table:
        return self.catalogue.items

    @property
    def events(self) -> Any:  # type: ignore[override]
        return self.catalogue.events

    def _store(self, name: str, encoder: LevelEncoder, read_from: Path | None, folder: Path | None) -> TextStore:
        """What `encoder`, of the folder `read_from`, makes of the catalogue's texts and of the log's queries."""
        texts = self.items["text"].combine_chunks().dictionary_encode().dictionary.to_pylist()
        reader = None if self._exported is None else self._exported.reader(name, encoder)
        if folder is None or read_from is None:
            store = TextStore(encoder, None, reader)
            store.add(texts)
            return store
        queries = self.live_log.base.queries[:QUERIES_AT_MOST].to_pylist()
        encoder = encoder.to(compute_device())
        kept = kept_texts(folder / SERVING / name, read_from / ENCODER, encoder, texts, queries)
        return TextStore(encoder, kept, reader)

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
            self._states.keep(mark.num_texts)
            self._before = None
            self._add_kinds()

    def put(self, items: Sequence[Item]) -> None:
        """Add items, or change them, for good; what was adopted is let go. Their texts are encoded."""
        self.let_go()
        self._put(items)

    def _put(self, items: Sequence[Item], for_now: bool = False) -> None:
        changed = self.catalogue.with_another_text(items)
        self.levels.change(encode(pa.array(changed, pa.string()), self.log.items))
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
            level_prob = self.levels.of([event.query for event in known], codes[is_known], texts)
            self.live_log.append(known, level_prob)
            self._add_kinds()

    def lasting(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Codes [n] of items in the log, and which [n] of them will stay."""
        codes = encode(item_ids, self.log.items)
        return codes, (codes >= 0) & (codes < self.num_lasting)

    def make_ready(self, query: str, codes: np.ndarray) -> Ready:
        """Encode and compare what a page of candidates `codes` [n] needs and nobody asked for yet; the one thing that
        needs no `lock`."""
        texts = self.catalogue.text_numbers(codes)
        distinct, text_of = np.unique(texts, return_inverse=True)
        level_prob = self.levels.of_page(query, codes, texts)
        return Ready(codes, level_prob, distinct, text_of, self._states.of(query, distinct))

    def prepare(
        self, impressions: pa.Table, read: Collection[str] | None = None, ready: Ready | None = None
    ) -> tuple[PageShop, RawSet, PreparedSet]:
        """Everything about one page that is known before the network sees it.

        Args:
            read: as of `prepare` of training. ready: what `make_ready` said of the page's candidates, in the order of
                `impressions`; None: it is asked.
        """
        query = impressions["query"][0].as_py()
        if ready is None:
            ready = self.make_ready(query, encode(impressions["item_id"], self.log.items))
        rows = pa.array(self.catalogue.row[ready.codes])
        items = self.items.select(self._of_items).take(rows)
        shop = PageShop(items, self.live_log, query, self.catalogue.likeness, ready)
        shop.item_codes = self.events.item_categorical[ready.codes]
        raw = prepare(impressions, shop, self.ranker.history, read=read)
        return shop, raw, raw.finish(self.ranker.feature_map, shop)

    def predictor(self, shop: Shop) -> Predictor:
        assert isinstance(shop, PageShop)
        texts, states = torch.from_numpy(shop.ready.texts), _States(shop.ready.states)
        vectors = None
        if self._past is not None:
            with torch.inference_mode():
                of_query = self.ranker.model.text_projection(self.texts.query(shop.query_texts[0]).pooled.half())
            vectors = ProjectedVectors(of_query, self._past[texts], self._past)
        model, network = self.ranker.model, self._page_network
        return Predictor(model, states, self.events, bf16=False, items=vectors, page_network=network)

    @torch.inference_mode()
    def _compared(self, query: str, texts: np.ndarray) -> np.ndarray:
        """Relevance states [n, S] of the query with n distinct texts."""
        return self.texts.states(query, texts).cpu().numpy()
