"""Trains a student on pairs: on the teacher's labels (distil), then on gold (SFT)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from prectr.distill.student.model import PairDataset, StudentModel, as_is
from prectr.distill.training import keep_best, level_metrics, training_arguments
from prectr.shared.seeds import set_seed
from prectr.shared.training.trainer import PartTrainer


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


def train_student(
    model: StudentModel, pairs: PairDataset, validation: PairDataset, schedule: Schedule, work: Path
) -> None:
    """Trains `model` in place; of its state before and after each epoch the one with the lowest loss on `validation`
    (gold) is kept.

    Human levels can be so few and noisy that training on them only spoils what a student knows [O, measured].
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
    trainer = PartTrainer(
        model=model,
        args=training_arguments(
            work,
            epochs=schedule.epochs,
            batch_size=schedule.batch_size,
            bf16=schedule.bf16,
            seed=schedule.seed,
            per_device_eval_batch_size=256,
            logging_strategy="epoch",
            **keep_best(),
        ),
        train_dataset=pairs,
        eval_dataset=validation,
        data_collator=as_is,
        compute_metrics=level_metrics if validation.has_gold else None,
        optimizers=(optimizer, None),
    )
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    loss_before = trainer.evaluate()["eval_loss"]
    trainer.train_or_resume("student")
    if trainer.state.best_metric is not None and trainer.state.best_metric > loss_before:
        model.load_state_dict(before)
