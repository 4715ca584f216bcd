"""python -m distill run | label | check-teacher | merge-teacher | publish   [--profile smoke|default|full] [--flags]"""

from __future__ import annotations

import warnings
from pathlib import Path

from transformers.utils import logging

from prectr.distill.config import ARGUMENTS
from prectr.distill.pipeline import make_labels, run_stage
from prectr.distill.publishing.model_card import upload
from prectr.distill.teachers.check import check_teacher, example_pairs
from prectr.distill.teachers.dtype import resolved_dtype
from prectr.distill.teachers.lora import merge_teacher
from prectr.distill.teachers.panel import open_teacher
from prectr.distill.workspace import Workspace
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console
from prectr.shared.run.fingerprint import fingerprint_inputs
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import is_finished

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
        upload(Path(run.artifacts) / run.name / "encoder", publishing.repo, publishing.dry_run, publishing.private)
        return
    # Layers left out on purpose would be reported as weights that were not used, and every file read as a bar.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # peft asks transformers by a name that is on its way out, which is nothing users can mend.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
    workspace = Workspace(run, teaching, labelling, training, " ".join(["python -m distill", *argv]))
    if verb == "label":
        label(workspace)
    elif verb == "run":
        run_stage(workspace)
    elif verb == "check-teacher":
        check(workspace)
    else:
        merge(workspace, merging.output)


def label(workspace: Workspace) -> None:
    """convert · teach · label (· assist · label again), and no further.

    Any number of processes may do this together, on one machine or over one shared folder: a second terminal, or
    `accelerate launch --multi_gpu --num_processes 2 -m distill label`. The flag stands for several processes, on a CPU
    too: without it, accelerate starts a single one where there is no GPU.
    """
    make_labels(workspace, workspace.panel([location for location, _ in workspace.convert_teachers()]))


def check(workspace: Workspace) -> None:
    """The teacher as `run` left it if it did so with these settings, else with `teacher_adapter`, else as it comes.

    The job it is to do is that of `label`, all of it: the pairs the strategies find, whatever of them has a label.
    """
    panel = workspace.panel([location for location, _ in workspace.convert_teachers()])
    taught: Path | None = workspace.folder / "teacher"
    if not is_finished(workspace.folder / "teacher", fingerprint_inputs("teach", workspace.teaching_inputs(panel))):
        taught = Path(workspace.teaching.teacher_adapter) if workspace.teaching.teacher_adapter else None
    how = f"as taught in {taught}" if taught else "as it comes: nothing was taught with these settings yet"
    console.print(f"{workspace.teaching.teacher}, {how}", highlight=False, markup=False, soft_wrap=True)
    pairs = example_pairs(workspace.pairs["validation"], workspace.pairs["unlabelled"], workspace.run.seed)
    job_size = len(workspace.choose().pairs)
    check_teacher(
        open_teacher(panel, taught, ""), pairs, workspace.level_names, job_size, workspace.teaching.endpoint_price
    )


def merge(workspace: Workspace, output: str) -> None:
    """The teacher `run` left, or `teacher_adapter` on its base model, as a folder of its own."""
    if not output:
        raise PrectrError("merge-teacher: no folder to write to; name a new one with --output.")
    if [source.role for source in workspace.teacher_sources] != ["causal"]:
        raise PrectrError(f"merge-teacher: --teacher {workspace.teaching.teacher} is not one causal model; name one.")
    adapter = Path(workspace.teaching.teacher_adapter or workspace.folder / "teacher")
    [(location, _)] = workspace.convert_teachers()
    merge_teacher(location, adapter, Path(output), resolved_dtype(workspace.teaching))
    console.print(f"✓ {output}: open it with --teacher {output} --teacher_pairs 0", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main, together=("run", "label"))
