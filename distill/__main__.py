"""python -m distill run | label | check-teacher | merge-teacher | publish   [--profile smoke|default|full] [--flags]"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from prectr.distill.commands import check, label, merge
from prectr.distill.config import ARGUMENTS, RunArguments
from prectr.distill.finished import say_if_finished
from prectr.distill.pipeline import run_stage
from prectr.distill.publishing.dataset_card import upload_dataset
from prectr.distill.publishing.model_card import upload
from prectr.distill.workspace import Workspace
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.provenance import shareable_command
from prectr.shared.run.settings import parse_arguments

VERBS = ("run", "label", "check-teacher", "merge-teacher", "publish")
CONFIGS = Path(__file__).parent / "configs"


def main(argv: list[str]) -> None:
    verb, *flags = argv or ["--help"]
    if verb not in (*VERBS, "-h", "--help"):
        raise PrectrError(f"python -m distill {verb}: unknown verb; use {', '.join(VERBS)}.")
    program = f"python -m distill {verb if verb in VERBS else 'VERB'}"
    arguments = parse_arguments(
        ARGUMENTS, CONFIGS, flags if verb in VERBS else argv, program=program, description=__doc__
    )
    run, teaching, labelling, training, publishing, merging = arguments
    if verb == "publish":
        folder, where = Path(run.artifacts) / run.name, (publishing.repo, publishing.dry_run, publishing.private)
        if publishing.what == "encoder":
            upload(folder / "encoder", *where)
        else:
            upload_dataset(folder, publishing.what, *where)
        return
    if verb == "run" and already_finished(run, (run, teaching, labelling, training)):
        return
    # Layers left out on purpose would be reported as weights that were not used, and every file read as a bar.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # peft asks transformers by a name that is on its way out, which is nothing users can mend.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    workspace = Workspace(run, teaching, labelling, training, shareable_command("python -m distill", argv))
    if verb == "label":
        label(workspace)
    elif verb == "run":
        run_stage(workspace)
    elif verb == "check-teacher":
        check(workspace)
    else:
        merge(workspace, merging.output)


def already_finished(run: RunArguments, settings: Sequence[Any]) -> bool:
    """Whether a run with these settings has nothing to do; then it has been said."""
    return say_if_finished(run.name, run.artifacts, settings)


if __name__ == "__main__":
    run_main(main, together=("run", "label"))
