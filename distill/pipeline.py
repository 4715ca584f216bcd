"""Stage one from tables to published encoder, each step in a folder of its own that is built once for each set of
inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prectr.distill.config import parse_strategies
from prectr.distill.evaluation.encoder import evaluate_and_publish, examine
from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, labels_fingerprint, read_labels, read_rejected, write_labels
from prectr.distill.models.sources import Source
from prectr.distill.pairs import Pairs
from prectr.distill.publishing.level_prob import write_level_prob
from prectr.distill.publishing.model_card import report
from prectr.distill.publishing.replay import write_replay
from prectr.distill.student.recipe import Recipe, save
from prectr.distill.teachers import panel as teachers
from prectr.distill.teachers.assistant import assistant_inputs, open_assistant, teach_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.panel import Panel, learnt, open_teacher
from prectr.distill.workspace import ASSISTANT_LABELS, LABELS, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.launch import is_first
from prectr.shared.run.steps import RECORD, StepRecord, fingerprint_of, is_being_built, read_record, run_step


def run_stage(workspace: Workspace) -> None:
    """convert · teach · label · (assist · label again) · hidden_states · distill · sft · gold_only · evaluate_encoder ·
    level_prob · replay, then the table of results.
    """
    for line in workspace.remarks:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    converted = workspace.convert_teachers()
    labelled = make_labels(workspace, workspace.panel([location for location, _ in converted]))
    recipe = workspace.recipe
    students = train_students(workspace, recipe)
    judged = evaluate_and_publish(workspace, recipe, students)
    records = {**labelled, **students, "evaluate_encoder": judged}
    seconds = {name: record.seconds for name, record in records.items()}
    conversion = sum(record.seconds for _, record in converted if record is not None) or None
    write_level_prob(workspace.folder, workspace.data_fingerprint, {"convert": conversion, **seconds})
    write_replay(workspace.folder, workspace.data_fingerprint)
    if is_first():
        report(workspace.folder)


def make_labels(workspace: Workspace, panel: Panel) -> dict[str, StepRecord]:
    """What the student will learn from: teach · label, and where an assistant is named assist · label again."""
    records = {"teach": teach(workspace, panel), "label": label_pairs(workspace, panel)}
    if workspace.assistant is not None:
        records |= {"assist": assist(workspace, workspace.assistant), "label_again": label_again(workspace)}
    return records


def teach(workspace: Workspace, panel: Panel) -> StepRecord:
    """`teacher/`: what it learnt, and how well it then judges pairs it has not seen."""

    def build(work: Path) -> None:
        teachers.teach(panel, workspace.pairs["train"], workspace.pairs["validation"], workspace.run.seed, work)
        metrics = examine(workspace, open_teacher(panel, work, ""))
        (work / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

    return run_step("teach", workspace.folder / "teacher", workspace.teaching_inputs(panel), build)


def label_pairs(workspace: Workspace, panel: Panel) -> StepRecord:
    """`labels/`: the teacher's judgement of pairs nobody labelled."""
    taught = workspace.folder / "teacher"
    return _label(
        workspace, "label", workspace.folder / LABELS, taught, lambda: open_teacher(panel, taught, learnt(taught))
    )


def assist(workspace: Workspace, source: Source) -> StepRecord:
    """`assistant/`: a cross-encoder that learnt the teacher's labels and gold."""
    labels, arguments, seed = workspace.folder / LABELS, workspace.teaching, workspace.run.seed
    location, _ = workspace.convert(source)

    def build(work: Path) -> None:
        gold, validation, num_levels = (
            workspace.pairs["train"],
            workspace.pairs["validation"],
            len(workspace.level_names),
        )
        teach_assistant(location, num_levels, read_labels(labels), gold, validation, arguments, seed, work)

    inputs = {"data": workspace.data_fingerprint, "labels": labels_fingerprint(labels), "seed": seed}
    return run_step("assist", workspace.folder / "assistant", inputs | assistant_inputs(source, arguments), build)


def label_again(workspace: Workspace) -> StepRecord:
    """`assistant_labels/`: the assistant's judgement of the pairs its teacher was asked for."""
    taught, batch_size = workspace.folder / "assistant", workspace.labelling.label_batch_size
    labels = workspace.folder / ASSISTANT_LABELS
    return _label(
        workspace, "label again", labels, taught, lambda: open_assistant(taught, workspace.teaching, batch_size)
    )


def _label(
    workspace: Workspace, name: str, folder: Path, taught: Path, open_judge: Callable[[], Teacher]
) -> StepRecord:
    """A judge's labels of the job's pairs; all that any judge ever said is kept in `label_cache/`.

    A process beside another that is building the folder helps to label. A finished job whose judge rejected pairs
    asks for them again, and is built anew only if that gains a label.
    """
    arguments = workspace.labelling
    inputs = {"teacher": fingerprint_of(taught), "seed": workspace.run.seed, **asdict(arguments), "gains": 0}
    del inputs["label_max_rejected"]
    if "near_misses_embedding" in parse_strategies(arguments.label_strategies):
        inputs |= {"encoder": workspace.training.init_from, **workspace.recipe.start_identity}

    def ask_for(pairs: Pairs, max_rejected: float) -> LabelCache:
        teacher = open_judge()
        cache = LabelCache(workspace.folder / "label_cache", teacher.fingerprint)
        label(teacher, pairs, cache, arguments.label_batch_size * arguments.label_shard_batches, max_rejected)
        return cache

    def build(work: Path) -> None:
        chosen = workspace.choose()
        cache = ask_for(chosen.pairs, arguments.label_max_rejected)
        write_labels(work, cache, chosen.pairs, chosen.strategy)

    def ask_again() -> bool:
        rejected = read_rejected(folder)
        try:
            return bool(len(rejected)) and len(ask_for(rejected, 1.0).collect(rejected)[0]) > 0
        except PrectrError as error:
            # A server may be gone by now; the finished job stands without these pairs.
            line = f"… {name}: {len(rejected)} rejected pairs could not be asked for again: {error}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
            return False

    built = read_record(folder).inputs if (folder / RECORD).is_file() else {}
    if {**built, "gains": 0} == inputs:
        inputs["gains"] = built["gains"] + ask_again()
    elif not is_first() or is_being_built(folder):
        ask_for(workspace.choose().pairs, arguments.label_max_rejected)
    return run_step(name, folder, inputs, build)


def train_students(workspace: Workspace, recipe: Recipe) -> dict[str, StepRecord]:
    """`student/hidden_states`, `student/distilled`, `student/sft` and, for comparison, `student/gold_only`, which no
    teacher of any kind has helped: encoders in the published format. The last two only where there is gold.
    """
    folder = workspace.folder / "student"
    states, distilled, sft, gold_only = (folder / name for name in ("hidden_states", "distilled", "sft", "gold_only"))
    start = {"data": workspace.data_fingerprint, **recipe.start_inputs}

    def learn_states(work: Path) -> None:
        encoder = recipe.start(work)
        recipe.learn_states(encoder, work)
        save(encoder, work)

    def distil(work: Path) -> None:
        encoder = LevelEncoder.from_pretrained(states)
        pairs, judgement = read_labels(workspace.student_labels)
        recipe.new_head(encoder, None if workspace.has_gold else pairs)
        recipe.distil(encoder, pairs, judgement, work)

    def learn_gold_alone(work: Path) -> None:
        encoder = recipe.start(work)
        recipe.new_head(encoder)
        recipe.fine_tune(encoder, work)

    def learn_gold_too(work: Path) -> None:
        recipe.fine_tune(LevelEncoder.from_pretrained(distilled), work)

    steps: dict[str, StepRecord] = {}

    def train(name: str, folder: Path, inputs: dict[str, Any], build: Callable[[Path], None]) -> None:
        steps[name] = run_step(name, folder, inputs, build, together=True)

    train("hidden_states", states, {**start, **recipe.state_inputs}, learn_states)
    labels = {"hidden_states": fingerprint_of(states), "labels": labels_fingerprint(workspace.student_labels)}
    train("distill", distilled, {**labels, **recipe.distilling_inputs}, distil)
    if workspace.has_gold:
        train("sft", sft, {"start": fingerprint_of(distilled), **recipe.gold_inputs}, learn_gold_too)
        train("gold_only", gold_only, {**start, **recipe.gold_inputs}, learn_gold_alone)
    return steps
