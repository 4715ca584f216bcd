"""The step that ends in `encoder/`: the student calibrated, set beside every other judge, and made ready to publish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from prectr.data.contract import reconstructed
from prectr.distill.evaluation.judge import Metrics, Score, judge, judge_encoder, levels_of_score, tfidf_cosine
from prectr.distill.labelling.job import read_labels
from prectr.distill.publishing.model_card import write_card
from prectr.distill.student.recipe import Recipe
from prectr.distill.teachers.assistant import open_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.panel import ask
from prectr.distill.workspace import TEST_SPLITS, Stage
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.hub import source_names, without_addresses
from prectr.shared.metrics import spearman
from prectr.shared.run.provenance import git_commit
from prectr.shared.run.steps import StepRecord, fingerprint_of, run_step


def evaluate_and_publish(stage: Stage, recipe: Recipe, steps: Mapping[str, StepRecord]) -> StepRecord:
    """`encoder/`: the student with its temperature folded in, its model card, and every judge's figures.

    Args:
        steps: of the students: `sft` and `gold_only`, or without gold `distill`.
    """
    inputs: dict[str, Any] = {"teacher": fingerprint_of(stage.folder / "teacher")}
    if stage.assistant:
        inputs |= {"assistant": fingerprint_of(stage.folder / "assistant"), "judged": stage.teaching.teacher_test_pairs}
    if stage.has_gold:
        inputs |= {"student": steps["sft"].fingerprint, "gold_only": steps["gold_only"].fingerprint}
    else:
        inputs |= {"student": steps["distill"].fingerprint}
    folder = stage.folder / "student"

    def build(work: Path) -> None:
        student = LevelEncoder.from_pretrained(folder / ("sft" if stage.has_gold else "distilled"))
        gold_only = LevelEncoder.from_pretrained(folder / "gold_only") if stage.has_gold else None
        temperature = recipe.calibrate(student)
        if gold_only is not None:
            recipe.calibrate(gold_only)
        figures: dict[str, Any] = dict(_judge_all(stage, recipe, student, temperature, gold_only))
        if not stage.has_gold:
            figures["agreement"] = _agreement(stage, recipe, student)
        student.save_pretrained(work)
        content = json.dumps({**figures, **_facts(stage, temperature)}, indent=2) + "\n"
        (work / "metrics.json").write_text(content, encoding="utf-8")
        write_card(work, stage.level_names)

    return run_step("evaluate_encoder", stage.folder / "encoder", inputs, build)


def examine(stage: Stage, judge_of_pairs: Teacher) -> dict[str, Metrics]:
    """How well a teacher or its assistant agrees with gold it has not learnt from, by split: a sample of each."""
    metrics, tested = {}, dict.fromkeys(TEST_SPLITS, stage.teaching.teacher_test_pairs)
    for split, size in {"validation": stage.teaching.teacher_validation_pairs, **tested}.items():
        sample = stage.pairs[split].sample(size, stage.run.seed, "teacher", split)
        judged, judgement = ask(judge_of_pairs, sample)
        if len(judged):
            metrics[split] = judge(judged.level, judgement.level_prob)
    return metrics


def _judge_all(
    stage: Stage, recipe: Recipe, student: LevelEncoder, temperature: float, gold_only: LevelEncoder | None
) -> dict[str, dict[str, Metrics | None]]:
    """The figures of every judge on every test split; those of the teacher are as `teach` found them."""
    pairs = stage.pairs
    judges: dict[str, dict[str, Metrics | None]] = {}
    scores: dict[str, Score] = {
        "tfidf": tfidf_cosine(recipe.texts),
        "student_maxsim": lambda pairs: student.maxsim(pairs.query.tolist(), pairs.item_text.tolist()),
    }
    for name, score in scores.items() if stage.has_gold else ():
        level_prob = levels_of_score(score, pairs["train"], len(stage.level_names))
        judges[name] = {
            split: judge(pairs[split].level, level_prob(pairs[split])) if len(pairs[split]) else None
            for split in TEST_SPLITS
        }
    examined = {"teacher": json.loads((stage.folder / "teacher" / "metrics.json").read_text(encoding="utf-8"))}
    if stage.assistant:
        taught, batch_size = stage.folder / "assistant", stage.labelling.label_batch_size
        examined["assistant"] = examine(stage, open_assistant(taught, stage.teaching, batch_size))
    for name, found in examined.items():
        judges[name] = {split: found.get(split) for split in TEST_SPLITS}
    judges["student"] = {split: judge_encoder(student, pairs[split], temperature) for split in TEST_SPLITS}
    if gold_only is not None:
        judges["gold_only_student"] = {split: judge_encoder(gold_only, pairs[split]) for split in TEST_SPLITS}
    return judges


def _agreement(stage: Stage, recipe: Recipe, student: LevelEncoder) -> Metrics:
    """How near the student comes to its teacher on queries it was not trained on, all that can be told without gold:
    `spearman` of the expected levels, `cross_entropy` to the teacher's probabilities beside the teacher's own `entropy`
    (nats), of `n` pairs.
    """
    pairs, judgement = read_labels(stage.student_labels)
    rows = np.flatnonzero(recipe.held_out(pairs))
    held_out, wanted = pairs.take(rows), judgement.take(rows).level_prob
    found = student.score_pairs(held_out.query.tolist(), held_out.item_text.tolist())
    levels = np.arange(student.num_levels)
    return {
        "spearman": spearman(wanted @ levels, found @ levels),
        "cross_entropy": float(-(wanted * np.log(np.clip(found, 1e-12, 1))).sum(1).mean()),
        "entropy": float(-(wanted * np.log(np.clip(wanted, 1e-12, 1))).sum(1).mean()),
        "n": len(rows),
    }


def _facts(stage: Stage, temperature: float) -> dict[str, Any]:
    """How the encoder came to be."""
    return {
        "data": stage.run.name,
        "reconstructed": reconstructed(stage.data),
        "teacher_source": ",".join(source_names(stage.teaching.teacher)),
        "assistant_source": stage.teaching.assistant,
        "init_from": stage.training.init_from,
        "num_layers": stage.training.num_layers,
        "seed": stage.run.seed,
        "temperature": temperature,
        "pairs": {split: len(found) for split, found in sorted(stage.pairs.items())},
        "labelled_pairs": len(read_labels(stage.student_labels)[0]),
        "command": without_addresses(stage.command),
        "commit": git_commit() or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }
