"""python -m distill run | publish   [--profile smoke|default|full] [--seed N] [--teacher X] …"""

from __future__ import annotations

from pathlib import Path

from transformers.utils import logging

from distill.config import ARGUMENTS
from distill.publish import upload
from distill.run import Stage, run_stage
from shared.cli import run_main
from shared.config import PrectrError, parse_arguments

CONFIGS = Path(__file__).parent / "configs"


def main(argv: list[str]) -> None:
    verb, *flags = argv or ["--help"]
    if verb not in ("run", "publish", "-h", "--help"):
        raise PrectrError(f"python -m distill {verb}: unknown verb; use run or publish.")
    arguments = parse_arguments(
        ARGUMENTS, CONFIGS, flags if verb in ("run", "publish") else argv, program=f"python -m distill {verb}"
    )
    run, teaching, labelling, training, publishing = arguments
    if verb == "publish":
        upload(Path(run.artifacts) / run.name / "encoder", publishing.repo, publishing.dry_run)
        return
    # Layers left out on purpose would be reported as weights that were not used, and every file read as a bar.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    run_stage(Stage(run, teaching, labelling, training))


if __name__ == "__main__":
    run_main(main)
