"""Seeds of the ranker and of variants of it, one switch each, against LightGBM on the same seeds.

    python -m benchmarks.run [--profile default] [--seeds 0 1 2] [--variants full no_debias | all] [flags of stage two]

A run is `python -m rank run` in its own folder, artifacts/bench/<name>/<variant>-seed<k>/. What a seed or a variant
does not change lies there as a link: tables, encoder, level_prob and behaviours of artifacts/<name>/, features and
LightGBM of the same seed's `full`. A run that is finished is not done again, so a killed benchmark continues.
"""

import difflib
import json
import subprocess
import sys
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from transformers import HfArgumentParser

from benchmarks.provenance import machine, today
from data.contract import read_table
from rank.__main__ import CONFIGS
from rank.config import ARGUMENTS
from rank.run import build_behaviours
from rank.stage import Stage
from shared.cli import run_main
from shared.config import PrectrError, parse_arguments
from shared.console import console, progress, progress_bar, table
from shared.metrics import WeightedMetric, auc_of_weights, household_bootstrap
from shared.seeds import generator
from shared.steps import atomic_write, fingerprint_of

REFERENCE = "full"
RIVAL = "lightgbm"
VARIANTS: dict[str, tuple[str, ...]] = {
    REFERENCE: (),
    "no_user_preference": ("--user_preference", "false"),
    "no_cross_preference": ("--cross_preference", "false"),
    "no_incentive": ("--incentive", "none"),
    "no_consistency": ("--consistency_weight", "0"),
    "no_debias": ("--debias_weight", "0"),
    # Warm-up trains nothing but the encoder's level module.
    "frozen_encoder": ("--encoder_learning_rate", "0", "--warmup_share", "0"),
    # Relevance loss, warm-up and the default noise live on replayed pairs, so they go with them; compare the last one
    # with noise_isotropic.
    "no_replay": ("--replay_share", "0", "--relevance_weight", "0", "--warmup_share", "0", "--noise", "isotropic"),
    "no_warmup": ("--warmup_share", "0"),
    "tau_outside": ("--incentive", "outside"),
    "ordinal_head": ("--ordinal_head", "true"),
    "stop_gradient": ("--click_trains_level", "false"),
    "noise_isotropic": ("--noise", "isotropic"),
    "noise_covariance": ("--noise", "covariance"),
}
"""What stage two is told in each variant, beyond the profile. None changes the features: they are shared."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "exposed": ("auc", "gauc_page", "logloss", "pcoc", "ece"),
    "open": ("ndcg@10", "auc", "excess_low@10"),
}

Figures = dict[str, list[float | None]]


@dataclass
class BenchArguments:
    """What is run; every other flag is handed on to `python -m rank run`."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "seeds of stage two and of LightGBM"})
    variants: list[str] = field(
        default_factory=lambda: [REFERENCE], metadata={"help": f"of {', '.join(VARIANTS)}; or all. full always runs"}
    )
    resamples: int = field(default=500, metadata={"help": "resamples of households and seeds behind the intervals"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of ranker_<name>.json"})


@dataclass(frozen=True)
class Run:
    """One training of stage two: a variant and a seed, in a folder of its own."""

    variant: str
    seed: int
    bench: Path

    @property
    def name(self) -> str:
        return f"{self.variant}-seed{self.seed}"

    @property
    def folder(self) -> Path:
        return self.bench / self.name

    def command(self, flags: Sequence[str]) -> list[str]:
        """The run's command line; of a flag that stands twice, the last one counts."""
        where = ["--artifacts", str(self.bench), "--name", self.name, "--seed", str(self.seed)]
        return [sys.executable, "-m", "rank", "run", *flags, *where, *VARIANTS[self.variant]]

    def metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = json.loads((self.folder / "ranker" / "metrics.json").read_text(encoding="utf-8"))
        return metrics


def main(argv: list[str]) -> None:
    arguments, flags = read_arguments(argv)
    settings = (*parse_arguments(ARGUMENTS, CONFIGS, flags), "python -m rank run")
    stage = Stage(*settings)
    build_behaviours(stage)
    bench = Path(stage.run.artifacts) / "bench" / stage.run.name
    runs = {variant: [Run(variant, seed, bench) for seed in arguments.seeds] for variant in arguments.variants}
    run_all([run for seeds in runs.values() for run in seeds], stage, flags)
    result = {
        **describe(" ".join(["python -m benchmarks.run", *argv]), runs),
        "seeds": arguments.seeds,
        "systems": collect(runs),
        "differences": compare(runs, stage.data, arguments.resamples),
    }
    path = Path(arguments.results) / f"ranker_{stage.run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result, path)


def read_arguments(argv: Sequence[str]) -> tuple[BenchArguments, list[str]]:
    """The benchmark's own arguments, and the flags that go to stage two; `PrectrError` if either cannot be run."""
    # Without abbreviations, or stage two's --seed would pass for --seeds.
    parser = HfArgumentParser(
        BenchArguments,  # type: ignore[arg-type]  # its annotation asks for an instance of DataClassType
        prog="python -m benchmarks.run",
        epilog="Any other flag is one of `python -m rank run`, such as --profile or --epochs, and holds for every run.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    try:
        arguments, flags = parser.parse_args_into_dataclasses(
            list(argv), return_remaining_strings=True, look_for_args_file=False
        )
    except ArgumentError as error:
        raise PrectrError(f"command line: {error}.") from None
    if any(flag.split("=")[0] == "--seed" for flag in flags):
        raise PrectrError("command line: --seed is set for every run from --seeds; write --seeds 0 1 2.")
    if len(set(arguments.seeds)) < len(arguments.seeds):
        raise PrectrError(f"command line: --seeds {' '.join(map(str, arguments.seeds))} names a seed twice.")
    arguments.variants = choose(arguments.variants)
    for variant in arguments.variants:  # a setting that a variant forbids shows now, not after hours
        parse_arguments(ARGUMENTS, CONFIGS, [*flags, *VARIANTS[variant]])
    return arguments, flags


def choose(names: Sequence[str]) -> list[str]:
    """The variants asked for in the order of `VARIANTS`; `full` is always one, for the others are compared with it."""
    for name in names:
        if name not in (*VARIANTS, "all"):
            closest = difflib.get_close_matches(name, VARIANTS, n=1, cutoff=0.0)[0]
            raise PrectrError(
                f"unknown variant {name!r}; did you mean {closest!r}? There are {', '.join(VARIANTS)}, and all."
            )
    return [name for name in VARIANTS if name == REFERENCE or name in names or "all" in names]


def run_all(runs: Sequence[Run], stage: Stage, flags: Sequence[str]) -> None:
    """Train every run, one after the other; `full` comes first, since the others borrow from it."""
    with progress_bar("benchmark", len(runs), "runs") as advance:
        for number, run in enumerate(runs, start=1):
            link_inputs(run, stage)
            log = run.folder / "run.log"
            console.print(f"▸ {run.name} ({number} of {len(runs)}); its output: {log}", highlight=False, soft_wrap=True)
            with log.open("a", encoding="utf-8") as output:
                code = subprocess.run(run.command(flags), stdout=output, stderr=subprocess.STDOUT).returncode
            if code:
                last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
                raise PrectrError(f"{run.name} failed, exit code {code} ({''.join(last)}); see {log}.")
            advance(1)


def link_inputs(run: Run, stage: Stage) -> None:
    """Put links into the run's folder to whatever it shares with other runs."""
    run.folder.mkdir(parents=True, exist_ok=True)
    shared = {name: stage.folder / name for name in ("data", "level_prob", "behaviours")} | {"encoder": stage.encoder}
    if run.variant != REFERENCE:
        reference = Run(REFERENCE, run.seed, run.bench).folder
        shared |= {name: reference / name for name in ("features", "lightgbm")}
    for name, target in shared.items():
        fingerprint_of(target)  # is it finished?
        _link(run.folder / name, target.resolve())


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    elif link.exists():
        raise PrectrError(f"{link} is in the way of a link to {target}; remove it.")
    link.symlink_to(target, target_is_directory=True)


def figures(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """A system's part of metrics.json, flat: `exposed auc`, `open ndcg@10`, `new_users 0`, …"""
    flat = {f"{section} {name}": metrics[section][name] for section, names in SECTIONS.items() for name in names}
    return flat | {f"new_users {rung}": value for rung, value in metrics["new_users"].items()}


def collect(runs: Mapping[str, Sequence[Run]]) -> dict[str, Figures]:
    """{system: {metric: [a figure per seed]}}: every variant, and LightGBM."""
    found = {variant: [figures(run.metrics()) for run in seeds] for variant, seeds in runs.items()}
    found[RIVAL] = [figures(run.metrics()[RIVAL]) for run in runs[REFERENCE]]
    return {system: {name: [one[name] for one in seeds] for name in seeds[0]} for system, seeds in found.items()}


def compare(runs: Mapping[str, Sequence[Run]], data: Path, resamples: int) -> dict[str, dict[str, Any]]:
    """Exposed AUC of every variant minus LightGBM's and minus `full`'s, seed by seed on the same impressions.

    Returns:
        {"no_debias - full": {"exposed auc": {"per_seed": [seeds], "mean": …, "ci95": [low, high]}}}
    """
    exposed = {variant: [read_exposed(run.folder / "ranker") for run in seeds] for variant, seeds in runs.items()}
    first = exposed[REFERENCE][0]
    for variant, tables in exposed.items():
        for run, rows in zip(runs[variant], tables, strict=True):
            if rows.select(["impression_id", "clicked"]) != first.select(["impression_id", "clicked"]):
                raise PrectrError(f"{run.folder} judged other impressions than {runs[REFERENCE][0].folder}; remove it.")
    users = read_users(first, data)
    clicked = first["clicked"].to_numpy()
    scores = {variant: [rows["p_click"].to_numpy() for rows in tables] for variant, tables in exposed.items()}
    scores[RIVAL] = [rows["p_click_lightgbm"].to_numpy() for rows in exposed[REFERENCE]]
    pairs = [(variant, other) for other in (RIVAL, REFERENCE) for variant in runs if variant != other]
    return {
        f"{one} - {other}": {"exposed auc": difference(clicked, users, scores[one], scores[other], resamples)}
        for one, other in progress(pairs, "intervals", unit="differences")
    }


def read_exposed(ranker: Path) -> pa.Table:
    """Both systems' predictions on the exposed impressions of the test weeks, by impression_id."""
    columns = ["impression_id", "clicked", "p_click", "p_click_lightgbm"]
    path = ranker / "predictions.parquet"
    return pq.read_table(path, columns=columns, filters=[("split", "=", "test")]).sort_by("impression_id")


def read_users(exposed: pa.Table, data: Path) -> np.ndarray:
    """The household of each exposed impression [n]."""
    impressions = read_table(data, "impressions", ["impression_id", "user_id", "split"])
    impressions = impressions.filter(pc.field("split") == "test")
    row = pc.index_in(exposed["impression_id"], value_set=impressions["impression_id"].combine_chunks())
    if row.null_count:
        raise PrectrError(f"{row.null_count} judged impressions are not in {data}; run `make rank`, then this again.")
    users: np.ndarray = impressions["user_id"].take(row).to_numpy()
    return users


def difference(
    clicked: np.ndarray,
    users: np.ndarray,
    one: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    resamples: int,
) -> dict[str, Any]:
    """AUC of `one` minus `other`, paired by seed, with the interval over households and seeds together.

    Args:
        clicked, users: [n]. one, other: for each seed the scores [n].

    Returns:
        per_seed, their mean, and ci95: percentiles when households, and seeds apart from them, are drawn with
        replacement.
    """
    gaps = [_gap(auc_of_weights(clicked, a), auc_of_weights(clicked, b)) for a, b in zip(one, other, strict=True)]
    draws = generator(0, "seeds of a benchmark")

    def mean_gap(weights: np.ndarray) -> float | None:
        drawn, times = np.unique(draws.integers(len(gaps), size=len(gaps)), return_counts=True)
        values = [gaps[seed](weights) for seed in drawn]
        return float(np.average(np.array(values, float), weights=times)) if None not in values else None

    per_seed = [gap(np.ones(len(clicked))) for gap in gaps]
    interval = household_bootstrap(users, mean_gap, resamples=resamples)
    return {"per_seed": per_seed, "mean": mean_of(per_seed), "ci95": None if interval is None else list(interval)}


def _gap(one: WeightedMetric, other: WeightedMetric) -> WeightedMetric:
    def gap(weights: np.ndarray) -> float | None:
        a, b = one(weights), other(weights)
        return None if a is None or b is None else a - b

    return gap


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None if the figure is undefined for one of them."""
    return None if None in values else float(np.mean(np.array(values, float)))


def describe(command: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """How, when, where and on what the figures came to be; the commit is the runs' own, not the one checked out now."""
    metrics = [run.metrics() for seeds in runs.values() for run in seeds]
    counts = {section: metrics[0][section]["n"] for section in SECTIONS} | {"new_users": metrics[0]["new_users_n"]}
    return {
        "command": command,
        "commit": ", ".join(sorted({one["git_commit"] or "unknown" for one in metrics})),
        "date": today(),
        "machine": machine(),
        "reconstructed": metrics[0]["reconstructed"],
        "n": counts,
    }


def show(result: Mapping[str, Any], path: Path) -> None:
    """Print the results as tables."""
    note, seeds = result["reconstructed"], len(result["seeds"])
    over = "one seed" if seeds == 1 else f"mean ± sd over {seeds} seeds"
    titles = {
        "exposed": "Exposed pages, test weeks",
        "open": "Open candidates: everything on sale in the category and others, shown or not",
        "new_users": "New users: AUC when only the last n pages of an unseen household are known",
    }
    for section, title in titles.items():
        names = [name for name in result["systems"][RIVAL] if name.startswith(f"{section} ")]
        n = ", ".join(f"{count:,} {what}" for what, count in result["n"][section].items())
        table(
            f"{title} ({over})",
            ["system", *(name.removeprefix(f"{section} ") for name in names)],
            [[system, *(_spread(parts[name]) for name in names)] for system, parts in result["systems"].items()],
            f"{n}. {note}",
        )
    table(
        "Paired differences of the exposed AUC",
        ["difference", "mean", "95 % interval", *(f"seed {seed}" for seed in result["seeds"])],
        [[pair, *_difference_cells(part["exposed auc"])] for pair, part in result["differences"].items()],
        f"Intervals: households drawn with replacement, crossed with seeds. {note}",
    )
    on = "{cpu}, {cores} cores, {memory_gib} GiB".format(**result["machine"])
    facts = f"commit {result['commit']} · {result['date']} · {on}"
    console.print(f"{facts} · {result['command']}\nFigures of every seed: {path}", highlight=False, soft_wrap=True)


def _spread(values: Sequence[float | None]) -> str:
    mean = mean_of(values)
    if mean is None:
        return "–"
    return f"{mean:.4f} ± {np.std(np.array(values, float), ddof=1):.4f}" if len(values) > 1 else f"{mean:.4f}"


def _difference_cells(part: Mapping[str, Any]) -> list[str]:
    signed = ["–" if value is None else f"{value:+.4f}" for value in (part["mean"], *part["per_seed"])]
    interval = "–" if part["ci95"] is None else "[{:+.4f}, {:+.4f}]".format(*part["ci95"])
    return [signed[0], interval, *signed[1:]]


if __name__ == "__main__":
    run_main(main)
