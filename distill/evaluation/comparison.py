"""The judges of one run beside each other: teacher, assistant, students and what needs no training."""

from __future__ import annotations

import numpy as np

from prectr.distill.evaluation.judge import (
    Metrics,
    Score,
    judge,
    judge_encoder,
    judge_order,
    levels_of_score,
    tfidf_cosine,
)
from prectr.distill.labelling.job import read_labels
from prectr.distill.order import expected_level
from prectr.distill.pairs import Pairs, with_random_items
from prectr.distill.teachers.assistant import open_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.panel import ask
from prectr.distill.workspace import LABELLER, TEST_SPLITS, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.metrics import spearman
from prectr.shared.run.schema import read_json

UNTAUGHT = "teacher_untaught"
"""The teacher before it was taught, beside the splits in `teacher/metrics.json` and among the judges."""

FITTED_PAIRS = 1000
"""Training pairs that the levels of a judge which gives one number are fitted on."""

RANDOM_PAIRS = 1000
"""Pairs of a split's queries with random items that every judge but the teacher is asked for; the teacher is asked for
a quarter of `teacher_test_pairs`, since asking it costs.
"""


def examine(workspace: Workspace, judge_of_pairs: Teacher) -> dict[str, Metrics]:
    """How well a teacher or its assistant agrees with gold it has not learnt from, by test split: whole queries of
    each, and how it orders their items and parts them from random ones.
    """
    metrics, size = {}, workspace.teaching.teacher_test_pairs
    for split in TEST_SPLITS:
        seed, pairs = workspace.run.seed, workspace.pairs[split]
        judged, judgement = ask(judge_of_pairs, pairs.sample_queries(size, seed, "teacher", split))
        if not len(judged):
            continue
        random = with_random_items(judged, workspace.item_texts, max(1, size // 4), seed, split)
        _, of_random = ask(judge_of_pairs, random)
        scores = [
            expected_level(said.level_prob) if said.log_odds.size else np.zeros(0) for said in (judgement, of_random)
        ]
        metrics[split] = judge(judged.level, judgement.level_prob) | judge_order(judged, *scores)
    return metrics


def judge_all(
    workspace: Workspace, student: LevelEncoder, untrained: LevelEncoder, temperature: float
) -> dict[str, dict[str, Metrics | None]]:
    """The figures of every judge on every test split; those of the teacher, taught and as it comes, are as `teach`
    found them, and those of another that labels as `choose` did.

    Args:
        untrained: the student as it started, of which only MaxSim means anything.
    """
    pairs = {split: workspace.pairs[split] for split in TEST_SPLITS}
    random = {
        split: with_random_items(found, workspace.item_texts, RANDOM_PAIRS, workspace.run.seed, split)
        for split, found in pairs.items()
    }
    judges: dict[str, dict[str, Metrics | None]] = {}

    def order(score: Score, split: str) -> Metrics:
        others = score(random[split]) if len(random[split]) else np.zeros(0)
        return judge_order(pairs[split], score(pairs[split]), others)

    scores: dict[str, Score] = {
        "tfidf": tfidf_cosine(workspace.recipe.texts),
        "student_maxsim": lambda pairs: student.maxsim(pairs.query.tolist(), pairs.item_text.tolist()),
        "untrained_maxsim": lambda pairs: untrained.maxsim(pairs.query.tolist(), pairs.item_text.tolist()),
    }
    fitted_on = workspace.pairs["train"].sample(FITTED_PAIRS, workspace.run.seed, "levels of a score")
    for name, score in scores.items() if workspace.has_gold else ():
        level_prob = levels_of_score(score, fitted_on, len(workspace.level_names))
        judges[name] = {
            split: judge(found.level, level_prob(found)) | order(score, split) if len(found) else None
            for split, found in pairs.items()
        }
    examined = read_json(workspace.folder / "teacher" / "metrics.json")
    by_name = {"teacher": examined, UNTAUGHT: examined.get(UNTAUGHT) or {}}
    if other := read_json(workspace.folder / LABELLER / "metrics.json").get("labeller"):
        by_name["labeller"] = other
    if workspace.assistant:
        taught, batch_size = workspace.folder / "assistant", workspace.labelling.label_batch_size
        by_name["assistant"] = examine(workspace, open_assistant(taught, workspace.teaching, batch_size))
    for name, figures in by_name.items():
        judges[name] = {split: figures.get(split) for split in TEST_SPLITS}

    def of_student(pairs: Pairs) -> np.ndarray:
        return expected_level(student.score_pairs(pairs.query.tolist(), pairs.item_text.tolist()))

    judges["student"] = {}
    for split, found in pairs.items():
        figures = judge_encoder(student, found, temperature)
        judges["student"][split] = None if figures is None else figures | order(of_student, split)
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
