"""The ranker as it is served, measured from outside, through HTTP, the server on one core.

    python -m benchmarks.serving [--name journey] [--quick true]

It needs a finished `make rank` and writes nothing there but what `rank serve` keeps beside a ranker. Events are sent
last: what is asked before sees none.
"""

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.serving.events import kill_under_load, take
from benchmarks.serving.latency import cold, latencies, requests_per_second
from benchmarks.serving.pages import Larger, Page, cut, judged_pages
from benchmarks.serving.parity import live_parity, parity, some_of
from benchmarks.serving.rivals import lightgbm_milliseconds
from benchmarks.serving.server import Server
from prectr.data.contract import read_table
from prectr.rank.history.rows import seconds_of
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console

MODULE = "benchmarks.serving"
PARTS = ("parity", "latency", "events", "live_parity", "kills", "lightgbm")
KEYS = (
    "p50_ms", "p99_ms", "cold_100_texts_ms", "events_per_s", "bytes_per_user", "lightgbm_100_rows_ms",
    "minilm_ort_int8_100_pairs_ms", "requests_per_s", "parity_max_delta", "live_parity_max_delta", "lost_events",
    "doubled_events",
)  # fmt: skip


NOT_YET = {"minilm_ort_int8_100_pairs_ms": "nothing here exports MiniLM-L6 for ONNX Runtime yet"}


@dataclass
class ServingArguments:
    """What is measured, on what."""

    name: str = field(default="journey", metadata={"help": "run: the folder artifacts/<name>"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    parts: list[str] = field(default_factory=lambda: list(PARTS), metadata={"help": f"of {', '.join(PARTS)}"})
    requests: int = field(default=1000, metadata={"help": "pages of each size whose latency is taken"})
    pages: int = field(default=1000, metadata={"help": "pages of the test weeks whose scores are compared"})
    seconds: float = field(default=20.0, metadata={"help": "how long callers ask as fast as they are answered"})
    users: int = field(default=150_000, metadata={"help": "new users whose seven events each are sent"})
    kills: int = field(default=20, metadata={"help": "times the server is killed while events come"})
    quick: bool = field(default=False, metadata={"help": "a hundredth of all that, to see that it works"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of serving.json"})

    def __post_init__(self) -> None:
        if self.quick:
            self.requests, self.pages, self.seconds, self.users, self.kills = 10, 10, 0.5, 200, 1
        for part in self.parts:
            if part not in PARTS:
                raise PrectrError(f"command line: --parts {part}: name some of {', '.join(PARTS)}.")
        for name in ("requests", "pages", "users", "kills"):
            if getattr(self, name) < 1:
                raise PrectrError(f"command line: --{name} {getattr(self, name)}: give a number from 1 on.")

    @property
    def run(self) -> Path:
        return Path(self.artifacts).absolute() / self.name


def main(argv: list[str]) -> None:
    arguments = read_arguments(ServingArguments, MODULE, argv)
    if not (arguments.run / "ranker" / "predictions.parquet").exists():
        raise PrectrError(f"{arguments.run} is no finished run: run `python -m rank run --name {arguments.name}`.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = Figures(arguments).all()
    result = {**{key: found.values.get(key) for key in KEYS}, **provenance(MODULE, argv)}
    result |= {"not_measured": found.reasons, "facts": found.facts, "data": arguments.name}
    path = Path(arguments.results) / "serving.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(json.dumps({key: result[key] for key in KEYS}, indent=2), markup=False, highlight=False)
    console.print(f"Written to {path}.", markup=False, highlight=False)


class Figures:
    """Everything that is measured of a run.

    Attributes:
        values: by key of the result. reasons: why a key has none. facts: on what, and how much of it.
    """

    def __init__(self, arguments: ServingArguments) -> None:
        self.arguments, self.run = arguments, arguments.run
        self.values, self.reasons, self.facts = dict[str, Any](), dict(NOT_YET), dict[str, Any]()
        self._pages = judged_pages(self.run)
        self._end = int(seconds_of(read_table(self.run / "data", "behaviours", ["timestamp"])["timestamp"])[-1]) + 1

    def all(self) -> "Figures":
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            self._folder, self._stack = Path(folder), stack
            of_part: dict[str, tuple[Callable[[], dict[str, Any]], tuple[str, ...]]] = {
                "parity": (self._parity, ("parity_max_delta",)),
                "latency": (self._latency, ("p50_ms", "p99_ms", "cold_100_texts_ms", "requests_per_s")),
                "events": (self._events, ("events_per_s", "bytes_per_user")),
                "live_parity": (self._live_parity, ("live_parity_max_delta",)),
                "kills": (self._kills, ("lost_events", "doubled_events")),
                "lightgbm": (self._lightgbm, ("lightgbm_100_rows_ms",)),
            }
            for part, (measure, keys) in of_part.items():
                if part not in self.arguments.parts:
                    self.reasons |= dict.fromkeys(keys, "not asked for")
                    continue
                try:
                    self.values |= measure()
                except PrectrError as error:
                    self.reasons |= dict.fromkeys(keys, str(error))
        return self

    @cached_property
    def _server(self) -> Server:
        """The one that knows the whole log; events come last."""
        server = self._stack.enter_context(Server(self.run, self._folder / "journal.sqlite"))
        self.facts["seconds_to_ready"] = round(server.seconds_to_ready, 1)
        return server

    def _parity(self) -> dict[str, Any]:
        pages = self._compared()
        found = parity(self._server, pages)
        self.facts |= {"parity_pages": len(pages), "auc": found.auc}
        return {"parity_max_delta": found.delta}

    def _latency(self) -> dict[str, Any]:
        larger, arguments, server = Larger(self.run, self._end), self.arguments, self._server
        found = latencies(server, self._pages, larger, arguments.requests)
        found["requests_per_s"] = requests_per_second(server, self._pages, larger, arguments.seconds)
        found["cold_100_texts_ms"] = cold(server, self.run, self._pages, min(arguments.requests, 50))
        return found

    def _events(self) -> dict[str, Any]:
        return take(self._server, self._pages, self.arguments.users, self._end)._asdict()

    def _live_parity(self) -> dict[str, Any]:
        pages = self._compared()
        events = cut(self.run, self._folder / "data", self._pages[0].second)
        with Server(self.run, self._folder / "live.sqlite", self._folder / "data") as server:
            found = live_parity(server, pages, events)
        self.facts |= {"live_events": sum(map(len, events)), "live_auc": found.auc}
        return {"live_parity_max_delta": found.delta}

    def _kills(self) -> dict[str, Any]:
        found = kill_under_load(self.run, self._folder / "kills.sqlite", self._pages, self.arguments.kills, self._end)
        self.facts["acknowledged_before_kills"] = found.acknowledged
        return {"lost_events": found.lost, "doubled_events": found.doubled}

    def _compared(self) -> list[Page]:
        """The first pages where it must be quick: before later ones nearly all events have to be sent."""
        most = self.arguments.pages
        return self._pages[:most] if self.arguments.quick else some_of(self._pages, most)

    def _lightgbm(self) -> dict[str, Any]:
        return {"lightgbm_100_rows_ms": lightgbm_milliseconds(self.run, self.arguments.requests)}


if __name__ == "__main__":
    run_main(main)
