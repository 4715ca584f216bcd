"""The judges of one run beside each other: teacher, assistant, students and what needs no training."""

from __future__ import annotations

import json

import numpy as np

from prectr.distill.evaluation.judge import Metrics, Score, judge, judge_encoder, levels_of_score, tfidf_cosine
from prectr.distill.labelling.job import read_labels
from prectr.distill.teachers.assistant import open_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.panel import ask
from prectr.distill.workspace import TEST_SPLITS, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.metrics import spearman


def examine(workspace: Workspace, judge_of_pairs: Teacher) -> dict[str, Metrics]:
    """How well a teacher or its assistant agrees with gold it has not learnt from, by split: a sample of each."""
    metrics, tested = {}, dict.fromkeys(TEST_SPLITS, workspace.teaching.teacher_test_pairs)
    for split, size in {"validation": workspace.teaching.teacher_validation_pairs, **tested}.items():
        sample = workspace.pairs[split].sample(size, workspace.run.seed, "teacher", split)
        judged, judgement = ask(judge_of_pairs, sample)
        if len(judged):
            metrics[split] = judge(judged.level, judgement.level_prob)
    return metrics


def judge_all(workspace: Workspace, student: LevelEncoder, temperature: float) -> dict[str, dict[str, Metrics | None]]:
    """The figures of every judge on every test split; those of the teacher are as `teach` found them."""
    pairs = workspace.pairs
    judges: dict[str, dict[str, Metrics | None]] = {}
    scores: dict[str, Score] = {
        "tfidf": tfidf_cosine(workspace.recipe.texts),
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
    return judges


def agreement(workspace: Workspace, student: LevelEncoder) -> Metrics:
    """How near the student comes to its teacher on queries it was not trained on, all that can be told without gold:
    `spearman` of the expected levels, `cross_entropy` to the teacher's probabilities beside the teacher's own `entropy`
    (nats), of `n` pairs; where no query is held out all are None.
    """
    pairs, judgement = read_labels(workspace.student_labels)
    rows = np.flatnonzero(workspace.recipe.held_out(pairs))
    held_out, wanted = pairs.take(rows), judgement.take(rows).level_prob
    found = student.score_pairs(held_out.query.tolist(), held_out.item_text.tolist())
    levels = np.arange(student.num_levels)
    return {
        "spearman": spearman(wanted @ levels, found @ levels),
        "cross_entropy": _mean_cross_entropy(wanted, found),
        "entropy": _mean_cross_entropy(wanted, wanted),
        "n": len(rows),
    }


def _mean_cross_entropy(wanted: np.ndarray, found: np.ndarray) -> float | None:
    """Of [n, K] probabilities, in nats."""
    return float(-(wanted * np.log(np.clip(found, 1e-12, 1))).sum(1).mean()) if len(wanted) else None
