"""What the verbs beside `run` do: label, check-teacher, merge-teacher."""

from __future__ import annotations

from pathlib import Path

from prectr.distill.pipeline import make_labels
from prectr.distill.teachers.check import check_teacher, example_pairs
from prectr.distill.teachers.dtype import resolved_dtype
from prectr.distill.teachers.lora import merge_teacher
from prectr.distill.teachers.panel import open_teacher
from prectr.distill.workspace import Workspace
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.run.steps import is_made_of, require_whole


def label(workspace: Workspace) -> None:
    """convert · teach · choose · label (· assist · label again), and no further.

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
    if not is_made_of(workspace.folder / "teacher", workspace.teaching_inputs(panel)):
        taught = Path(workspace.teaching.teacher_adapter).expanduser() if workspace.teaching.teacher_adapter else None
    else:
        require_whole(workspace.folder / "teacher")  # without its adapter, it would be asked as it comes
    how = f"as taught in {taught}" if taught else "as it comes: nothing was taught with these settings yet"
    print_line(f"{workspace.teaching.teacher}, {how}")
    pairs = example_pairs(workspace.pairs["validation"], workspace.pairs["unlabelled"], workspace.run.seed)
    job_size = len(workspace.choose().pairs)
    check_teacher(
        open_teacher(panel, taught, ""), pairs, workspace.level_names, job_size, workspace.teaching.endpoint_price
    )


def merge(workspace: Workspace, output: str) -> None:
    """The teacher `run` left, or `teacher_adapter` on its base model, as a folder of its own."""
    if [source.role for source in workspace.teacher_sources] != ["causal"]:
        raise PrectrError(f"merge-teacher: --teacher {workspace.teaching.teacher} is not one causal model; name one.")
    given = workspace.teaching.teacher_adapter
    adapter = Path(given).expanduser() if given else workspace.folder / "teacher"
    if not given:
        require_whole(adapter)
    [(location, _)] = workspace.convert_teachers()
    merge_teacher(location, adapter, Path(output), resolved_dtype(workspace.teaching))
    print_line(f"✓ {output}: open it with --teacher {output} --teacher_pairs 0")
