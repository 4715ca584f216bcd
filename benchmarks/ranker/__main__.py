"""The ranker against its rivals and its own parts: trains whatever is missing and writes every figure.

    python -m benchmarks.ranker [--profile default] [--seeds 0 1 2] [--systems lightgbm din | all] [flags of stage two]

Each training has its own folder, artifacts/bench/<name>/<system>-seed<k>/. What a seed or a system does not change
lies there as a link: of artifacts/<name>/ the tables, the encoder, what it says of logged pairs and of texts, the log
and the features of pairs; of the same seed's `prectr_v2` features and LightGBM; `random_encoder` shares the tables
alone. One training runs at a time, or `--jobs` of them, each on its share of the cores. What is finished is not done
again, so a killed comparison continues.
The figures go to benchmarks/results/ranker_<name>.json and into artifacts/<name>/report.html.
"""

import json
import shutil
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser
from transformers.utils import logging

from benchmarks.ranker.cell import Cell
from benchmarks.ranker.plan import run_all
from benchmarks.ranker.results import compute_results
from benchmarks.ranker.systems import DEFAULT, SYSTEMS, choose, flags_in
from benchmarks.ranker.tables import show
from prectr.rank.__main__ import CONFIGS
from prectr.rank.config import ARGUMENTS
from prectr.rank.pipeline import build_inputs, build_pair_features
from prectr.rank.reports.html import BENCH, write_report
from prectr.rank.workspace import JUDGED_PAIR_FEATURES, PAIR_FEATURES, Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.provenance import shareable_command
from prectr.shared.run.settings import parse_arguments

BUDGET = Path(__file__).parents[1] / "configs" / "ranker.yaml"


@dataclass
class BenchArguments:
    """What is run; every other flag is one of `python -m rank run` and holds for every system."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "seeds of every system"})
    systems: list[str] = field(
        default_factory=lambda: list(DEFAULT),
        metadata={"help": f"of {', '.join(SYSTEMS)}; or all. prectr_v2 always runs"},
    )
    jobs: int = field(
        default=1, metadata={"help": "trainings at a time, each on its share of the cores; seconds are told of one"}
    )
    resamples: int = field(default=500, metadata={"help": "resamples of users and seeds behind the intervals"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of ranker_<name>.json"})


def main(argv: list[str]) -> None:
    arguments, flags = read_arguments(argv)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    home = Workspace(*parse_arguments(ARGUMENTS, CONFIGS, flags))
    bench = Path(home.run.artifacts) / "bench" / home.run.name
    cells = [Cell(system, seed, bench, tuple(flags)) for system in arguments.systems for seed in arguments.seeds]
    build_inputs(home)
    for name in (PAIR_FEATURES, JUDGED_PAIR_FEATURES):
        build_pair_features(home, name)
    run_all(cells, home, arguments.jobs)
    result = compute_results(shareable_command("python -m benchmarks.ranker", argv), cells, arguments.resamples)
    path = Path(arguments.results) / f"ranker_{home.run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    with atomic_write(home.folder / BENCH) as temporary:
        shutil.copyfile(path, temporary)
    show(result, path, write_report(home.folder))


def read_arguments(argv: Sequence[str]) -> tuple[BenchArguments, list[str]]:
    """The comparison's own arguments, and the flags that every system gets: the budget's, then those given.

    Raises:
        PrectrError: settings that cannot be run, of the comparison or of a system's stage two.
    """
    # Without abbreviations, or stage two's --seed would pass for --seeds.
    parser = HfArgumentParser(
        BenchArguments,  # type: ignore[arg-type]  # its annotation asks for an instance of DataClassType
        prog="python -m benchmarks.ranker",
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
    if arguments.resamples < 1:
        raise PrectrError(f"command line: --resamples is {arguments.resamples}; give 1 or more.")
    if arguments.jobs < 1:
        raise PrectrError(f"command line: --jobs is {arguments.jobs}; give 1 or more.")
    together = [*flags_in(BUDGET), *flags]
    arguments.systems = choose(arguments.systems)
    for system in arguments.systems:  # a setting that a system forbids shows now, not after hours
        Cell(system, arguments.seeds[0], Path(), tuple(together)).settings()
    return arguments, together


if __name__ == "__main__":
    run_main(main)
