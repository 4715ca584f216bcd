"""What the service says of itself, in Prometheus' text format: how long each phase takes, how much there is of what,
and whether predictions still are what happens (PCOC: mean prediction ÷ click-through rate).
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1.0, 2.5, 5.0)
CANDIDATES = (1, 5, 10, 25, 50, 100, 200, 300, 500, 1000)
MOST_PAGES = 10_000
"""Pages whose predictions are kept until their clicks come."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable, of the client's own: the folder in which several processes count together."""


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            *("prectr_phase_seconds", "Seconds of each phase of an answer", ["phase"]),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.requests = self._counter("prectr_requests", "Answers by route and status", ["route", "status"])
        self.refused = self._counter("prectr_refused", "Requests that found the queue full", ["queue"])
        self.candidates = Histogram(
            "prectr_candidates", "Candidates of a page", registry=self.registry, buckets=CANDIDATES
        )
        self.events = self._counter("prectr_events", "Events taken in, and sent again", ["outcome"])
        self.cache = self._counter("prectr_query_cache", "Queries ranked before, and new ones", ["outcome"])
        self.pages = self._counter("prectr_pages", "Pages by who ordered them", ["ranker"])
        self.clicks = LiveCalibration()
        self._live = {
            "shown": self._gauge("prectr_live_impressions", "Impressions behind the live PCOC"),
            "predicted": self._gauge("prectr_live_predicted", "Sum of their predictions"),
            "clicks": self._gauge("prectr_live_clicks", "Clicks on them"),
        }

    def happened(self, page_id: int, item_id: str, clicked: bool) -> None:
        """An item of a page was shown, and clicked or not yet."""
        if self.clicks.happened(page_id, item_id, clicked):
            for name, gauge in self._live.items():
                gauge.set(getattr(self.clicks, name))

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=self.registry, multiprocess_mode="sum")

    def _counter(self, name: str, what: str, labels: Sequence[str]) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it; of all processes that count together."""
        registry = self.registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        predicted, clicks = (registry.get_sample_value(f"prectr_live_{name}") for name in ("predicted", "clicks"))
        pcoc = predicted / clicks if predicted is not None and clicks else float("nan")
        what = (
            "# HELP prectr_live_pcoc Mean prediction ÷ CTR of the impressions reported\n# TYPE prectr_live_pcoc gauge"
        )
        return generate_latest(registry) + f"{what}\nprectr_live_pcoc {pcoc}\n".encode()


class LiveCalibration:
    """Predictions beside what came of them: of pages answered here, the items that events say were shown."""

    def __init__(self) -> None:
        self._pages = OrderedDict[int, dict[str, float]]()
        self._seen, self._clicked = OrderedDict[tuple[int, str], None](), OrderedDict[tuple[int, str], None]()
        self._lock = threading.Lock()
        self.shown, self.predicted, self.clicks = 0, 0.0, 0

    def answered(self, page_id: int, item_ids: Sequence[str], p_click: Iterable[float]) -> None:
        """A page was answered with these predictions."""
        with self._lock:
            self._pages[page_id] = dict(zip(item_ids, map(float, p_click), strict=True))
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)

    def happened(self, page_id: int, item_id: str, clicked: bool) -> bool:
        """An item of a page was shown, and clicked or not yet; the same twice counts once. Whether it was predicted."""
        key = (page_id, item_id)
        with self._lock:
            predicted = self._pages.get(page_id, {}).get(item_id)
            if predicted is None:
                return False
            if key not in self._seen:
                self.shown += 1
                self.predicted += predicted
                _remember(self._seen, key)
            if clicked and key not in self._clicked:
                self.clicks += 1
                _remember(self._clicked, key)
        return True


def _remember(keys: OrderedDict[tuple[int, str], None], key: tuple[int, str]) -> None:
    keys[key] = None
    while len(keys) > 100 * MOST_PAGES:
        keys.popitem(last=False)
