"""`python -m data build [--profile NAME] [--seed N]` builds a data set, `python -m data convert FORMAT SOURCE...` makes
one of somebody's files, `python -m data validate FOLDER` checks one, `python -m data check FOLDER` says besides what it
allows."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from prectr.data import report, toy
from prectr.data.checks.advice import check, parse
from prectr.data.checks.validate import validate
from prectr.data.config import ARGUMENTS, CONFIG_DIR, DataArguments
from prectr.data.converters.convert import convert
from prectr.data.journey import build as journey
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import run_step

RECIPE = 3
"""Raised whenever the tables made from the same settings change, so that old ones are rebuilt."""

RECONSTRUCTED = {
    "journey": "Queries, pages (hence clicks and CTR) and relevance levels are reconstructed: see data/README.md.",
    "toy": "The toy shop is generated from beginning to end.",
}
"""What every figure made from a source says of it."""

USAGE = (
    "usage: python -m data build [--profile smoke|default|full] [--SETTING VALUE]... | python -m data convert FORMAT "
    "SOURCE... --name NAME [--FLAG VALUE]... | python -m data validate FOLDER | python -m data check FOLDER"
)


def main(argv: list[str]) -> None:
    match argv:
        case ["build", *flags]:
            (arguments,) = parse_arguments(ARGUMENTS, CONFIG_DIR, flags, program="python -m data build")
            build(arguments)
        case ["convert", *rest]:
            convert(rest)
        case ["check", *flags]:
            check(parse(flags))
        case ["validate", folder]:
            validate(Path(folder))
            console.print(f"{folder} keeps the contract.")
        case ["-h" | "--help"]:
            console.print(USAGE)
        case _:
            raise PrectrError(USAGE)


def build(arguments: DataArguments) -> None:
    """Build the data set unless it is there already, then print what it holds."""
    folder = Path(arguments.artifacts) / arguments.name / "data"
    inputs = {
        name: value
        for name, value in asdict(arguments).items()
        if name not in ("artifacts", "phrasebook", "raw_folder")
    }
    inputs["recipe"] = RECIPE
    if arguments.source == "journey":
        inputs["phrasebook"] = file_fingerprint(Path(arguments.phrasebook))
        inputs["raw_folder"] = arguments.raw_folder

    def make(work: Path) -> None:
        level_mix = None
        if arguments.source == "journey":
            level_mix = journey.build(work, arguments)
        else:
            toy.build(work, arguments.seed, arguments.households or 60, train_pages=arguments.train_pages or 200)
        validate(work)
        report.write_summary(work, level_mix, RECONSTRUCTED[arguments.source])

    run_step("data", folder, inputs, make)
    report.show(folder)


if __name__ == "__main__":
    sys.exit(run_main(main))
