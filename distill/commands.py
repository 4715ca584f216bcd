"""What the verbs beside `run` do: label, check-teacher, merge-teacher."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from prectr.distill.choosing.candidates import ask_all, recommendation, show_candidates
from prectr.distill.choosing.likeness import LIKENESS, grow_likeness, pairs_of_rivals
from prectr.distill.pipeline import make_labels
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.check import check_teacher, example_pairs
from prectr.distill.teachers.dtype import resolved_dtype
from prectr.distill.teachers.lora import merge_teacher
from prectr.distill.teachers.panel import Panel, open_member, open_teacher, sheet_of
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
    job_size = len(workspace.choose().pairs)
    if len(panel.sources) > 1:
        check_several(workspace, panel, taught, job_size)
        return
    pairs = example_pairs(workspace.pairs["validation"], workspace.pairs["unlabelled"], workspace.run.seed)
    check_teacher(
        open_teacher(panel, taught, ""), pairs, workspace.level_names, job_size, workspace.teaching.endpoint_price
    )


def check_several(workspace: Workspace, panel: Panel, taught: Path | None, job_size: int) -> None:
    """The members of an ensemble side by side on `labeller_pairs` validation pairs, and the likeness trees that would
    join them: each alone and all together, what labelling would take each, and whom to take. One that has to learn the
    levels first is named, and left out.
    """
    sheet = sheet_of(panel, workspace.pairs["train"], workspace.pairs["validation"], workspace.run.seed)
    if not len(sheet):
        raise PrectrError(
            f"check-teacher: {workspace.data} has no validation pairs with levels to compare teachers by; name one "
            "teacher to see what it says of ten pairs."
        )
    teachers: dict[str, Teacher] = {}
    for number, source in enumerate(panel.sources):
        try:
            teachers[source.name] = open_member(panel, number, taught, "")
        except PrectrError as error:
            print_line(f"… {error}")
    paid = [source.name for source in panel.sources if source.role == "endpoint"]
    prices = dict.fromkeys(paid, workspace.teaching.endpoint_price)
    with TemporaryDirectory() as folder:
        if trees := _likeness_trees(workspace, panel, Path(folder)):
            teachers[LIKENESS] = trees
        found = ask_all(teachers, sheet, prices, job_size)
    show_candidates(found, sheet, job_size)
    print_line(recommendation(found, job_size))


def _likeness_trees(workspace: Workspace, panel: Panel, folder: Path) -> Teacher | None:
    if not workspace.has_gold or panel.arguments.labeller == "teacher":
        return None
    print_line("… growing likeness trees: they cost nothing and join the others unless `labeller: teacher`")
    gold = pairs_of_rivals(panel, workspace.pairs["train"], workspace.run.seed)
    known = workspace.pairs["validation"], workspace.likeness_encoder, workspace.run.seed
    return grow_likeness(panel, gold, *known, folder)


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
