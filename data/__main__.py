"""`python -m data build [--profile NAME] [--seed N]` builds a data set, `python -m data convert FORMAT SOURCE...` makes
one of somebody's files, `python -m data validate FOLDER` checks one, `python -m data check FOLDER` says besides what it
allows."""

from __future__ import annotations

import sys
from pathlib import Path

from prectr.data.checks.advice import check, parse
from prectr.data.checks.validate import validate
from prectr.data.config import ARGUMENTS, CONFIG_DIR
from prectr.data.converters.convert import convert
from prectr.data.finished import say_if_finished
from prectr.data.pipeline import build
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console
from prectr.shared.run.settings import parse_arguments

USAGE = (
    "usage: python -m data build [--profile smoke|default|full] [--SETTING VALUE]... | python -m data convert FORMAT "
    "SOURCE... --name NAME [--FLAG VALUE]... | python -m data validate FOLDER | python -m data check FOLDER"
)


def main(argv: list[str]) -> None:
    match argv:
        case ["build", *flags]:
            (arguments,) = parse_arguments(ARGUMENTS, CONFIG_DIR, flags, program="python -m data build")
            if not say_if_finished(arguments):
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


if __name__ == "__main__":
    sys.exit(run_main(main))
