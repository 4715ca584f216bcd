"""python -m rank run | table | publish   [--profile smoke|default|full] [--seed N] [--encoder FOLDER] …"""

from pathlib import Path

from transformers.utils import logging

from rank.config import ARGUMENTS, PUBLISH_ARGUMENTS
from rank.publish import upload
from rank.run import run_stage, show_results
from rank.stage import Stage
from shared.cli import run_main
from shared.config import PrectrError, parse_arguments

CONFIGS = Path(__file__).parent / "configs"
VERBS = ("run", "table", "publish")


def main(argv: list[str]) -> None:
    verb, *flags = argv or ["--help"]
    if verb not in (*VERBS, "-h", "--help"):
        raise PrectrError(f"python -m rank {verb}: unknown verb; use run, table or publish.")
    program = f"python -m rank {verb}"
    classes = PUBLISH_ARGUMENTS if verb == "publish" else ARGUMENTS
    arguments = parse_arguments(classes, CONFIGS, flags if verb in VERBS else argv, program=program)
    if verb == "publish":
        run, *_, publishing = arguments
        upload(Path(run.artifacts) / run.name / "ranker", publishing.repo, publishing.dry_run)
        return
    logging.set_verbosity_error()
    stage = Stage(*arguments)
    stage.command = " ".join(["python -m rank", *argv])
    if verb == "run":
        run_stage(stage)
    else:
        show_results(stage)


if __name__ == "__main__":
    run_main(main)
