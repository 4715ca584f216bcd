"""Training of stage two: transformers' Trainer over a fixed schedule of batches."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, SequentialSampler
from transformers import TrainingArguments

from prectr.rank.config import TrainArguments
from prectr.rank.inputs.batch import Batch
from prectr.rank.inputs.texts import Texts
from prectr.rank.training.gradient_cache import GradientCache
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.validation_curve import LogPoints, ValidationCurve
from prectr.shared.run import launch
from prectr.shared.training.device import trainer_settings
from prectr.shared.training.trainer import PartTrainer
from prectr.shared.training.whole_batch import sum_of_all

logger = logging.getLogger(__name__)

EACH_MEMBERS_OWN = (".scale", ".shift", ".head_bias")
"""Vectors of the base module that each member has of its own, a row per member: no matrices."""

MIN_LEVEL_FALL = 0.3  # expected levels; below it a negative's lowered label is untrue, and only the noise is learnt


class RankTrainer(PartTrainer):
    """Trainer that takes ready-made batches in order, gives the encoder its own learning rate and logs each loss."""

    def __init__(
        self,
        objective: Objective,
        schedule: BatchSchedule,
        texts: Texts,
        arguments: TrainArguments,
        args: TrainingArguments,
        advises: bool = True,
    ):
        super().__init__(model=objective, args=args, train_dataset=schedule, data_collator=_only)
        self.objective: Objective = objective
        self.schedule: BatchSchedule = schedule
        self.arguments: TrainArguments = arguments
        self.cache = GradientCache(objective.model.encoder, texts, objective.tables, arguments.bf16)
        # Their gradients come from no batch, and the cache sums them over the processes.
        learnt = {id(parameter) for parameter in self.cache.learnt}
        others = [name for name, parameter in objective.named_parameters() if id(parameter) in learnt]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(objective, others)
        self.encoder_seconds = 0.0
        self._parts: dict[str, list[Tensor]] = {}
        self._advises = advises and launch.is_first()

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]  # the order is the schedule's own

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(parameter_groups(self.objective, self.arguments), betas=(0.9, 0.99))
        return self.optimizer

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any) -> Tensor:
        if "pair_features" in inputs:  # the text encoder is frozen
            return super().training_step(model, inputs, *args)
        number = int(inputs["step"])
        group = self.schedule.group(number, self.arguments.batches_per_encoder_step)
        if number == group.start:
            with self._encoding():
                self.cache.open(*self.schedule.texts_of(group))
        loss = super().training_step(model, inputs, *args)
        self.cache.collect()
        if number == group.stop - 1:
            with self._encoding():
                self.cache.backward()
        return loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        batch = cast(Batch, super()._prepare_inputs(inputs))
        if "pair_features" not in batch:
            self.cache.fill(batch)
        elif self.objective.tables is not None:
            self.objective.tables.fill(batch)
        return cast(dict[str, Any], batch)

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        """Within, time counts as the text encoder's."""
        started = time.perf_counter()
        yield
        self.encoder_seconds += time.perf_counter() - started

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        parts = model(inputs)
        for name, part in parts.items():
            if name != "loss":
                self._parts.setdefault(name, []).append(part.detach())
        return (parts["loss"], parts) if return_outputs else parts["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            for name, parts in self._parts.items():
                mean = sum_of_all(torch.stack(parts).mean()) / launch.num_processes()
                logs[name] = round(mean.item(), 4)
            self._parts.clear()
            if self._advises and logs.get("level_fall", MIN_LEVEL_FALL) < MIN_LEVEL_FALL:
                self._advises = False  # once a run
                logger.warning(
                    "The hard negatives' expected level falls by %.2f only (less than %.1f): their lowered label is "
                    "not true. Raise noise_scale, or use noise: toward_neighbour.",
                    logs["level_fall"],
                    MIN_LEVEL_FALL,
                )
        super().log(logs, *args, **kwargs)


def _only(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The schedule's items are whole batches already."""
    return items[0]


def parameter_groups(objective: Objective, arguments: TrainArguments) -> list[dict[str, Any]]:
    """AdamW's groups: by learning rate, and decayed (matrices that are no embeddings) or not. An encoder learning rate
    of 0 freezes the encoder.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    objective.model.encoder.freeze_token_embeddings()
    for name, parameter in objective.named_parameters():
        is_embedding = name.startswith("model.embeddings.")
        rate = arguments.embedding_learning_rate if is_embedding else arguments.learning_rate
        if name.startswith("model.encoder."):
            rate = arguments.encoder_learning_rate
            parameter.requires_grad_(parameter.requires_grad and rate > 0)
        if parameter.requires_grad:
            is_matrix = parameter.ndim > 1 and not name.endswith(EACH_MEMBERS_OWN)
            decay = arguments.weight_decay if is_matrix and "embedding" not in name else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


class Training(NamedTuple):
    """What a training leaves beside the weights.

    Attributes:
        log: one dict per `logging_steps`, and one per point of the validation curve. encoder_seconds: how long the text
            encoder took.
    """

    log: list[dict]
    encoder_seconds: float


def train(
    objective: Objective,
    schedule: BatchSchedule,
    texts: Texts,
    arguments: TrainArguments,
    seed: int,
    folder: Path,
    validation: ValidationCurve | None = None,
    advises: bool = True,
) -> Training:
    """Run the schedule, going on from the last checkpoint in `folder`/checkpoints if a killed run left one.

    TensorBoard's logs stay in `folder`/runs. Launched processes train together, each on its part of every batch.

    Args:
        validation: what a few lines of the log say of the validation weeks; None: nothing. advises: whether it is said,
            once, that the hard negatives' level hardly falls; of levels by a random model that means nothing.
    """
    per_group = arguments.batches_per_encoder_step
    args = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        learning_rate=arguments.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(len(schedule) // 20, 1),
        max_grad_norm=5.0,
        **trainer_settings(arguments.bf16),
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=-(-arguments.save_steps // per_group) * per_group,  # a group's gradients are in no checkpoint
        save_total_limit=1,
        logging_steps=arguments.logging_steps,
        remove_unused_columns=False,
        ddp_find_unused_parameters=True,
        ddp_broadcast_buffers=False,  # every process renews the tables of texts alike
        report_to="none",
    )
    trainer = RankTrainer(objective, schedule, texts, arguments, args, advises)
    if validation is not None:
        trainer.add_callback(LogPoints(validation, objective, trainer.log))
    trainer.train_or_resume("ranker")
    return Training(trainer.state.log_history, trainer.encoder_seconds)
