"""How preparation and training of stage two grow with the log.

    python -m benchmarks.scale [--rows 1000000 5000000 20000000]

Of every size: a generated log is written to Parquet, prepared in full (stage one's pairs, the behaviour log and its
indices, features, feature map, training set), then trained on: 200 steps of the whole ranker that draw their pages at
random from the whole file, and one epoch of its base module with text off. Each size is a process of its own, so that
its peak of memory is its own; a size whose figures are there is not measured again.
"""

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from benchmarks.scale.log import Log
from benchmarks.scale.measure import measure
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table
from prectr.shared.run.steps import run_step

MODULE = "benchmarks.scale"
KEYS = ("peak_mb", "prepare_rows_per_s", "train_rows_per_s", "slices_per_s", "slicing_share")


@dataclass
class ScaleArguments:
    """What is measured."""

    rows: list[int] = field(
        default_factory=lambda: [1_000_000, 5_000_000, 20_000_000], metadata={"help": "impressions of each log"}
    )
    artifacts: str = field(
        default="artifacts/bench/scale", metadata={"help": "folder of logs and what is made of them"}
    )
    results: str = field(default="benchmarks/results", metadata={"help": "folder of scale.json"})
    seed: int = field(default=0, metadata={"help": "rules every draw"})
    keep: bool = field(default=False, metadata={"help": "keep what was prepared; else it goes when a size is measured"})

    def __post_init__(self) -> None:
        if bad := [rows for rows in self.rows if rows < 1000]:
            raise PrectrError(f"command line: --rows {bad[0]}: give at least 1000 impressions.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(ScaleArguments, MODULE, argv)
    facts = provenance(MODULE, argv)
    figures = {}
    for rows in sorted(arguments.rows):
        folder = Path(arguments.artifacts) / str(rows)
        figures[str(rows)] = json.loads(_measured(folder, rows, arguments.seed, facts).read_text(encoding="utf-8"))
        if not arguments.keep:
            for made in ("log", "work"):
                shutil.rmtree(folder / made, ignore_errors=True)
    path = Path(arguments.results) / "scale.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(figures | facts, indent=2) + "\n", encoding="utf-8")
    show(figures, path)


def _measured(folder: Path, rows: int, seed: int, facts: dict[str, Any]) -> Path:
    """The figures of one size, measured if they are not there."""
    figures = folder / "figures.json"
    if figures.exists():
        return figures
    log = Log(folder / "log", rows, seed)

    def build(work: Path) -> None:
        written = Log(work, rows, seed)
        written.write()
        written.write_level_prob()

    run_step("log", log.folder, {"rows": rows, "seed": seed}, build, sources=[Log.__module__])
    shutil.rmtree(folder / "work", ignore_errors=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        measured = child.submit(measure, log, folder / "work", seed).result()
    with atomic_write(figures) as temporary:
        commit = {name: facts[name] for name in ("commit", "date", "machine")}
        temporary.write_text(json.dumps(measured | commit, indent=2) + "\n", encoding="utf-8")
    return figures


def show(figures: dict[str, dict[str, Any]], path: Path) -> None:
    """Print the results as a table."""
    rows = []
    for size, found in figures.items():
        *counts, share = (found[key] for key in KEYS)
        rows.append([f"{int(size):,}", *(f"{count:,.0f}" for count in counts), f"{share:.3f}"])
    table("Preparation and training as the log grows", ["impressions", *KEYS], rows)
    peaks = [found["peak_mb"] for found in figures.values()]
    console.print(f"Largest peak over smallest: {max(peaks) / min(peaks):.2f}\n{path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main)
