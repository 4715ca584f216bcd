"""The ranker as it is served, measured from outside, through HTTP, the server on one core.

    python -m benchmarks.serving [--name journey] [--quick true]

It needs a finished `make rank` and writes nothing there but what `rank serve` keeps beside a ranker. A part that is
measured is written down at once: the same command after a kill goes on with the next.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.serving.events import kill_under_load, take
from benchmarks.serving.latency import USUAL, cold, latencies, requests_per_second, usual_bodies
from benchmarks.serving.load import under_load
from benchmarks.serving.pages import Larger, Page, cut, judged_pages
from benchmarks.serving.parity import live_parity, parity, some_of
from benchmarks.serving.rivals import lightgbm_milliseconds, minilm_milliseconds
from benchmarks.serving.server import Server
from prectr.data.contract import read_table
from prectr.rank.history.rows import seconds_of
from prectr.rank.serving.export.exported import folder_of
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console
from prectr.shared.seeds import generator

MODULE = "benchmarks.serving"
OF_PART = {
    "parity": ("parity_max_delta",),
    "latency": ("p50_ms", "p99_ms", "cold_100_texts_ms", "requests_per_s"),
    "lightgbm": ("lightgbm_100_rows_ms",),
    "minilm": ("minilm_ort_int8_100_pairs_ms",),
    "load": ("load",),
    "workers": ("requests_per_s_2_workers",),
    "events": ("events_per_s", "bytes_per_user"),
    "live_parity": ("live_parity_max_delta",),
    "kills": ("lost_events", "doubled_events"),
}
"""The keys that each part finds, in the order in which they are measured: events come late, since what is asked before
sees none."""
KEYS = (
    "p50_ms", "p99_ms", "cold_100_texts_ms", "events_per_s", "bytes_per_user", "lightgbm_100_rows_ms",
    "minilm_ort_int8_100_pairs_ms", "requests_per_s", "parity_max_delta", "live_parity_max_delta", "lost_events",
    "doubled_events", "load", "requests_per_s_2_workers",
)  # fmt: skip


@dataclass
class ServingArguments:
    """What is measured, on what."""

    name: str = field(default="journey", metadata={"help": "run: the folder artifacts/<name>"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    parts: list[str] = field(default_factory=lambda: list(OF_PART), metadata={"help": f"of {', '.join(OF_PART)}"})
    requests: int = field(default=1000, metadata={"help": "pages of each size whose latency is taken"})
    pages: int = field(default=1000, metadata={"help": "pages of the test weeks whose scores are compared"})
    seconds: float = field(default=20.0, metadata={"help": "how long callers ask as fast as they are answered"})
    load_seconds: float = field(default=180.0, metadata={"help": "how long 80, then 200 % of its capacity are asked"})
    users: int = field(default=150_000, metadata={"help": "new users whose seven events each are sent"})
    kills: int = field(default=20, metadata={"help": "times the server is killed while events come"})
    again: bool = field(default=False, metadata={"help": "measure also what is written down already"})
    quick: bool = field(default=False, metadata={"help": "a hundredth of all that, to see that it works"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of serving.json"})

    def __post_init__(self) -> None:
        if self.quick:
            self.requests, self.pages, self.users, self.kills = 10, 10, 200, 1
            self.seconds, self.load_seconds = 0.5, 1.5
        for part in self.parts:
            if part not in OF_PART:
                raise PrectrError(f"command line: --parts {part}: name some of {', '.join(OF_PART)}.")
        for name in ("requests", "pages", "users", "kills"):
            if getattr(self, name) < 1:
                raise PrectrError(f"command line: --{name} {getattr(self, name)}: give a number from 1 on.")

    @property
    def run(self) -> Path:
        return Path(self.artifacts).absolute() / self.name

    @property
    def amount(self) -> dict[str, Any]:
        """How much of what is measured: figures of another amount are others."""
        amounts = ("name", "requests", "pages", "seconds", "load_seconds", "users", "kills")
        return {name: value for name, value in asdict(self).items() if name in amounts}


class Found(NamedTuple):
    """What a part has found: figures by key, on what and how much of it, and why a key has no figure."""

    values: dict[str, Any]
    facts: dict[str, Any]
    reasons: dict[str, str]


def main(argv: list[str]) -> None:
    arguments = read_arguments(ServingArguments, MODULE, argv)
    if not (arguments.run / "ranker" / "predictions.parquet").exists():
        raise PrectrError(f"{arguments.run} is no finished run: run `python -m rank run --name {arguments.name}`.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path, origin = Path(arguments.results) / "serving.json", provenance(MODULE, argv)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = measured(path, arguments, origin["commit"])
    wanted = [part for part in OF_PART if part in arguments.parts and part not in found]
    write(path, found, arguments, origin)
    for part, figures in Figures(arguments).of(wanted):
        console.print(f"{part}: {figures.values | figures.facts | figures.reasons}", markup=False, highlight=False)
        found[part] = figures
        write(path, found, arguments, origin)
    console.print(f"Written to {path}.", markup=False, highlight=False)


def measured(path: Path, arguments: ServingArguments, commit: str) -> dict[str, Found]:
    """The parts that stand in `path` whole, of this commit and as much of everything."""
    if not path.exists():
        return {}
    written = json.loads(path.read_text(encoding="utf-8"))
    if (written.get("commit"), written.get("amount")) != (commit, arguments.amount):
        return {}
    again = arguments.parts if arguments.again else []
    whole = {part: each for part, each in written["parts"].items() if not each["reasons"] and part not in again}
    return {part: Found(**each) for part, each in whole.items()}


def write(path: Path, found: dict[str, Found], arguments: ServingArguments, origin: dict[str, Any]) -> None:
    """The figures by key, then how they came to be, then part by part."""
    values = {key: value for part in found.values() for key, value in part.values.items()}
    reasons = {key: "not measured yet" for part, keys in OF_PART.items() if part not in found for key in keys}
    for part in found.values():
        reasons |= part.reasons
    facts = {key: value for part in found.values() for key, value in part.facts.items()}
    result = {**{key: values.get(key) for key in KEYS}, **origin, "not_measured": reasons, "facts": facts}
    result |= {"amount": arguments.amount, "parts": {part: each._asdict() for part, each in found.items()}}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


class Figures:
    """Everything that is measured of a run."""

    def __init__(self, arguments: ServingArguments) -> None:
        self.arguments, self.run = arguments, arguments.run
        self._pages = judged_pages(self.run)
        self._end = int(seconds_of(read_table(self.run / "data", "behaviours", ["timestamp"])["timestamp"])[-1]) + 1

    def of(self, parts: list[str]) -> Iterator[tuple[str, Found]]:
        """What each of the parts finds, one after another."""
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            self._folder, self._stack = Path(folder), stack
            for part in parts:
                self._facts = dict[str, Any]()
                try:
                    values, reasons = getattr(self, f"_{part}")(), dict[str, str]()
                except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are measured
                    values, reasons = {}, dict.fromkeys(OF_PART[part], f"{type(error).__name__}: {error}"[:300])
                yield part, Found(values, self._facts, reasons)

    @cached_property
    def _server(self) -> Server:
        """The one that knows the whole log; events come last. What is made of texts at the first start is there at the
        second, whose start is timed."""
        with Server(self.run, self._folder / "first.sqlite"):
            pass
        server = self._stack.enter_context(Server(self.run, self._folder / "journal.sqlite"))
        self._facts["seconds_to_ready"] = round(server.seconds_to_ready, 1)
        self._facts["exported"] = folder_of(self.run / "ranker").is_dir()
        return server

    @cached_property
    def _bodies(self) -> list[bytes]:
        return usual_bodies(self._pages, Larger(self.run, self._end))

    def _parity(self) -> dict[str, Any]:
        pages = self._compared()
        found = parity(self._server, pages)
        self._facts |= {"parity_pages": len(pages), "auc": found.auc}
        return {"parity_max_delta": found.delta}

    def _latency(self) -> dict[str, Any]:
        larger, arguments, server = Larger(self.run, self._end), self.arguments, self._server
        found = latencies(server, self._pages, larger, arguments.requests)
        found["requests_per_s"] = requests_per_second(server, self._bodies, arguments.seconds)
        found["cold_100_texts_ms"] = cold(server, self.run, self._pages, min(arguments.requests, 50))
        return found

    def _lightgbm(self) -> dict[str, Any]:
        return {"lightgbm_100_rows_ms": lightgbm_milliseconds(self.run, min(self.arguments.requests, 200))}

    def _minilm(self) -> dict[str, Any]:
        larger, draws = Larger(self.run, self._end), generator(0, "serving", "rivals")
        page = larger.of(self._pages[int(draws.integers(len(self._pages)))], USUAL, draws)
        repeats = min(self.arguments.requests, 200)
        return {"minilm_ort_int8_100_pairs_ms": minilm_milliseconds(self.run, page, repeats, self._folder)}

    def _load(self) -> dict[str, Any]:
        arguments, bodies = self.arguments, self._bodies
        capacity = requests_per_second(self._server, bodies, arguments.seconds)
        return {"load": under_load(self._server, bodies, capacity, arguments.load_seconds)}

    def _workers(self) -> dict[str, Any]:
        """Two servers in turn, the same pages: whoever asks shares the cores of two."""
        found = []
        for workers in (1, 2):
            with Server(self.run, self._folder / f"{workers} workers.sqlite", workers=workers) as server:
                requests_per_second(server, self._bodies, self.arguments.seconds / 4)  # whatever is kept is kept
                found.append(requests_per_second(server, self._bodies, self.arguments.seconds))
        self._facts["requests_per_s_1_worker"] = found[0]
        return {"requests_per_s_2_workers": found[1]}

    def _events(self) -> dict[str, Any]:
        self._facts["users"] = self.arguments.users
        return take(self._server, self._pages, self.arguments.users, self._end)._asdict()

    def _live_parity(self) -> dict[str, Any]:
        pages = self._compared()
        events = cut(self.run, self._folder / "data", self._pages[0].second)
        with Server(self.run, self._folder / "live.sqlite", self._folder / "data") as server:
            found = live_parity(server, pages, events)
        self._facts |= {"live_events": sum(map(len, events)), "live_auc": found.auc}
        return {"live_parity_max_delta": found.delta}

    def _kills(self) -> dict[str, Any]:
        found = kill_under_load(self.run, self._folder / "kills.sqlite", self._pages, self.arguments.kills, self._end)
        self._facts["acknowledged_before_kills"] = found.acknowledged
        return {"lost_events": found.lost, "doubled_events": found.doubled}

    def _compared(self) -> list[Page]:
        """The first pages where it must be quick: before later ones nearly all events have to be sent."""
        most = self.arguments.pages
        return self._pages[:most] if self.arguments.quick else some_of(self._pages, most)


if __name__ == "__main__":
    run_main(main)
