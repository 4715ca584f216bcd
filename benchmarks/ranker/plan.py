"""In which order the trainings run, how long that will take, and the loop that runs them."""

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from benchmarks.ranker.cell import Cell
from benchmarks.ranker.random_encoder import build_random_encoder
from benchmarks.ranker.systems import RANDOM_ENCODER, REFERENCE, TREES, is_ours, order_of
from prectr.data.contract import read_table
from prectr.rank.workspace import Workspace
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console, table

# Seconds per 1,000 training impressions on one core, for the estimate alone and until a training of the kind is done.
GUESS = {"ours": 2.5, "trees": 0.7, "networks": 1.6}
SETTINGS_TRIED = 4  # by a rival, once for all seeds; one of them is its first seed's training


def run_all(cells: Sequence[Cell], home: Workspace, jobs: int = 1) -> None:
    """Train every cell that is not finished, each as a process of its own, `jobs` of them at a time.

    The telling systems of every seed come first, the first seed's before the next one's; then all else. A cell waits
    for the `prectr_v2` of its seed, from which it borrows, and a rival for another seed's training of its system, which
    may be finding the setting for both.

    Args:
        home: the data set's own folder.

    Raises:
        PrectrError: a training failed; its last line is told, and what is finished stays.
    """
    todo = [cell for cell in cells if cell.seconds(cell.inputs(home)) is None]
    seeds = [cell.seed for cell in cells]
    todo.sort(key=lambda cell: (order_of(cell.system)[0], seeds.index(cell.seed), order_of(cell.system)))
    show_plan(cells, todo, home, jobs)
    running: dict[Future[None], Cell] = {}
    started = 0
    total = len(todo)
    with ThreadPoolExecutor(jobs) as pool:
        while todo or running:
            busy = list(running.values())
            free = (cell for cell in todo if cell.reference not in (*todo, *busy) or cell.system == REFERENCE)
            tuning = [other.system for other in busy if not is_ours(other.system)]
            ready = next((cell for cell in free if cell.system not in tuning), None)
            if ready is None or len(busy) == jobs:
                for finished in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[finished]
                    finished.result()
                continue
            left = sum(estimates([*busy, *todo], cells, home)) / jobs
            todo.remove(ready)
            started += 1
            console.print(
                f"▸ {ready.name} ({started} of {total}, about {told(left)} left); its output: {log_of(ready)}",
                highlight=False,
                soft_wrap=True,
            )
            running[pool.submit(run_one, ready, home, jobs)] = ready


def run_one(cell: Cell, home: Workspace, jobs: int) -> None:
    """Train one cell on its share of the cores; what it prints goes to its log."""
    if cell.system == RANDOM_ENCODER:
        build_random_encoder(home.encoder, home.data, cell.seed, cell.random_encoder)
    cell.bench.mkdir(parents=True, exist_ok=True)
    cell.link_inputs(home)
    started, log = time.monotonic(), log_of(cell)
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // jobs, 1))} if jobs > 1 else {}
    with log.open("a", encoding="utf-8") as output:
        code = subprocess.run(
            cell.command(), stdout=output, stderr=subprocess.STDOUT, env=os.environ | threads
        ).returncode
    if code:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise PrectrError(f"{cell.name} failed, exit code {code} ({''.join(last)}); see {log}.")
    cell.mark_finished(cell.inputs(home), time.monotonic() - started)


def log_of(cell: Cell) -> Path:
    return cell.bench / f"{cell.name}.log"


def show_plan(cells: Sequence[Cell], todo: Sequence[Cell], home: Workspace, jobs: int) -> None:
    """Print what will be trained and how long it may take."""
    alone = estimates(todo, cells, home)
    seconds = {cell.name: estimate / jobs for cell, estimate in zip(todo, alone, strict=True)}
    rows = []
    for kind, what in (("ours", "the ranker and its variants"), ("trees", "boosted trees"), ("networks", "FuxiCTR")):
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


def estimates(todo: Sequence[Cell], cells: Iterable[Cell], home: Workspace) -> list[float]:
    """Seconds that each cell of `todo` may take, from those of `cells` that are done."""
    done = [(cell, seconds) for cell in cells if (seconds := cell.seconds()) is not None]
    thousands = _training_impressions(home) / 1000
    tuned = {cell.system for cell, _ in done} | {"cutoff_lightgbm"}  # which takes the settings of lightgbm
    found = []
    for cell in todo:
        of_system = [seconds for other, seconds in done if other.system == cell.system]
        of_kind = [seconds for other, seconds in done if kind_of(other) == kind_of(cell) == "ours"]
        trainings = 1 if is_ours(cell.system) or cell.system in tuned else SETTINGS_TRIED
        tuned.add(cell.system)
        # Of a rival's trainings the one that tuned took longest.
        guess = GUESS[kind_of(cell)] * thousands * trainings
        found.append(min(of_system) if of_system else float(np.median(of_kind)) if of_kind else guess)
    return found


def _training_impressions(home: Workspace) -> int:
    split = read_table(home.data, "impressions", ["split"])["split"]
    return int(pc.sum(pc.equal(split, "train")).as_py() or 0)


def told(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
