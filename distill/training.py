"""What every training of stage one has in common: the schedule's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from shared.precision import has_bf16


def training_arguments(
    work: Path, *, epochs: float, batch_size: int, bf16: bool, seed: int, **particular: Any
) -> TrainingArguments:
    """Settings of a training that warms up over its first tenth, falls to 0 linearly, and keeps one checkpoint in
    `work/checkpoints`.

    Args:
        epochs: passes over the rows.
        batch_size: rows per step, of all processes together.
        bf16: bfloat16 matrix products, where the machine has them.
        seed: of the order of rows and of dropout.
        particular: whatever else this training sets, by the names of `TrainingArguments`.
    """
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        warmup_steps=0.1,
        lr_scheduler_type="linear",
        bf16=bf16 and has_bf16(),
        use_cpu=not torch.cuda.is_available(),
        save_total_limit=1,
        report_to="none",
        seed=seed,
        # Batches are made by our own datasets and collators, whose columns are no model's parameters.
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        **particular,
    )


def keep_best(every: int | None = None) -> dict[str, Any]:
    """Settings that validate and save every so many steps, or every epoch, and end in the state of the lowest loss on
    validation.
    """
    times: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch"}
    if every is not None:
        times = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": every, "save_steps": every}
    return {**times, "load_best_model_at_end": True, "metric_for_best_model": "loss"}
