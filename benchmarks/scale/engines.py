"""What a cluster adds and costs: preparation by one process and by workers, and the driver's own work per part.

    python -m benchmarks.scale.engines [--rows 1000000] [--parts 1000 10000 100000] [--kills 10]

Of one generated log: prepared by the plain engine, by one worker, by two, and by two of which `kills` are killed in the
middle of a part; every file of each is compared with the plain one's. Then parts that do nothing, on more workers than
there are cores: what is left is what the driver does for each part. Every measurement is a process of its own.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.scale.engine_runs import give_out, prepare
from benchmarks.scale.log import Log
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table

MODULE = "benchmarks.scale.engines"
T = TypeVar("T")


@dataclass
class EngineArguments:
    """What is measured."""

    rows: int = field(default=1_000_000, metadata={"help": "impressions of the log"})
    parts: list[int] = field(
        default_factory=lambda: [1_000, 10_000, 100_000], metadata={"help": "numbers of parts that do nothing"}
    )
    workers: int = field(default=8, metadata={"help": "workers of parts that do nothing, whatever cores there are"})
    kills: int = field(default=10, metadata={"help": "workers that are killed while a log is prepared"})
    artifacts: str = field(default="artifacts/bench/engines", metadata={"help": "folder of all that is made"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of ray.json"})
    seed: int = field(default=0, metadata={"help": "rules every draw"})

    def __post_init__(self) -> None:
        if self.rows < 1000:
            raise PrectrError(f"command line: --rows {self.rows}: give at least 1000 impressions.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(EngineArguments, MODULE, argv)
    facts = provenance(MODULE, argv)
    folder = Path(arguments.artifacts)
    log = Log(folder / "log", arguments.rows, arguments.seed)
    if not log.level_prob.exists():
        shutil.rmtree(log.folder, ignore_errors=True)
        log.write()
        log.write_level_prob()
    runs = {"plain": (0, 0), "1 worker": (1, 0), "2 workers": (2, 0), "2 workers, killed": (2, arguments.kills)}
    prepared = {name: apart(prepare, log, folder / "work", arguments.seed, *how) for name, how in runs.items()}
    driver = {str(count): apart(give_out, folder / "parts", count, arguments.workers) for count in arguments.parts}
    expected = prepared["plain"].pop("files")
    equal = [each.pop("files") == expected for name, each in prepared.items() if name != "plain"]
    seconds = {name: each["seconds"] for name, each in prepared.items()}
    figures = {
        "rows": arguments.rows,
        "speedup_2_workers": seconds["1 worker"] / seconds["2 workers"],
        "peak_mb_per_worker": prepared["2 workers"]["peak_mb_per_worker"],
        "bytes_equal": all(equal),
        "worker_kills": prepared["2 workers, killed"]["killed"],
        "node_kills": None,  # not tried
        "driver_us_per_part": driver[str(max(arguments.parts))]["cpu_us_per_part"],
        "preparation": prepared,
        "driver": driver,
    }
    path = Path(arguments.results) / "ray.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(figures | facts, indent=2) + "\n", encoding="utf-8")
    show(figures, path)


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """What `work` returns in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        return child.submit(work, *arguments).result()


def show(figures: dict[str, Any], path: Path) -> None:
    """Print the results as tables."""
    rows = [
        (name, each["seconds"], each["peak_mb_per_worker"], each["killed"])
        for name, each in figures["preparation"].items()
    ]
    title = f"Preparation of {figures['rows']:,} impressions"
    table(title, ["engine", "seconds", "peak MB of a worker", "killed"], rows)
    columns = ["cpu_us_per_part", "clock_us_per_part", "kept_cpu_us_per_part", "kept_clock_us_per_part"]
    parts = [(f"{int(count):,}", *(each[name] for name in columns)) for count, each in figures["driver"].items()]
    table("Parts that do nothing", ["parts", *columns], parts)
    console.print(f"Every byte equal: {figures['bytes_equal']}\n{path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main)
