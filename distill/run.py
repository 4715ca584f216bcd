"""Stage one from tables to published encoder, each step in a folder of its own that is built once for each set of
inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data.contract import levels, read_table, reconstructed
from distill import teachers
from distill.config import LabelArguments, RunArguments, StudentArguments, TeacherArguments
from distill.convert import convert_teacher
from distill.evaluate import Metrics, Score, judge, judge_encoder, levels_of_score, tfidf_cosine
from distill.label_cache import LabelCache
from distill.labels import is_helper, is_launched, label, read_labels, read_rejected, write_labels
from distill.level_prob import write_level_prob
from distill.pairs import Pairs, read_pairs, remarks, require_training_pairs
from distill.prompt import read_prompt
from distill.publish import report, write_card
from distill.recipe import Recipe
from distill.sources import check_head, find_adapter, find_encoder, find_teachers
from distill.strategies import Chosen, choose_pairs, parse_strategies
from distill.teachers import Panel, ask, open_teacher
from shared.config import PrectrError
from shared.console import console
from shared.encoder import LevelEncoder
from shared.steps import (
    RECORD,
    StepRecord,
    atomic_write,
    fingerprint_inputs,
    fingerprint_of,
    fingerprint_of_tables,
    git_commit,
    is_being_built,
    is_finished,
    read_record,
    run_step,
)

TEST_SPLITS = ("test", "test_types")


@dataclass
class Stage:
    """Everything the steps share: settings, folders, the pairs. Reading it checks all that can be checked
    beforehand.
    """

    run: RunArguments
    teaching: TeacherArguments
    labelling: LabelArguments
    training: StudentArguments
    command: str = "python -m distill run"

    def __post_init__(self) -> None:
        self.folder = Path(self.run.artifacts) / self.run.name
        self.data = self.folder / "data"
        self.teacher_sources = find_teachers(self.teaching.teacher)
        if self.teaching.teacher_adapter:
            find_adapter(self.teaching.teacher_adapter)
        self.encoder_source = find_encoder(self.training.init_from)
        self.data_fingerprint = fingerprint_of_tables(self.data)
        self.level_names = levels(self.data)
        for source in self.teacher_sources:
            check_head(source, len(self.level_names), self.teaching)
        self.prompt = read_prompt(self.teaching.prompt, len(self.level_names))
        self.pairs = read_pairs(self.data)
        require_training_pairs(self.pairs, self.data)
        self.remarks = remarks(self.pairs, self.data, self.level_names)
        nothing = self.pairs["train"].take(np.array([], int))
        for split in TEST_SPLITS:
            self.pairs.setdefault(split, nothing)

    @cached_property
    def item_texts(self) -> list[str]:
        return read_table(self.data, "items", ["text"])["text"].to_pylist()

    @cached_property
    def recipe(self) -> Recipe:
        texts = sorted({*self.item_texts, *self.pairs["train"].query, *self.pairs["unlabelled"].query})
        gold, validation = self.pairs["train"], self.pairs["validation"]
        return Recipe(self.encoder_source, self.training, self.level_names, texts, gold, validation, self.run.seed)

    def convert_teachers(self) -> list[tuple[str, StepRecord | None]]:
        """For each teacher where to open it from, and what making it so cost."""
        words = [*self.item_texts, *self.pairs["train"].query, *self.pairs["unlabelled"].query]
        question = [self.prompt.before, self.prompt.between, self.prompt.after, *self.prompt.words]
        artifacts, seed = Path(self.run.artifacts), self.run.seed
        return [convert_teacher(source, artifacts, [*words, *question], seed) for source in self.teacher_sources]

    def teaching_inputs(self, panel: Panel) -> dict[str, Any]:
        """What decides `teacher/`."""
        return {"data": self.data_fingerprint, "seed": self.run.seed, **panel.inputs}

    def panel(self, locations: Sequence[str]) -> Panel:
        """The teacher, its members to be opened from `locations`."""
        sources, batch_size = self.teacher_sources, self.labelling.label_batch_size
        return Panel(
            sources, locations, self.prompt, len(self.level_names), self.teaching, batch_size, self.recipe.texts
        )


def run_stage(stage: Stage) -> None:
    """convert · teach · label · distill · sft · gold_only · evaluate_encoder · level_prob, then the table of
    results.
    """
    for line in stage.remarks:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    converted = stage.convert_teachers()
    panel = stage.panel([location for location, _ in converted])
    taught, labelled = teach(stage, panel), label_pairs(stage, panel)
    recipe = stage.recipe
    students = train_students(stage, recipe)
    judged = evaluate_and_publish(stage, recipe, students)
    records = {"teach": taught, "label": labelled, **students, "evaluate_encoder": judged}
    seconds = {name: record.seconds for name, record in records.items()}
    conversion = sum(record.seconds for _, record in converted if record is not None) or None
    write_level_prob(stage.folder, stage.data_fingerprint, {"convert": conversion, **seconds})
    report(stage.folder)


def teach(stage: Stage, panel: Panel) -> StepRecord:
    """`teacher/`: what it learnt, and how well it then judges pairs it has not seen."""
    arguments, seed = stage.teaching, stage.run.seed
    folder, inputs = stage.folder / "teacher", stage.teaching_inputs(panel)
    if is_launched() and not is_finished(folder, fingerprint_inputs("teach", inputs)):
        # Trainer would take the launched processes for one training and wait for those that never come.
        raise PrectrError(
            f"{folder} is not finished, and a teacher is taught by one process: run the same command without a "
            "launcher until it labels, then launch it."
        )

    def build(work: Path) -> None:
        teachers.teach(panel, stage.pairs["train"], stage.pairs["validation"], seed, work)
        teacher = open_teacher(panel, work, "")
        metrics = {}
        sizes = {"validation": arguments.teacher_validation_pairs} | dict.fromkeys(
            TEST_SPLITS, arguments.teacher_test_pairs
        )
        for split, size in sizes.items():
            sample = stage.pairs[split].sample(size, seed, "teacher", split)
            judged, judgement = ask(teacher, sample)
            if len(judged):
                metrics[split] = judge(judged.level, judgement.level_prob)
        _write_json(work / "metrics.json", metrics)

    return run_step("teach", folder, inputs, build)


def label_pairs(stage: Stage, panel: Panel) -> StepRecord:
    """`labels/`: the teacher's judgement of pairs nobody labelled; all it ever said is kept in `label_cache/`.

    A process beside another that is building the folder helps to label. A finished job whose teacher rejected pairs
    asks for them again, and is built anew only if that gains a label.
    """
    folder, arguments, seed = stage.folder / "labels", stage.labelling, stage.run.seed
    taught = fingerprint_of(stage.folder / "teacher")
    inputs = {"teacher": taught, "seed": seed, **asdict(arguments), "gains": 0}
    del inputs["label_max_rejected"]
    if "near_misses_embedding" in parse_strategies(arguments.label_strategies):
        inputs["encoder"] = stage.training.init_from

    def choose() -> Chosen:
        strategies, size = arguments.label_strategies, arguments.label_pairs
        return choose_pairs(stage.pairs, stage.item_texts, strategies, size, seed, stage.encoder_source)

    def ask_for(pairs: Pairs, max_rejected: float) -> LabelCache:
        teacher = open_teacher(panel, stage.folder / "teacher", taught)
        cache = LabelCache(stage.folder / "label_cache", teacher.fingerprint)
        label(teacher, pairs, cache, arguments.label_batch_size * arguments.label_shard_batches, max_rejected)
        return cache

    def build(work: Path) -> None:
        chosen = choose()
        cache = ask_for(chosen.pairs, arguments.label_max_rejected)
        write_labels(work, cache, chosen.pairs, chosen.strategy)

    def ask_again() -> bool:
        rejected = read_rejected(folder)
        try:
            return bool(len(rejected)) and len(ask_for(rejected, 1.0).collect(rejected)[0]) > 0
        except PrectrError as error:
            # A server may be gone by now; the finished job stands without these pairs.
            line = f"… label: {len(rejected)} rejected pairs could not be asked for again: {error}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
            return False

    built = read_record(folder).inputs if (folder / RECORD).is_file() else {}
    if {**built, "gains": 0} == inputs:
        inputs["gains"] = built["gains"] + ask_again()
    elif is_helper() or is_being_built(folder):
        ask_for(choose().pairs, arguments.label_max_rejected)
    return run_step("label", folder, inputs, build)


def train_students(stage: Stage, recipe: Recipe) -> dict[str, StepRecord]:
    """`student/states`, `student/distilled`, `student/sft` and, for comparison, `student/gold_only`, which no teacher
    of any kind has helped: encoders in the published format.
    """
    folder = stage.folder / "student"
    states, distilled, sft, gold_only = (folder / name for name in ("states", "distilled", "sft", "gold_only"))
    start = {"data": stage.data_fingerprint, **recipe.start_inputs}

    def learn_states(work: Path) -> None:
        encoder = recipe.start(work)
        recipe.learn_states(encoder, work)
        encoder.save_pretrained(work)

    def distil(work: Path) -> None:
        encoder = LevelEncoder.from_pretrained(states)
        recipe.new_head(encoder)
        recipe.distil(encoder, *read_labels(stage.folder / "labels"), work)

    def learn_gold_alone(work: Path) -> None:
        encoder = recipe.start(work)
        recipe.new_head(encoder)
        recipe.fine_tune(encoder, work)

    steps = {"states": run_step("states", states, {**start, **recipe.state_inputs}, learn_states)}
    labels = {"states": fingerprint_of(states), "labels": fingerprint_of(stage.folder / "labels")}
    steps["distill"] = run_step("distill", distilled, {**labels, **recipe.distilling_inputs}, distil)
    steps["sft"] = run_step(
        "sft",
        sft,
        {"start": fingerprint_of(distilled), **recipe.gold_inputs},
        lambda work: recipe.fine_tune(LevelEncoder.from_pretrained(distilled), work),
    )
    steps["gold_only"] = run_step("gold_only", gold_only, {**start, **recipe.gold_inputs}, learn_gold_alone)
    return steps


def evaluate_and_publish(stage: Stage, recipe: Recipe, steps: Mapping[str, StepRecord]) -> StepRecord:
    """`encoder/`: the student with its temperature folded in, its model card, and every judge's figures."""
    inputs = {
        "student": steps["sft"].fingerprint,
        "gold_only": steps["gold_only"].fingerprint,
        "teacher": fingerprint_of(stage.folder / "teacher"),
    }

    def build(work: Path) -> None:
        pairs = stage.pairs
        student = LevelEncoder.from_pretrained(stage.folder / "student" / "sft")
        gold_only = LevelEncoder.from_pretrained(stage.folder / "student" / "gold_only")
        temperature = recipe.calibrate(student)
        recipe.calibrate(gold_only)
        judges: dict[str, dict[str, Metrics | None]] = {}
        scores: dict[str, Score] = {
            "tfidf": tfidf_cosine(recipe.texts),
            "student_maxsim": lambda pairs: student.maxsim(pairs.query.tolist(), pairs.item_text.tolist()),
        }
        for name, score in scores.items():
            level_prob = levels_of_score(score, pairs["train"], len(stage.level_names))
            judges[name] = {
                split: judge(pairs[split].level, level_prob(pairs[split])) if len(pairs[split]) else None
                for split in TEST_SPLITS
            }
        taught = _read_json(stage.folder / "teacher" / "metrics.json")
        judges["teacher"] = {split: taught.get(split) for split in TEST_SPLITS}
        for name, encoder in (("student", student), ("gold_only_student", gold_only)):
            judges[name] = {split: judge_encoder(encoder, pairs[split]) for split in TEST_SPLITS}
        for split, found in judges["student"].items():
            uncalibrated = judge_encoder(student, pairs[split], temperature)
            if found is not None and uncalibrated is not None:
                found["ece_before"] = uncalibrated["ece"]
        facts: dict[str, Any] = {
            "data": stage.run.name,
            "reconstructed": reconstructed(stage.data),
            "teacher_source": stage.teaching.teacher,
            "init_from": stage.training.init_from,
            "num_layers": stage.training.num_layers,
            "seed": stage.run.seed,
            "temperature": temperature,
            "pairs": {split: len(found) for split, found in sorted(pairs.items())},
            "labelled_pairs": len(read_labels(stage.folder / "labels")[0]),
            "command": stage.command,
            "commit": git_commit() or "unknown",
            "date": datetime.now(UTC).date().isoformat(),
        }
        student.save_pretrained(work)
        _write_json(work / "metrics.json", {**judges, **facts})
        write_card(work, stage.level_names)

    return run_step("evaluate_encoder", stage.folder / "encoder", inputs, build)


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
