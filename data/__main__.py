"""`python -m data VERB`: the commands about tables. What does the work is imported when the arguments are right."""

from __future__ import annotations

from typing import NoReturn

from prectr.data.config import ARGUMENTS, CONFIG_DIR, CheckArguments, CopyArguments, DataArguments, FolderArguments
from prectr.shared.run.cli import run_main
from prectr.shared.run.verbs import Command, Stage, Verb
from prectr.shared.store.at_hand import at_hand, here

STAGE = Stage(
    "data",
    "Tables: build the default ones, make them of your own files, check them.",
    {
        "build": Verb("build a data set, the default one or a toy", ARGUMENTS),
        "convert": Verb("make a data set of somebody's files", takes="FORMAT SOURCE..."),
        "fetch": Verb(
            "copy tables from elsewhere, such as s3://bucket/folder", (FolderArguments, CopyArguments), False, "FOLDER"
        ),
        "validate": Verb("say whether a folder keeps the contract", (FolderArguments,), False, "FOLDER"),
        "check": Verb(
            "say what a data set allows, what is missing, and what to expect",
            (FolderArguments, CheckArguments),
            False,
            "FOLDER",
        ),
    },
    CONFIG_DIR,
)


def main(argv: list[str]) -> None:
    if STAGE.verb(argv) == "convert":  # its formats have settings of their own
        from prectr.data.converters.arguments.command import read_conversion

        conversion = read_conversion(argv[1:])
        from prectr.data.converters.convert import convert

        with at_hand(conversion.settings.values()):
            convert(conversion)
        return
    command = STAGE.read(argv)
    with at_hand(command.settings.values()):
        if command.verb != "build" or not already_finished(command):
            work(command)


def already_finished(command: Command) -> bool:
    """Whether the data set was built before with these settings; then it has been said."""
    from prectr.data.finished import say_if_finished

    return say_if_finished(command[DataArguments])


def work(command: Command) -> None:
    """Do what was asked for; the libraries that it takes are loaded here."""
    if command.verb == "build":
        from prectr.data.pipeline import build

        build(command[DataArguments])
        return
    if command.verb == "fetch":
        from prectr.data.copied import copy_tables

        copy_tables(command[FolderArguments].folder, command[CopyArguments])
        return
    folder = here(command[FolderArguments].folder)
    if command.verb == "check":
        from prectr.data.checks.advice import check

        check(folder, command[CheckArguments])
        return
    from prectr.data.checks.validate import validate
    from prectr.shared.run.console import console

    validate(folder)
    console.print(f"{folder} keeps the contract.")


def run() -> NoReturn:
    """The command line, as a process."""
    run_main(main)


if __name__ == "__main__":
    run()
