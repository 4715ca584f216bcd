"""python -m rank run | table | report | publish | score | explain | validate   [--profile NAME] [--SETTING …] …"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from prectr.rank.config import (
    ARGUMENTS,
    PUBLISH_ARGUMENTS,
    EvaluateArguments,
    LossArguments,
    RunArguments,
    TrainArguments,
)
from prectr.rank.finished import show_if_finished
from prectr.rank.pipeline import report, run_stage
from prectr.rank.reports.model_card import upload
from prectr.rank.reports.terminal import show_results
from prectr.rank.serving.explain import ExplainArguments, explain
from prectr.rank.serving.score_table import ScoreArguments, score
from prectr.rank.serving.scorer import DataArguments, RankerArguments
from prectr.rank.serving.validate import DriftArguments, validate
from prectr.rank.workspace import Workspace
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.provenance import shareable_command
from prectr.shared.run.settings import parse_arguments

CONFIGS = Path(__file__).parent / "configs"
VERBS: dict[str, tuple[type[Any], ...]] = {
    "run": ARGUMENTS,
    "table": ARGUMENTS,
    "report": ARGUMENTS,
    "publish": PUBLISH_ARGUMENTS,
    "score": (*ARGUMENTS, RankerArguments, DataArguments, ScoreArguments),
    "explain": (*ARGUMENTS, RankerArguments, DataArguments, ExplainArguments),
    "validate": (*ARGUMENTS, RankerArguments, DriftArguments),
}
"""Each verb, and the settings it takes: those of `run`, from the same profiles, and its own."""


def main(argv: list[str]) -> None:
    verb, *flags = argv or ["--help"]
    if verb not in (*VERBS, "-h", "--help"):
        *others, last = VERBS
        raise PrectrError(f"python -m rank {verb}: unknown verb; use {', '.join(others)} or {last}.")
    classes = VERBS.get(verb, ARGUMENTS)
    program = f"python -m rank {verb if verb in VERBS else 'VERB'}"
    settings = parse_arguments(classes, CONFIGS, flags if verb in VERBS else argv, program=program, description=__doc__)
    given = {type(each): each for each in settings}
    run = given[RunArguments]
    if verb == "publish":
        *_, publishing = settings
        upload(Path(run.artifacts) / run.name / "ranker", publishing.repo, publishing.dry_run, publishing.private)
        return
    if verb == "run" and already_finished(run, settings):
        return
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if verb in ("run", "table", "report"):
        workspace = Workspace(*settings)
        workspace.command = shareable_command("python -m rank", argv)
        if verb == "run":
            run_stage(workspace)
        else:
            {"table": show_results, "report": report}[verb](workspace.folder)
        return
    scoring = (given[TrainArguments].bf16, given[EvaluateArguments].evaluation_batch)
    if verb == "validate":
        judging = (given[EvaluateArguments].bootstrap_resamples, given[LossArguments].negative_sampling_rate)
        validate(run, given[RankerArguments], *scoring, *judging, given[DriftArguments])
    elif verb == "score":
        score(run, given[RankerArguments], given[DataArguments], *scoring, given[ScoreArguments])
    else:
        explain(run, given[RankerArguments], given[DataArguments], *scoring, given[ExplainArguments])


def already_finished(run: RunArguments, settings: Sequence[Any]) -> bool:
    """Whether a run with these settings has nothing to do; then its results have been shown."""
    return show_if_finished(run.name, run.artifacts, settings)


if __name__ == "__main__":
    run_main(main, together=("run",))
