"""Trains a student on pairs: on the teacher's labels (distil), then on gold (SFT)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, EvalPrediction

from prectr.distill.order import expected_of_logits, leads, order
from prectr.distill.pairs import Pairs
from prectr.distill.student.model import PairDataset, StudentModel, as_is
from prectr.distill.training import QuerySampler, keep_best, level_metrics, training_arguments
from prectr.shared.run.console import print_line
from prectr.shared.run.launch import is_first
from prectr.shared.seeds import set_seed
from prectr.shared.training.trainer import PartTrainer

PATIENCE = 1
"""Epochs in a row that are no better on validation than the best before them, after which a training stops."""

PAIRS_AT_ONCE = 256


@dataclass(frozen=True)
class Schedule:
    """One training.

    Args:
        epochs: passes over the pairs.
        learning_rate: peak, of the text encoder; `head_learning_rate` of everything on top of it.
        batch_size: pairs per step.
        bf16: bfloat16 matrix products.
        train_embeddings: also move the word embeddings; frozen, they keep what they know of words training never shows.
        seed: order of pairs, dropout and new weights.
    """

    epochs: float
    learning_rate: float
    head_learning_rate: float
    batch_size: int
    bf16: bool
    train_embeddings: bool
    seed: int


@dataclass(frozen=True)
class GoldOrder:
    """The order of gold pairs as what a training is validated by.

    Args:
        gold: the validation pairs. random: pairs of their queries with random items, of level 0. random_rows: as rows.
    """

    gold: Pairs
    random: Pairs
    random_rows: PairDataset

    def metrics(self, model: StudentModel, prediction: EvalPrediction) -> dict[str, float]:
        """A Trainer's `compute_metrics`: `level_metrics`, and the `order` that epochs are compared by."""
        score = expected_of_logits(np.asarray(prediction.predictions))
        random = expected_of_logits(_logits(model, self.random_rows))
        return {**level_metrics(prediction), "order": order(self.gold, score, random)}

    def scores(self, model: StudentModel, validation: PairDataset) -> tuple[np.ndarray, np.ndarray]:
        """What the model orders both by: `gold`, whose rows are `validation`, and `random`."""
        model.eval()
        return expected_of_logits(_logits(model, validation)), expected_of_logits(_logits(model, self.random_rows))


class StudentTrainer(PartTrainer):
    """A `PartTrainer` that keeps rows of one query together where the loss compares them."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        model: Any = self.model
        compares = getattr(model, "module", model).order_weight > 0
        return QuerySampler(rows.query, self.args.seed) if compares else super()._get_train_sampler(train_dataset)


def train_student(
    model: StudentModel,
    pairs: PairDataset,
    validation: PairDataset,
    schedule: Schedule,
    work: Path,
    gold_order: GoldOrder | None = None,
    name: str = "student",
    mean_of_epochs: bool = False,
) -> None:
    """Trains `model` in place; of its states after each epoch the one that does best on `validation` is kept, or their
    mean, and the training stops after `PATIENCE` epochs without gain. It is not taken where the state before it was
    better: by more than chance, where order is compared, since some hundred pairs otherwise refuse by luck what
    thousands taught.

    Human levels can be so few and noisy that training on them only spoils what a student knows [O, measured].

    Args:
        gold_order: best is the highest `order` of these gold pairs, `validation`'s own; None: the lowest loss.
        name: of the training, for the line that says that it was not taken.
        mean_of_epochs: end in the mean of the weights after each epoch [Izmailov et al., UAI 2018], which does not
            depend on which epoch a few hundred pairs like best.
    """
    set_seed(schedule.seed)
    model.encoder.text_encoder.get_input_embeddings().requires_grad_(schedule.train_embeddings)
    text_encoder = [p for p in model.encoder.text_encoder.parameters() if p.requires_grad]
    inside = {id(parameter) for parameter in text_encoder}
    head = [p for p in model.parameters() if p.requires_grad and id(p) not in inside]
    optimizer = torch.optim.AdamW(
        [
            {"params": text_encoder, "lr": schedule.learning_rate},
            {"params": head, "lr": schedule.head_learning_rate},
        ],
        weight_decay=0.01,
        fused=True,
    )
    metric = "loss" if gold_order is None else "order"

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        return level_metrics(prediction) if gold_order is None else gold_order.metrics(model, prediction)

    trainer = StudentTrainer(
        model=model,
        args=training_arguments(
            work,
            epochs=schedule.epochs,
            batch_size=schedule.batch_size,
            bf16=schedule.bf16,
            seed=schedule.seed,
            per_device_eval_batch_size=PAIRS_AT_ONCE,
            logging_strategy="epoch",
            kept=math.ceil(schedule.epochs) if mean_of_epochs else 1,
            **keep_best(metric=metric),
        ),
        train_dataset=pairs,
        eval_dataset=validation,
        data_collator=as_is,
        compute_metrics=compute_metrics if validation.has_gold else None,
        optimizers=(optimizer, None),
        callbacks=[EarlyStoppingCallback(PATIENCE)],
    )
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    at_first = trainer.evaluate()[f"eval_{metric}"]
    scores_before = None if gold_order is None else gold_order.scores(model, validation)
    trainer.train_or_resume("student")
    best = trainer.state.best_metric
    if best is None:  # not one epoch was validated
        return
    if mean_of_epochs:
        model.load_state_dict(_mean_of_checkpoints(work / "checkpoints"))
    if gold_order is None or scores_before is None:
        was_better = best > at_first
    else:
        after = gold_order.scores(model, validation)
        best = order(gold_order.gold, *after)
        was_better = leads(gold_order.gold, gold_order.random.query, scores_before, after, schedule.seed)
    if was_better:
        model.load_state_dict(before)
        say_not_taken(name, metric, best, at_first)


def _mean_of_checkpoints(folder: Path) -> dict[str, torch.Tensor]:
    """The mean of the weights of all checkpoints in `folder`."""
    files = sorted(folder.glob("checkpoint-*/model.safetensors"))
    states = [load_file(file) for file in files]
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }


def say_not_taken(name: str, measure: str, end: float, start: float) -> None:
    """A line of the log for a training that did not pay."""
    if is_first():
        print_line(f"{name}: not taken: {measure} on validation {end:.4f}, before it {start:.4f}; what was is kept.")


@torch.inference_mode()
def _logits(model: StudentModel, rows: PairDataset) -> np.ndarray:
    """[n, K] of all rows, in their order."""
    device, parts = model.encoder.device, [np.zeros((0, model.encoder.num_levels), np.float32)]
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        batch = rows.__getitems__(range(start, min(start + PAIRS_AT_ONCE, len(rows))))
        logits = model(**{part: values.to(device) for part, values in batch.items()})["logits"]
        parts.append(logits.float().cpu().numpy())
    return np.concatenate(parts)
