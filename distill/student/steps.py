"""The students' trainings as steps, each from the folder of the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prectr.distill.labelling.job import labels_fingerprint, read_labels
from prectr.distill.student.recipe import Recipe, save
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.steps import StepRecord, fingerprint_of, run_step


def train_students(
    recipe: Recipe,
    folder: Path,
    labels: Path,
    data_fingerprint: str,
    has_gold: bool,
    through: Callable[[Callable[[Path], None], Path], None] | None = None,
) -> dict[str, StepRecord]:
    """`hidden_states`, `distilled` and, where there is gold, `sft`: encoders in the published format.

    Args:
        folder: gets a folder for each of them.
        labels: the folder of the labels to learn from.
        through: calls a training with its work folder, in one process or in several; None: here.
    """
    states, distilled, sft = (folder / name for name in ("hidden_states", "distilled", "sft"))
    start = {"data": data_fingerprint, **recipe.start_inputs}

    def learn_states(work: Path) -> None:
        encoder = recipe.start(work)
        recipe.learn_states(encoder, work)
        save(encoder, work)

    def distil(work: Path) -> None:
        encoder = LevelEncoder.from_pretrained(states)
        pairs, judgement = read_labels(labels)
        recipe.new_head(encoder, None if has_gold else (pairs, judgement))
        recipe.distil(encoder, pairs, judgement, work)

    def learn_gold_too(work: Path) -> None:
        recipe.fine_tune(LevelEncoder.from_pretrained(distilled), work)

    steps: dict[str, StepRecord] = {}

    def train(name: str, folder: Path, inputs: dict[str, Any], build: Callable[[Path], None]) -> None:
        code = ["prectr.distill.student.recipe"]
        steps[name] = run_step(name, folder, inputs, build, sources=code, together=True, through=through)

    train("hidden_states", states, {**start, **recipe.state_inputs}, learn_states)
    learnt_from = {"hidden_states": fingerprint_of(states), "labels": labels_fingerprint(labels)}
    train("distill", distilled, {**learnt_from, **recipe.distilling_inputs}, distil)
    if has_gold:
        train("sft", sft, {"start": fingerprint_of(distilled), **recipe.gold_inputs}, learn_gold_too)
    return steps
