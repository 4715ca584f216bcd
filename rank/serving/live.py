"""The ranker of a shop that is open: it scores a page by everything known before it, and remembers what comes next.

Features are made by the code that training uses, over a log with recent rows behind it; what a page needs of texts is
kept ready. Events go to the journal first and from there to the memory, in the journal's order: after a restart, and in
another process that follows the journal, the memory is the same. [O]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from prectr.data.contract import SCHEMAS
from prectr.rank.evaluation.rival import Rival
from prectr.rank.history.codes import encode
from prectr.rank.history.event import SHOWINGS, Event
from prectr.rank.inputs.batch import page_batch
from prectr.rank.serving.explain import explain_page
from prectr.rank.serving.export.exported import Computes
from prectr.rank.serving.journal import BEGINNING, Appended, Item, Journal, News, Position
from prectr.rank.serving.live_scorer import LiveScorer
from prectr.rank.serving.own_names import OwnNames
from prectr.rank.serving.request import column_of
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.traffic.absorb import absorbed
from prectr.rank.serving.traffic.served import Served
from prectr.shared.errors import PrectrError

__all__ = ["Appended", "Candidate", "Event", "Item", "LiveRanker", "RankRequest", "Ranked"]

EVENTS_AT_ONCE = 10_000
MOST_ADOPTED = 10_000
"""Candidates that are kept for the next page though the catalogue lacks them; one more, and all are let go."""
BATCH_SIZE = 4096


@dataclass(frozen=True)
class Candidate:
    """An item to be ranked: of the catalogue, or one that it lacks, with its text.

    `attributes`: `ctx_*` of the item on this page; of one that the catalogue lacks also `category`, `cat_*`, `num_*`.
    """

    item_id: str
    text: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RankRequest:
    """A page to be ranked.

    Attributes:
        timestamp: seconds since 1970; only events strictly before it are seen. None: now, with all that is known.
        query_category: None: the candidates' most frequent one. context: `ctx_*` of the whole page.
        rivals: whether LightGBM is asked too, if the ranker's run kept its trees; takes all features.
    """

    query: str
    candidates: Sequence[Candidate]
    user_id: str | None = None
    timestamp: int | None = None
    query_category: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    rivals: bool = False


@dataclass(frozen=True)
class Ranked:
    """Scores of n candidates in the order of the request; `order` [n] best first; `rivals`: P(click) [n] by name."""

    item_id: list[str]
    p_click: np.ndarray  # [n] float64
    level_prob: np.ndarray  # [n, K]
    p_click_given_level: np.ndarray  # [n, K]
    tau: np.ndarray  # [n]
    order: np.ndarray  # [n] int64
    rivals: Mapping[str, np.ndarray] = field(default_factory=dict)


class LiveRanker:
    """A trained ranker with live memory; for many threads.

    Example:
        >>> folder = Path("artifacts/journey")
        >>> ranker = LiveRanker.open(folder / "ranker", folder / "data", Path("journal.sqlite"))
        >>> ranker.rank(RankRequest("2 liter soda", [Candidate("1082185"), Candidate("995242")], user_id="7"))
    """

    def __init__(
        self, scorer: LiveScorer, journal: Journal, position: Position = BEGINNING, rival: Rival | None = None
    ) -> None:
        """`position`: how much of the journal the scorer's tables hold."""
        self.scorer, self.journal, self.rival = scorer, journal, rival
        self._begun = self._position = position
        self._seen = -1
        self._hearers: list[Callable[[News], None]] = []
        self._columns = scorer.ranker.columns
        own = scorer.ranker.own_names
        self.own_names = OwnNames({column: names for column, names in own.items() if column != "page_id"})
        """What the shop calls the columns: requests may use these names. Pages are numbered here, not by the shop."""
        self._means = {column.name: column.mean for column in scorer.ranker.feature_map.numeric}
        names = scorer.ranker.feature_map.numeric_names
        self._read = frozenset(names[place] for place in scorer.ranker.model.numeric_columns)
        self._follow()

    @classmethod
    def open(
        cls,
        ranker: Path,
        data: Path,
        journal: Path | None = None,
        exported: Computes | None = None,
    ) -> Self:
        """Open a ranker's folder, the data folder that its memory begins with, and what the journal has since.

        Args:
            journal: the file of events; None: they are kept in memory only.
            exported: what was exported of the ranker (`Exported.beside`): see `LiveScorer`.

        Raises:
            PrectrError: a file is missing, or the items lack a column the ranker was trained with.
        """
        base = Scorer.open(ranker, data, BATCH_SIZE)
        scorer = LiveScorer(base, Path(ranker) if Path(ranker).is_dir() else None, exported)
        return cls(scorer, Journal(journal), absorbed(data), Rival.beside(ranker))

    @property
    def level_names(self) -> list[str]:
        return self.scorer.ranker.level_names

    def rank(self, request: RankRequest) -> Ranked:
        """Score a page.

        Raises:
            PrectrError: there is no candidate, or one is neither in the catalogue nor has a text.
        """
        scorer = self.scorer
        rival = self.rival if request.rivals else None
        self._follow()
        with self._adopted(request.candidates) as codes:
            page, second = self._page(request, codes)
            # While others may use the memory.
            ready = scorer.make_ready(request.query, codes)
            with scorer.lock, scorer.live_log.as_of(second):
                read = self._read if rival is None else None
                shop, _, prepared = scorer.prepare(page, read, ready)
                predictor = scorer.predictor(shop)
                batch = page_batch(prepared, np.arange(1), prepared.page_bounds(), scorer.events)
        found = {name: values.cpu().numpy() for name, values in predictor.score(prepared, batch).items()}
        order = np.argsort(-found["p_click"], kind="stable")
        rivals = {} if rival is None else {"lightgbm": rival.score(prepared)}
        return Ranked(item_id=[each.item_id for each in request.candidates], order=order, rivals=rivals, **found)

    def explain(self, request: RankRequest, top_events: int = 3, top_features: int = 3) -> dict[str, Any]:
        """What went into the scores of a page: see `explain_page`."""
        self._follow()
        with self._adopted(request.candidates) as codes:
            page, second = self._page(request, codes)
            with self.scorer.lock, self.scorer.live_log.as_of(second):
                return explain_page(self.scorer, page, None, top_events, top_features)

    def add_events(self, events: Iterable[Event]) -> Appended:
        """Take events: when this returns they are on disk, and in the next answer.

        Raises:
            PrectrError: an event of an item that is not in the catalogue; then none of them is taken.
        """
        taken = [_event(event) for event in events]
        self._follow()
        items = pa.array([event.item_id for event in taken], pa.string())
        with self.scorer.lock:
            _, is_known = self.scorer.lasting(items)
        unknown = ~is_known & items.is_valid().to_numpy(zero_copy_only=False)
        if unknown.any():
            raise PrectrError(
                f"event {taken[int(unknown.argmax())].event_id!r}: item {items[int(unknown.argmax())].as_py()!r} is "
                "not in the catalogue: put the item there first."
            )
        for event in taken:
            if event.item_id is None and event.kind not in SHOWINGS:
                raise PrectrError(f"event {event.event_id!r}: a {event.kind} without an item_id: name the item.")
        appended = self.journal.append(taken)
        self._follow(own=True)
        return appended

    def put_items(self, items: Iterable[Item]) -> None:
        """Add items to the catalogue, or change them; durable, and in the next answer.

        Raises:
            PrectrError: an item has no text.
        """
        given = [Item(item.item_id, item.text, item.category, dict(item.attributes)) for item in items]
        for item in given:
            if not item.text:
                raise PrectrError(f"item {item.item_id!r}: 'text' is empty; give the item's text.")
        self.journal.put_items(given)
        self._follow(own=True)

    def erase_user(self, user_id: str) -> None:
        """Forget every event of a user, in memory and in the journal, for good; of the tables, at the next `absorb`."""
        self.journal.erase_user(user_id)
        self._follow(own=True)

    def note(self, page: Served) -> None:
        """Keep a page that was served in the journal; it gets there a little later."""
        self.journal.note(page)

    def follow(self) -> None:
        """Take in what other processes wrote; `rank` and `add_events` do so too."""
        self._follow()

    def flush(self) -> None:
        """Write the pages that were noted."""
        self.journal.flush()

    def subscribe(self, hear: Callable[[News], None]) -> None:
        """Have `hear` told what the journal has had since the tables, then all that comes, as the memory is told it."""
        with self.scorer.lock:
            self._follow(own=True)
            position = self._begun
            while True:
                news = self.journal.read(position, EVENTS_AT_ONCE, self._position)
                hear(news)
                position = news.position
                if len(news.events) < EVENTS_AT_ONCE:
                    break
            self._hearers.append(hear)

    def close(self) -> None:
        self.journal.close()

    def _follow(self, own: bool = False) -> None:
        """Take into memory what the journal has and the memory has not, whoever wrote it."""
        changed = self.journal.changed()
        if not own and changed == self._seen:
            return
        with self.scorer.lock:
            while True:
                news = self.journal.read(self._position, EVENTS_AT_ONCE)
                for user_id in news.erased:
                    self.scorer.live_log.erase_user(user_id)
                if news.items:
                    self.scorer.put(news.items)
                if news.events:
                    self.scorer.remember(news.events)
                self._position = news.position
                for hear in self._hearers:
                    hear(news)
                if len(news.events) < EVENTS_AT_ONCE:
                    break
            self._seen = changed

    @contextmanager
    def _adopted(self, candidates: Sequence[Candidate]) -> Iterator[np.ndarray]:
        """Within, the catalogue has all of them, under these codes [n] of the log: those that it lacks join it, in
        memory only. Where there are such ones nobody else uses the memory meanwhile, so that nobody lets them go."""
        if not candidates:
            raise PrectrError("rank needs at least one candidate.")
        ids = pa.array([each.item_id for each in candidates], pa.string())
        with ExitStack() as alone:
            alone.enter_context(self.scorer.lock)
            codes, lasting = self.scorer.lasting(ids)
            if lasting.all():
                alone.close()
            else:
                self._adopt([each for each, stays in zip(candidates, lasting.tolist(), strict=True) if not stays])
                codes = encode(ids, self.scorer.log.items)
            yield codes

    def _adopt(self, candidates: Sequence[Candidate]) -> None:
        """Candidates that the catalogue has not for good."""
        items, scorer = {}, self.scorer
        for each in candidates:
            if not each.text:
                raise PrectrError(
                    f"candidate {each.item_id!r} is not in the catalogue: give its 'text', or put the item there."
                )
            items[each.item_id] = _item(each)
        if len(scorer.log.items) - scorer.num_lasting + len(items) > MOST_ADOPTED:
            scorer.let_go()
        codes = encode(pa.array(list(items), pa.string()), scorer.log.items).tolist()
        if new := [item for item, code in zip(items.values(), codes, strict=True) if code < 0]:
            scorer.adopt(new)

    def _page(self, request: RankRequest, codes: np.ndarray) -> tuple[pa.Table, int]:
        """The page as a table of the contract, and its time; `codes` [n]: of the candidates in the log."""
        candidates, rows = request.candidates, len(request.candidates)
        second = request.timestamp
        if second is None:
            # All that is acknowledged has happened: the rest of this second included.
            second = int(time.time()) + 1
        category = request.query_category
        if category is None:
            category = self._most_frequent_category(codes)
        of_page = {
            "page_id": 0,
            "user_id": request.user_id,
            "query": request.query,
            "query_category": category,
            "position": -1,
            "timestamp": int(second),
            "clicked": False,
            "split": "test",
        }
        types = SCHEMAS["impressions"]
        page = {name: pa.repeat(pa.scalar(value, types.field(name).type), rows) for name, value in of_page.items()}
        page["impression_id"] = pa.array(np.arange(rows), types.field("impression_id").type)
        page["item_id"] = pa.array([each.item_id for each in candidates], pa.string())
        for name in self._columns.context:
            of_all = request.context.get(name)
            given = [each.attributes.get(name, of_all) for each in candidates]
            page[name] = column_of(name, given, self._means)
        return pa.table(page), int(second)

    def _most_frequent_category(self, codes: np.ndarray) -> str | None:
        with self.scorer.lock:
            rows = self.scorer.catalogue.row[codes]
            categories = self.scorer.items["category"].take(pa.array(rows)).to_pylist()
        known = [category for category in categories if category is not None]
        return max(sorted(set(known)), key=known.count, default=None)


def _event(event: Event) -> Event:
    """An event as the journal keeps it."""
    return event._replace(timestamp=int(event.timestamp), clicked=bool(event.clicked))


def _item(candidate: Candidate) -> Item:
    attributes = {name: value for name, value in candidate.attributes.items() if name.startswith(("cat_", "num_"))}
    return Item(candidate.item_id, str(candidate.text), candidate.attributes.get("category"), attributes)
