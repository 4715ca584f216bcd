"""In which order the trainings run, how long that will take, and the loop that runs them."""

import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from benchmarks.ranker.cell import Cell
from benchmarks.ranker.random_encoder import build_random_encoder
from benchmarks.ranker.systems import RANDOM_ENCODER, TREES, is_ours
from data.contract import read_table
from rank.stage import Stage
from shared.config import PrectrError
from shared.console import console, table

# Seconds per 1,000 training impressions on 2 cores, for the estimate alone and until a training of the kind is done.
GUESS = {"ours": 1.5, "trees": 0.4, "networks": 0.8}
SETTINGS_TRIED = 4  # by a rival, once for all seeds


def run_all(cells: Sequence[Cell], home: Stage) -> None:
    """Train every cell that is not finished, one after the other, each as a process of its own.

    Args:
        cells: those of `prectr_v2` first, since the others borrow from them. home: the data set's own folder.

    Raises:
        PrectrError: a training failed; its last line is told, and what is finished stays.
    """
    todo = [cell for cell in cells if cell.seconds(cell.inputs(home)) is None]
    show_plan(cells, todo, home)
    for number, cell in enumerate(todo, start=1):
        left = sum(estimates(todo[number - 1 :], cells, home))
        console.print(
            f"▸ {cell.name} ({number} of {len(todo)}, about {told(left)} left); its output: {log_of(cell)}",
            highlight=False,
            soft_wrap=True,
        )
        run_one(cell, home)


def run_one(cell: Cell, home: Stage) -> None:
    """Train one cell; what it prints goes to its log."""
    if cell.system == RANDOM_ENCODER:
        build_random_encoder(home.encoder, home.data, cell.seed, cell.random_encoder)
    cell.bench.mkdir(parents=True, exist_ok=True)
    cell.link_inputs(home)
    started, log = time.monotonic(), log_of(cell)
    with log.open("a", encoding="utf-8") as output:
        code = subprocess.run(cell.command(), stdout=output, stderr=subprocess.STDOUT).returncode
    if code:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise PrectrError(f"{cell.name} failed, exit code {code} ({''.join(last)}); see {log}.")
    cell.mark_finished(cell.inputs(home), time.monotonic() - started)


def log_of(cell: Cell) -> Path:
    return cell.bench / f"{cell.name}.log"


def show_plan(cells: Sequence[Cell], todo: Sequence[Cell], home: Stage) -> None:
    """Print what will be trained and how long it may take."""
    seconds = dict(zip((cell.name for cell in todo), estimates(todo, cells, home), strict=True))
    rows = []
    for kind, what in (("ours", "the ranker and its variants"), ("trees", "LightGBM"), ("networks", "FuxiCTR")):
        of_kind = [cell for cell in cells if kind_of(cell) == kind]
        if of_kind:
            systems = ", ".join(dict.fromkeys(cell.system for cell in of_kind))
            open_ones = [cell.name for cell in of_kind if cell.name in seconds]
            rows.append([what, systems, len(of_kind), len(open_ones), told(sum(seconds[name] for name in open_ones))])
    table(
        f"Plan: {len(todo)} of {len(cells)} trainings to do, about {told(sum(seconds.values()))}",
        ["kind", "systems", "trainings", "to do", "estimate"],
        rows,
        "A killed comparison goes on with the same command. Estimates: trainings of the same system, then of the same "
        "kind, that are done; a guess where there are none.",
    )


def kind_of(cell: Cell) -> str:
    return "ours" if is_ours(cell.system) else "trees" if cell.system in TREES else "networks"


def estimates(todo: Sequence[Cell], cells: Iterable[Cell], home: Stage) -> list[float]:
    """Seconds that each cell of `todo` may take, from those of `cells` that are done."""
    done = [(cell, seconds) for cell in cells if (seconds := cell.seconds()) is not None]
    thousands = _training_impressions(home) / 1000
    tuned = {cell.system for cell, _ in done} | {"cutoff_lightgbm"}  # which takes the settings of lightgbm
    found = []
    for cell in todo:
        of_system = [seconds for other, seconds in done if other.system == cell.system]
        of_kind = [seconds for other, seconds in done if kind_of(other) == kind_of(cell) == "ours"]
        trainings = 1 if is_ours(cell.system) or cell.system in tuned else 1 + SETTINGS_TRIED
        tuned.add(cell.system)
        # Of a rival's trainings the one that tuned took longest.
        guess = GUESS[kind_of(cell)] * thousands * trainings
        found.append(min(of_system) if of_system else float(np.median(of_kind)) if of_kind else guess)
    return found


def _training_impressions(home: Stage) -> int:
    split = read_table(home.data, "impressions", ["split"])["split"]
    return int(pc.sum(pc.equal(split, "train")).as_py() or 0)


def told(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
