"""Stage one from tables to published encoder, each step in a folder of its own that is built once for each set of
inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.contract import levels, read_table
from distill.causal import CausalTeacher
from distill.config import LabelArguments, RunArguments, StudentArguments, TeacherArguments
from distill.convert import convert_teacher
from distill.evaluate import TfidfJudge, cross_entropy, fit_temperature, judge
from distill.finetune import finetune
from distill.labels import label, read_labels
from distill.level_prob import write_level_prob
from distill.pairs import read_pairs
from distill.prompt import read_prompt
from distill.publish import report, write_card
from distill.random_models import random_text_encoder
from distill.sources import Source, find_encoder, find_teacher
from distill.student import PairDataset, SoftTarget, StudentModel
from distill.train import Schedule, train_student
from shared.config import PrectrError
from shared.encoder import EncoderConfig, LevelEncoder
from shared.seeds import set_seed
from shared.steps import StepRecord, atomic_write, fingerprint_of, run_step

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

    def __post_init__(self) -> None:
        self.folder = Path(self.run.artifacts) / self.run.name
        self.data = self.folder / "data"
        self.teacher_source: Source = find_teacher(self.teaching.teacher)
        self.encoder_source = find_encoder(self.training.init_from)
        self.data_fingerprint = fingerprint_of(self.data)
        self.level_names = levels(self.data)
        self.prompt = read_prompt(self.teaching.prompt, len(self.level_names))
        self.pairs = read_pairs(self.data)
        for split in ("train", "validation", "unlabelled"):
            if split not in self.pairs:
                raise PrectrError(f"{self.data / 'pairs.parquet'}: split: no row is {split!r}; stage one needs some.")
        nothing = self.pairs["train"].take(np.array([], int))
        for split in TEST_SPLITS:
            self.pairs.setdefault(split, nothing)

    @property
    def item_texts(self) -> list[str]:
        return read_table(self.data, "items", ["text"])["text"].to_pylist()

    def open_teacher(self, location: str, adapter: Path | None, adapter_identity: str) -> CausalTeacher:
        return CausalTeacher(
            location,
            self.prompt,
            query_tokens=self.teaching.teacher_query_tokens,
            item_tokens=self.teaching.teacher_item_tokens,
            adapter=adapter,
            bf16=self.teaching.teacher_bf16,
            identity=json.dumps([self.teacher_source.identity, adapter_identity], sort_keys=True),
            batch_size=self.labelling.label_batch_size,
        )


def run_stage(stage: Stage) -> None:
    """convert · teach · label · distill · sft · gold_only · evaluate_encoder · level_prob, then the table of
    results.
    """
    words = [*stage.item_texts, *stage.pairs["train"].query, *stage.pairs["unlabelled"].query]
    question = [stage.prompt.before, stage.prompt.between, stage.prompt.after, *stage.prompt.words]
    location, converted = convert_teacher(
        stage.teacher_source, Path(stage.run.artifacts), [*words, *question], stage.run.seed
    )
    taught, labelled = teach(stage, location), label_pairs(stage, location)
    students = train_students(stage, words)
    judged = evaluate_and_publish(stage, students)
    records = {"convert": converted, "teach": taught, "label": labelled, **students, "evaluate_encoder": judged}
    seconds = {name: None if record is None else record.seconds for name, record in records.items()}
    write_level_prob(stage.folder, stage.data_fingerprint, seconds)
    report(stage.folder)


def teach(stage: Stage, location: str) -> StepRecord:
    """`teacher/`: the LoRA adapter, and how well the adapted teacher judges pairs it has not seen."""
    arguments, seed = stage.teaching, stage.run.seed
    inputs = {
        "data": stage.data_fingerprint,
        "teacher": stage.teacher_source.identity,
        "prompt": stage.prompt.fingerprint,
        "seed": seed,
        **{name: value for name, value in asdict(arguments).items() if name not in ("teacher", "prompt")},
        "batch_size": stage.labelling.label_batch_size,
    }

    def build(work: Path) -> None:
        teacher = stage.open_teacher(location, None, "")
        if arguments.teacher_pairs:
            gold = stage.pairs["train"].sample(arguments.teacher_pairs, seed, "teacher")
            validation = stage.pairs["validation"].sample(
                arguments.teacher_validation_pairs, seed, "teacher", "validation"
            )
            finetune(teacher, gold, validation, arguments, seed, work)
        metrics = {}
        sizes = {"validation": arguments.teacher_validation_pairs} | dict.fromkeys(
            TEST_SPLITS, arguments.teacher_test_pairs
        )
        for split, size in sizes.items():
            sample = stage.pairs[split].sample(size, seed, "teacher", split)
            if len(sample):
                judgement = teacher.score(list(zip(sample.query, sample.item_text, strict=True)))
                metrics[split] = judge(sample.level, judgement.level_prob)
        _write_json(work / "metrics.json", metrics)

    return run_step("teach", stage.folder / "teacher", inputs, build)


def label_pairs(stage: Stage, location: str) -> StepRecord:
    """`labels/`: the teacher's judgement of pairs nobody labelled."""
    folder, arguments = stage.folder / "labels", stage.labelling
    adapter = fingerprint_of(stage.folder / "teacher")
    inputs = {"teacher": adapter, "seed": stage.run.seed, **asdict(arguments)}

    def build(work: Path) -> None:
        teacher = stage.open_teacher(location, stage.folder / "teacher", adapter)
        pairs = stage.pairs["unlabelled"].sample(arguments.label_pairs, stage.run.seed, "label")
        label(teacher, pairs, work, arguments.label_batch_size * arguments.label_shard_batches, earlier=folder)

    return run_step("label", folder, inputs, build)


def train_students(stage: Stage, words: list[str]) -> dict[str, StepRecord]:
    """`student/distilled`, `student/sft` and, for comparison, `student/gold_only`: encoders in the published format."""
    arguments, folder = stage.training, stage.folder / "student"
    start = {
        "data": stage.data_fingerprint,
        "seed": stage.run.seed,
        "init_from": arguments.init_from,
        "num_layers": arguments.num_layers,
        "lengths": [arguments.query_length, arguments.item_length],
        "batch_size": arguments.student_batch_size,
        "bf16": arguments.student_bf16,
        "train_embeddings": arguments.train_embeddings,
        "head_learning_rate": arguments.head_learning_rate,
        "sft": [arguments.sft_epochs, arguments.sft_learning_rate],
    }
    distilling = {
        "labels": fingerprint_of(stage.folder / "labels"),
        "distill": [arguments.distill_epochs, arguments.distill_learning_rate],
        "loss": [arguments.distill_temperature, arguments.state_weight],
    }

    def distill(work: Path) -> None:
        encoder = new_encoder(stage, words, work)
        pairs, judgement = read_labels(stage.folder / "labels")
        width = 0 if judgement.state is None else judgement.state.shape[1]
        model = StudentModel(encoder, SoftTarget(arguments.distill_temperature, arguments.state_weight, width))
        schedule = _schedule(stage, arguments.distill_epochs, arguments.distill_learning_rate)
        train_student(model, PairDataset(encoder, pairs, judgement), _validation(stage, encoder), schedule, work)
        encoder.save_pretrained(work)

    def fine_tune(encoder: LevelEncoder, work: Path) -> None:
        pairs = PairDataset(encoder, stage.pairs["train"])
        schedule = _schedule(stage, arguments.sft_epochs, arguments.sft_learning_rate)
        train_student(StudentModel(encoder), pairs, _validation(stage, encoder), schedule, work)
        encoder.save_pretrained(work)

    distilled, sft, gold_only = folder / "distilled", folder / "sft", folder / "gold_only"
    steps = {"distill": run_step("distill", distilled, {**start, **distilling}, distill)}
    from_distilled = {**start, "start": fingerprint_of(distilled)}
    steps["sft"] = run_step(
        "sft", sft, from_distilled, lambda work: fine_tune(LevelEncoder.from_pretrained(distilled), work)
    )
    steps["gold_only"] = run_step(
        "gold_only", gold_only, start, lambda work: fine_tune(new_encoder(stage, words, work), work)
    )
    return steps


def new_encoder(stage: Stage, words: list[str], work: Path) -> LevelEncoder:
    """The student before any training."""
    arguments, source = stage.training, stage.encoder_source
    if source == "random":
        source = str(work / "checkpoints" / "random")
        random_text_encoder(Path(source), words, stage.run.seed)
    set_seed(stage.run.seed)
    config = EncoderConfig(stage.level_names, query_length=arguments.query_length, item_length=arguments.item_length)
    encoder = LevelEncoder.warm_start(source, config, arguments.num_layers)
    encoder.fit_idf(sorted({*stage.item_texts, *stage.pairs["train"].query, *stage.pairs["unlabelled"].query}))
    sample = stage.pairs["train"].sample(1024, stage.run.seed, "features")
    encoder.eval().fit_features(sample.query.tolist(), sample.item_text.tolist())
    return encoder


def evaluate_and_publish(stage: Stage, steps: Mapping[str, StepRecord]) -> StepRecord:
    """`encoder/`: the student with its temperature folded in, its model card, and every judge's figures."""
    inputs = {
        "student": steps["sft"].fingerprint,
        "gold_only": steps["gold_only"].fingerprint,
        "teacher": fingerprint_of(stage.folder / "teacher"),
    }

    def build(work: Path) -> None:
        pairs = stage.pairs
        judges = {"tfidf": {}, "teacher": _read_json(stage.folder / "teacher" / "metrics.json")}
        training_queries = np.unique(np.concatenate([pairs["train"].query, pairs["unlabelled"].query]))
        tfidf = TfidfJudge([*sorted(set(stage.item_texts)), *training_queries], pairs["train"])
        encoders = {
            "student": LevelEncoder.from_pretrained(stage.folder / "student" / "sft"),
            "gold_only_student": LevelEncoder.from_pretrained(stage.folder / "student" / "gold_only"),
        }
        temperatures = {}
        for name, encoder in encoders.items():
            validation = pairs["validation"]
            level_prob = encoder.score_pairs(validation.query.tolist(), validation.item_text.tolist())
            temperatures[name] = fit_temperature(np.log(level_prob), validation.level)
            encoder.head.fold_temperature(temperatures[name])
            judges[name] = {}
        for split in TEST_SPLITS:
            if not len(pairs[split]):
                continue
            judges["tfidf"][split] = tfidf.judge(pairs[split], len(stage.level_names))
            for name, encoder in encoders.items():
                level_prob = encoder.score_pairs(pairs[split].query.tolist(), pairs[split].item_text.tolist())
                judges[name][split] = judge(pairs[split].level, level_prob)
                judges[name][split]["logloss"] = cross_entropy(pairs[split].level, level_prob)
        metrics = {name: {split: found.get(split) for split in TEST_SPLITS} for name, found in judges.items()}
        facts: dict[str, Any] = {
            "data": stage.run.name,
            "teacher_source": stage.teaching.teacher,
            "init_from": stage.training.init_from,
            "num_layers": stage.training.num_layers,
            "seed": stage.run.seed,
            "temperature": temperatures["student"],
            "pairs": {split: len(found) for split, found in sorted(pairs.items())},
            "labelled_pairs": len(read_labels(stage.folder / "labels")[0]),
        }
        encoders["student"].save_pretrained(work)
        _write_json(work / "metrics.json", {**metrics, **facts})
        write_card(work, stage.level_names)

    return run_step("evaluate_encoder", stage.folder / "encoder", inputs, build)


def _schedule(stage: Stage, epochs: float, learning_rate: float) -> Schedule:
    arguments = stage.training
    return Schedule(
        epochs=epochs,
        learning_rate=learning_rate,
        head_learning_rate=arguments.head_learning_rate,
        batch_size=arguments.student_batch_size,
        bf16=arguments.student_bf16,
        train_embeddings=arguments.train_embeddings,
        seed=stage.run.seed,
    )


def _validation(stage: Stage, encoder: LevelEncoder) -> PairDataset:
    return PairDataset(encoder, stage.pairs["validation"])


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
