"""What every training of stage one has in common: the schedule's form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from transformers import TrainingArguments

from prectr.shared.training.device import trainer_settings
from prectr.shared.training.trainer import PartTrainer


def training_arguments(
    work: Path, *, epochs: float, batch_size: int, bf16: bool, seed: int, **particular: Any
) -> TrainingArguments:
    """Settings of a training that warms up over its first tenth, falls to 0 linearly, and keeps one checkpoint in
    `work/checkpoints`.

    Args:
        epochs: passes over the rows.
        batch_size: rows per step, of all processes together.
        bf16: bfloat16 matrix products, where the device has them.
        seed: of the order of rows and of dropout.
        particular: whatever else this training sets, by the names of `TrainingArguments`.
    """
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        warmup_steps=0.1,
        lr_scheduler_type="linear",
        save_total_limit=1,
        report_to="none",
        seed=seed,
        # Batches are made by our own datasets and collators, whose columns are no model's parameters.
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        **trainer_settings(bf16),
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


BATCHES_PER_POOL = 20
"""Batches that are sorted by length together: a batch then spans a twentieth of all lengths."""


class LikeLengthSampler(Sampler[int]):
    """Row numbers, a batch of like length after the other; which rows and which order are new in each epoch.

    transformers' own `group_by_length` hands out the batches of a pool from the longest to the shortest: on a few
    thousand pairs the model follows that drift instead of learning [O, measured].

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch.
        seed: rules both draws.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed = np.asarray(lengths), batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        rows = random.permutation(len(self.lengths))
        pools = [rows[start : start + self._pool] for start in range(0, len(rows), self._pool)]
        in_order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = [in_order[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        # A batch that is not full stays last: anywhere else it would shift all batches behind it.
        full = len(rows) // self.batch_size
        for batch in [*random.permutation(full), *range(full, len(batches))]:
            yield from batches[batch].tolist()

    @property
    def _pool(self) -> int:
        return BATCHES_PER_POOL * self.batch_size


class LikeLengthTrainer(PartTrainer):
    """A `PartTrainer` whose training rows are dicts with `input_ids`, batched by like length."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LikeLengthSampler:
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        lengths = [len(row["input_ids"]) for row in rows]
        return LikeLengthSampler(lengths, self._train_batch_size, self.args.seed)
