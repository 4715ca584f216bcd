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
from prectr.distill.workspace import TEST_SPLITS, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.hub import source_names, without_addresses
from prectr.shared.metrics import spearman
from prectr.shared.run.provenance import git_commit
from prectr.shared.run.steps import StepRecord, fingerprint_of, run_step


def evaluate_and_publish(workspace: Workspace, recipe: Recipe, steps: Mapping[str, StepRecord]) -> StepRecord:
    """`encoder/`: the student with its temperature folded in, its model card, and every judge's figures.

    Args:
        steps: of the students: `sft` and `gold_only`, or without gold `distill`.
    """
    inputs: dict[str, Any] = {"teacher": fingerprint_of(workspace.folder / "teacher")}
    if workspace.assistant:
        inputs |= {
            "assistant": fingerprint_of(workspace.folder / "assistant"),
            "judged": workspace.teaching.teacher_test_pairs,
        }
    if workspace.has_gold:
        inputs |= {"student": steps["sft"].fingerprint, "gold_only": steps["gold_only"].fingerprint}
    else:
        inputs |= {"student": steps["distill"].fingerprint}
    folder = workspace.folder / "student"

    def build(work: Path) -> None:
        student = LevelEncoder.from_pretrained(folder / ("sft" if workspace.has_gold else "distilled"))
        gold_only = LevelEncoder.from_pretrained(folder / "gold_only") if workspace.has_gold else None
        temperature = recipe.calibrate(student)
        if gold_only is not None:
            recipe.calibrate(gold_only)
        figures: dict[str, Any] = dict(_judge_all(workspace, recipe, student, temperature, gold_only))
        if not workspace.has_gold:
            figures["agreement"] = _agreement(workspace, recipe, student)
        student.save_pretrained(work)
        content = json.dumps({**figures, **_facts(workspace, temperature)}, indent=2) + "\n"
        (work / "metrics.json").write_text(content, encoding="utf-8")
        write_card(work, workspace.level_names)

    return run_step("evaluate_encoder", workspace.folder / "encoder", inputs, build)


def examine(workspace: Workspace, judge_of_pairs: Teacher) -> dict[str, Metrics]:
    """How well a teacher or its assistant agrees with gold it has not learnt from, by split: a sample of each."""
    metrics, tested = {}, dict.fromkeys(TEST_SPLITS, workspace.teaching.teacher_test_pairs)
    for split, size in {"validation": workspace.teaching.teacher_validation_pairs, **tested}.items():
        sample = workspace.pairs[split].sample(size, workspace.run.seed, "teacher", split)
        judged, judgement = ask(judge_of_pairs, sample)
        if len(judged):
            metrics[split] = judge(judged.level, judgement.level_prob)
    return metrics


def _judge_all(
    workspace: Workspace, recipe: Recipe, student: LevelEncoder, temperature: float, gold_only: LevelEncoder | None
) -> dict[str, dict[str, Metrics | None]]:
    """The figures of every judge on every test split; those of the teacher are as `teach` found them."""
    pairs = workspace.pairs
    judges: dict[str, dict[str, Metrics | None]] = {}
    scores: dict[str, Score] = {
        "tfidf": tfidf_cosine(recipe.texts),
        "student_maxsim": lambda pairs: student.maxsim(pairs.query.tolist(), pairs.item_text.tolist()),
    }
    for name, score in scores.items() if workspace.has_gold else ():
        level_prob = levels_of_score(score, pairs["train"], len(workspace.level_names))
        judges[name] = {
            split: judge(pairs[split].level, level_prob(pairs[split])) if len(pairs[split]) else None
            for split in TEST_SPLITS
        }
    examined = {"teacher": json.loads((workspace.folder / "teacher" / "metrics.json").read_text(encoding="utf-8"))}
    if workspace.assistant:
        taught, batch_size = workspace.folder / "assistant", workspace.labelling.label_batch_size
        examined["assistant"] = examine(workspace, open_assistant(taught, workspace.teaching, batch_size))
    for name, found in examined.items():
        judges[name] = {split: found.get(split) for split in TEST_SPLITS}
    judges["student"] = {split: judge_encoder(student, pairs[split], temperature) for split in TEST_SPLITS}
    if gold_only is not None:
        judges["gold_only_student"] = {split: judge_encoder(gold_only, pairs[split]) for split in TEST_SPLITS}
    return judges


def _agreement(workspace: Workspace, recipe: Recipe, student: LevelEncoder) -> Metrics:
    """How near the student comes to its teacher on queries it was not trained on, all that can be told without gold:
    `spearman` of the expected levels, `cross_entropy` to the teacher's probabilities beside the teacher's own `entropy`
    (nats), of `n` pairs.
    """
    pairs, judgement = read_labels(workspace.student_labels)
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


def _facts(workspace: Workspace, temperature: float) -> dict[str, Any]:
    """How the encoder came to be."""
    return {
        "data": workspace.run.name,
        "reconstructed": reconstructed(workspace.data),
        "teacher_source": ",".join(source_names(workspace.teaching.teacher)),
        "assistant_source": workspace.teaching.assistant,
        "init_from": workspace.training.init_from,
        "num_layers": workspace.training.num_layers,
        "seed": workspace.run.seed,
        "temperature": temperature,
        "pairs": {split: len(found) for split, found in sorted(workspace.pairs.items())},
        "labelled_pairs": len(read_labels(workspace.student_labels)[0]),
        "command": without_addresses(workspace.command),
        "commit": git_commit() or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }
