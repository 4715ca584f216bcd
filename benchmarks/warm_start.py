"""Ten days are added to a log: going on from the ranker that is there, against training on all days from the beginning.

    python -m benchmarks.warm_start [--seeds 0 1 2]

Of every seed a toy shop of its own is written as a shop would export it: a log, ratings and a catalogue in CSV. Then,
by the commands of the documents:

    before      convert the log without its last days, distil, rank
    warm_start  add the days (`data convert … --append`), go on from that ranker (`rank run --warm_start`), one pass
    anew        convert all files at once, distil, rank, all passes

The tables of the last two are the same to the byte, so both are judged on the same test pages, which are later than
anything that `before` was trained on. `warm_start.json`: `auc` of each, `difference`: warm start minus anew, with its
interval over users, and `cpu_seconds`: what the processes had of a core, by verb, which other work on the machine does
not change.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from prectr.data import toy
from prectr.data.contract import levels, read_table
from prectr.shared import metrics
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table

MODULE = "benchmarks.warm_start"
DAY = 24 * 3600
LOG, ITEMS, RATINGS = "log.csv", "items.csv", "ratings.csv"
NEWER = "newer.csv"
FLAGS = (
    f"--items {ITEMS} --judgements {RATINGS} --query query --item_id item_id --item text --category category "
    "--item_numeric num_price --item_categorical cat_product cat_material cat_colour cat_size "
    "--query_category query_category --clicked clicked --timestamp timestamp --user user_id --page page_id "
    "--position position --level level --level_names irrelevant related substitute exact"
)
PASSES = "--frozen_epochs 0"
"""All that the trainings are given beside the profile: as the default profile, no passes with a frozen encoder."""


@dataclass
class WarmStartArguments:
    """What is measured."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "of shop, stage one and ranker"})
    users: int = field(default=300, metadata={"help": "users of each shop, 42 searches each over a year"})
    days: int = field(default=10, metadata={"help": "days that come after the first training"})
    epochs: float = field(default=3.0, metadata={"help": "passes of a training from the beginning"})
    more_epochs: float = field(default=1.0, metadata={"help": "passes of the warm start"})
    artifacts: str = field(default="artifacts/bench/warm_start", metadata={"help": "folder of shops and runs"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of warm_start.json"})

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 100:
            raise PrectrError(f"command line: --days {self.days}: give 1 to 100 of the shop's 364 days.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(WarmStartArguments, MODULE, argv)
    facts = provenance(MODULE, argv)
    found = {str(seed): of_seed(arguments, seed, Path(arguments.artifacts) / str(seed)) for seed in arguments.seeds}
    result = {"seeds": found, "mean": mean_of(found.values()), **facts}
    path = Path(arguments.results) / "warm_start.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result["mean"], path)


def of_seed(arguments: WarmStartArguments, seed: int, folder: Path) -> dict[str, Any]:
    """The figures of one shop; what is finished in `folder` is not measured again."""
    figures = folder / "figures.json"
    if not figures.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_exports(folder, seed, arguments.users, arguments.days)
        found = measure(Shell(folder.absolute(), seed), arguments)
        with atomic_write(figures) as temporary:
            temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    read: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return read


def write_exports(folder: Path, seed: int, users: int, days: int) -> None:
    """A toy shop as files of its own: the catalogue, ratings, the log without its last days, and these."""
    toy.build(folder / "toy", seed, num_users=users)
    log, items, pairs = (read_table(folder / "toy", name) for name in ("behaviours", "items", "pairs"))
    shown = log.filter(pc.equal(log["event_type"], "search"))
    since = pc.max(shown["timestamp"]).as_py().timestamp() - days * DAY
    late = np.array([moment.timestamp() for moment in shown["timestamp"].to_pylist()]) > since
    place = np.arange(len(shown)) % toy.SHOWN
    shown = shown.drop_columns(["event_type"]).append_column("position", pa.array(place))
    names = dict(enumerate(levels(folder / "toy")))
    rated = pairs.filter(pc.is_valid(pairs["level"])).select(["query", "item_id", "level"])
    rated = rated.set_column(2, "level", pa.array([names[level] for level in rated["level"].to_pylist()]))
    for name, rows in ((LOG, shown.filter(~late)), (NEWER, shown.filter(late)), (ITEMS, items), (RATINGS, rated)):
        pyarrow.csv.write_csv(rows, folder / name)


class Shell:
    """Runs commands as a person would, in the folder of the files, and counts the seconds that they had of a core."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed

    def __call__(self, command: str) -> float:
        """`python -m prectr <command>`.

        Returns:
            Seconds of the processor, of all its processes.

        Raises:
            PrectrError: it failed.
        """
        before = _children()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))}
        words = [sys.executable, "-m", "prectr", *shlex.split(command)]
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PrectrError(f"{command}: it ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return _children() - before

    def train(self, name: str, flags: str) -> float:
        return self(f"rank run --profile smoke --name {name} --seed {self.seed} {PASSES} {flags}")

    def distil(self, name: str) -> float:
        return self(f"distill run --profile smoke --name {name} --seed {self.seed}")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(shell: Shell, arguments: WarmStartArguments) -> dict[str, Any]:
    """Both ways, and what they lead to."""
    runs = shell.folder / "artifacts"
    shell(f"data convert table {LOG} --name before {FLAGS}")
    shell.distil("before")
    shell.train("before", f"--epochs {arguments.epochs}")
    # As the documents say: the days go into a copy of the tables, since the old ranker goes on serving.
    shutil.copytree(runs / "before" / "data", runs / "warm_start" / "data")
    seconds: dict[str, dict[str, float]] = {"warm_start": {}, "anew": {}}
    warm, anew = seconds["warm_start"], seconds["anew"]
    warm["convert"] = shell(f"data convert table {NEWER} --append --name warm_start")
    warm["rank"] = shell.train("warm_start", f"--warm_start artifacts/before/ranker --epochs {arguments.more_epochs}")
    anew["convert"] = shell(f"data convert table {LOG} {NEWER} --name anew {FLAGS}")
    anew["distill"] = shell.distil("anew")
    anew["rank"] = shell.train("anew", f"--epochs {arguments.epochs}")
    for name in ("impressions", "behaviours", "items", "pairs"):
        one, other = ((runs / run / "data" / f"{name}.parquet").read_bytes() for run in seconds)
        if one != other:
            raise PrectrError(f"{name}.parquet: appended, it differs from all files converted at once.")
    shell(
        "rank validate --profile smoke --ranker artifacts/before/ranker --log artifacts/anew/data --split test "
        "--report before.json"
    )
    then = json.loads((shell.folder / "before.json").read_text(encoding="utf-8"))["figures"]["auc"]["now"]
    for each in seconds.values():
        each["all"] = sum(each.values())
    auc = {name: _metrics(runs / name)["exposed"]["auc"] for name in seconds}
    return {
        "auc": {"before": then, **auc},
        "difference": difference(runs / "warm_start", runs / "anew"),
        "rows": {"test": _metrics(runs / "anew")["exposed"]["n"]["impressions"]},
        "cpu_seconds": seconds,
    }


def _metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "ranker" / "metrics.json").read_text(encoding="utf-8"))
    return found


def difference(ours: Path, theirs: Path) -> dict[str, Any]:
    """AUC on the test pages, ours minus theirs, with the paired interval over users."""
    rows = read_table(ours / "data", "impressions", ["impression_id", "user_id", "clicked", "split"])
    rows = rows.filter(pc.equal(rows["split"], "test"))
    score = [_scores(run, rows["impression_id"]) for run in (ours, theirs)]
    clicked = rows["clicked"].to_numpy(zero_copy_only=False)
    one, other = (metrics.auc_of_weights(clicked, each) for each in score)

    def gap(weights: np.ndarray) -> float | None:
        left, right = one(weights), other(weights)
        return None if left is None or right is None else left - right

    user = rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    interval = metrics.user_bootstrap(user, gap, resamples=1000, seed=0)
    return {"auc": gap(np.ones(len(clicked))), "ci95": None if interval is None else list(interval)}


def _scores(run: Path, wanted: pa.ChunkedArray) -> np.ndarray:
    """P(click) [n] of the impressions that are named, in their order."""
    found = pq.read_table(run / "ranker" / "predictions.parquet", columns=["impression_id", "split", "p_click"])
    found = found.filter(pc.equal(found["split"], "test"))
    place = pc.index_in(wanted, value_set=found["impression_id"].combine_chunks())
    taken: np.ndarray = found["p_click"].take(place).to_numpy()
    return taken


def mean_of(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Every number as the mean over the seeds."""
    rows = list(found)
    auc = {name: float(np.mean([row["auc"][name] for row in rows])) for name in rows[0]["auc"]}
    seconds = {
        name: {verb: float(np.mean([row["cpu_seconds"][name][verb] for row in rows])) for verb in verbs}
        for name, verbs in rows[0]["cpu_seconds"].items()
    }
    gap = float(np.mean([row["difference"]["auc"] for row in rows]))
    share = seconds["warm_start"]["all"] / seconds["anew"]["all"]
    return {"auc": auc, "difference": gap, "cpu_seconds": seconds, "share_of_seconds": share}


def show(mean: dict[str, Any], path: Path) -> None:
    """Print both ways beside each other."""
    rows: list[list[str | None]] = [["before the days came", f"{mean['auc']['before']:.4f}", None, None]]
    for name, called in (("warm_start", "warm start"), ("anew", "anew on all days")):
        seconds = mean["cpu_seconds"][name]
        told = " · ".join(f"{verb} {value:.0f}" for verb, value in seconds.items() if verb != "all")
        rows.append([called, f"{mean['auc'][name]:.4f}", f"{seconds['all']:.0f}", told])
    table("Days more", ["ranker", "AUC, the same later pages", "CPU seconds", "of which"], rows)
    console.print(f"Warm start - anew: {mean['difference']:+.4f} AUC\n{path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main)
