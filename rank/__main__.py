"""python -m rank run | table   [--profile smoke|default|full] [--seed N] [--encoder FOLDER] …"""

from pathlib import Path

from transformers.utils import logging

from rank.config import ARGUMENTS
from rank.run import run_stage, show_results
from rank.stage import Stage
from shared.cli import run_main
from shared.config import PrectrError, parse_arguments

CONFIGS = Path(__file__).parent / "configs"


def main(argv: list[str]) -> None:
    verb, *flags = argv or ["--help"]
    if verb not in ("run", "table", "-h", "--help"):
        raise PrectrError(f"python -m rank {verb}: unknown verb; use run or table.")
    program = f"python -m rank {verb}"
    arguments = parse_arguments(ARGUMENTS, CONFIGS, flags if verb in ("run", "table") else argv, program=program)
    logging.set_verbosity_error()
    stage = Stage(*arguments)
    stage.command = " ".join(["python -m rank", *argv])
    if verb == "run":
        run_stage(stage)
    else:
        show_results(stage)


if __name__ == "__main__":
    run_main(main)
