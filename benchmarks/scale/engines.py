"""What a cluster adds and costs: preparation by one process and by workers, and the driver's own work per part.

    python -m benchmarks.scale.engines [--rows 1000000 20000000] [--parts 1000 10000 100000] [--kills 10] [--nodes 3]

Of every size: a generated log is prepared by the plain engine, by one worker and by two. The smallest is prepared twice
more: by two workers of which `kills` are killed in the middle of a part, and by nodes on loopback of which so many are
killed with all their processes. Every file of each run is compared with the plain one's. Then parts that do nothing, on
more workers than there are cores: what is left is what the driver does for each part. Every measurement is a process
of its own, and stays when the command is killed or asked for more; of another commit or seed it is made anew.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.scale.engine_runs import Run, give_out, prepare
from benchmarks.scale.log import Log
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table
from prectr.shared.run.steps import run_step

MODULE = "benchmarks.scale.engines"
PLAIN, ONE, TWO = "plain", "1 worker", "2 workers"
WORKERS_KILLED, NODES_KILLED = "2 workers, workers killed", "nodes, nodes killed"
Figures = dict[str, Any]


@dataclass
class EngineArguments:
    """What is measured."""

    rows: list[int] = field(
        default_factory=lambda: [1_000_000, 20_000_000], metadata={"help": "impressions of each log"}
    )
    parts: list[int] = field(
        default_factory=lambda: [1_000, 10_000, 100_000], metadata={"help": "numbers of parts that do nothing"}
    )
    workers: int = field(default=8, metadata={"help": "workers of parts that do nothing, whatever cores there are"})
    kills: int = field(default=10, metadata={"help": "workers that are killed while the smallest log is prepared"})
    nodes: int = field(default=3, metadata={"help": "nodes that are killed then; one more, the head, lives"})
    seconds_between: float = field(default=1.0, metadata={"help": "deaths; of nodes five times as many"})
    artifacts: str = field(default="artifacts/bench/engines", metadata={"help": "folder of all that is made"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of ray.json"})
    seed: int = field(default=0, metadata={"help": "rules every draw"})

    def __post_init__(self) -> None:
        if bad := [rows for rows in self.rows if rows < 1000]:
            raise PrectrError(f"command line: --rows {bad[0]}: give at least 1000 impressions.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(EngineArguments, MODULE, argv)
    facts = provenance(MODULE, argv)
    folder, sizes = Path(arguments.artifacts), sorted(arguments.rows)
    runs = {PLAIN: Run(), ONE: Run(workers=1), TWO: Run(workers=2)}
    between = arguments.seconds_between
    killed = {
        WORKERS_KILLED: Run(workers=2, kills=arguments.kills, seconds_between=between),
        NODES_KILLED: Run(nodes=arguments.nodes + 1, kills=arguments.nodes, seconds_between=5 * between),
    }
    prepared = {}
    for rows in sizes:
        of_size = runs | (killed if rows == sizes[0] else {})
        prepared[str(rows)] = measured_of(folder / str(rows), Log(folder / "log", rows, arguments.seed), of_size, facts)
    driver = {
        str(count): kept(
            folder / f"{count}-parts-{arguments.workers}-{_short(facts)}.json", facts, give_out, folder / "parts",
            count, arguments.workers,
        )
        for count in arguments.parts
    }  # fmt: skip
    figures = summed_up(prepared, driver)
    path = Path(arguments.results) / "ray.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(figures | facts, indent=2) + "\n", encoding="utf-8")
    show(figures, path)


def measured_of(folder: Path, log: Log, runs: dict[str, Run], facts: Figures) -> dict[str, Figures]:
    """The figures of every run of one size; the log is written if a run is not measured yet, and goes when all are."""
    paths = {name: folder / f"{_key(run, log.seed, facts)}.json" for name, run in runs.items()}
    if not all(path.exists() for path in paths.values()):
        settings = {"rows": log.rows, "seed": log.seed}

        def build(work: Path) -> None:
            written = Log(work, log.rows, log.seed)
            written.write()
            written.write_level_prob()

        run_step("log", log.folder, settings, build, sources=[Log.__module__])
    work = folder / "work"
    found = {name: kept(paths[name], facts, prepare, log, work, log.seed, run) for name, run in runs.items()}
    shutil.rmtree(log.folder, ignore_errors=True)
    return found


def kept(path: Path, facts: Figures, work: Callable[..., Figures], *arguments: Any) -> Figures:
    """What `work` returns in a process of its own, or returned when it was measured before."""
    if not path.exists():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
            figures = child.submit(work, *arguments).result()
        with atomic_write(path) as temporary:
            of_run = {name: facts[name] for name in ("commit", "date")}
            temporary.write_text(json.dumps(figures | of_run, indent=2) + "\n", encoding="utf-8")
    found: Figures = json.loads(path.read_text(encoding="utf-8"))
    return found


def _key(run: Run, seed: int, facts: Figures) -> str:
    asked = f"{run.workers}-workers-{run.nodes}-nodes-{run.kills}-kills-{run.seconds_between:g}-s"
    return f"{asked}-seed-{seed}-{_short(facts)}"


def _short(facts: Figures) -> str:
    """The commit in seven digits, and whether files differed from it."""
    commit, dash, dirty = facts["commit"].partition("-")
    return f"{commit[:7]}{dash}{dirty}"


def summed_up(prepared: dict[str, dict[str, Figures]], driver: dict[str, Figures]) -> Figures:
    """All that was measured, and the figures to look at first: of the largest size, or of all sizes together."""
    smallest, largest = next(iter(prepared.values())), list(prepared.values())[-1]
    equal = [run["files"] == runs[PLAIN]["files"] for runs in prepared.values() for run in runs.values()]
    peaks = [max(runs[name]["peak_mb_per_worker"] for name in (ONE, TWO)) for runs in prepared.values()]
    for run in (run for runs in prepared.values() for run in runs.values()):
        names = sorted(run.pop("files").items())
        run["sha256_of_all_files"] = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    return {
        "rows": [int(rows) for rows in prepared],
        "speedup_2_workers": largest[ONE]["seconds"] / largest[TWO]["seconds"],
        "peak_mb_per_worker": peaks[-1],
        "peak_over_that_of_the_smallest": peaks[-1] / peaks[0],
        "bytes_equal": all(equal),
        "worker_kills": smallest[WORKERS_KILLED]["killed"],
        "node_kills": smallest[NODES_KILLED]["killed"],
        "driver_us_per_part": list(driver.values())[-1]["cpu_us_per_part"] if driver else None,
        "preparation": prepared,
        "driver": driver,
    }


def show(figures: Figures, path: Path) -> None:
    """Print the results as tables."""
    for size, runs in figures["preparation"].items():
        keys = ("seconds", "driver_cpu_seconds", "peak_mb_per_worker", "killed")
        rows = [(name, *(each[key] for key in keys)) for name, each in runs.items()]
        columns = ["engine", "seconds", "driver's CPU seconds", "peak MB of a worker", "killed"]
        table(f"Preparation of {int(size):,} impressions", columns, rows)
    columns = ["cpu_us_per_part", "clock_us_per_part", "kept_cpu_us_per_part", "kept_clock_us_per_part"]
    parts = [(f"{int(count):,}", *(each[name] for name in columns)) for count, each in figures["driver"].items()]
    table("Parts that do nothing", ["parts", *columns], parts)
    speedup, equal = figures["speedup_2_workers"], figures["bytes_equal"]
    console.print(f"Two workers over one: {speedup:.2f}\nEvery byte equal: {equal}\n{path}", highlight=False)


if __name__ == "__main__":
    run_main(main)
