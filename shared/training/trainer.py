"""transformers' Trainer, whose batch means the same on any number of processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from prectr.shared.run.checkpoints import latest_checkpoint
from prectr.shared.run.launch import agree, is_launched, wait_for_all
from prectr.shared.training import trackers
from prectr.shared.training.progress import ProgressBar
from prectr.shared.training.whole_batch import part, part_of_groups


class PartSampler(BatchSampler):
    """Of every batch of row numbers, those that fall to this process (`whole_batch.part`); where the sampler has a
    `group` [n] of rows that the loss compares, whole groups of them.
    """

    def __iter__(self) -> Iterator[list[int]]:
        group = getattr(self.sampler, "group", None)
        for rows in super().__iter__():
            yield part(rows) if group is None else part_of_groups(rows, group)

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    @property
    def batch_sampler(self) -> "PartSampler":
        """Where Trainer looks for `set_epoch`."""
        return self


class LossesWithCheckpoints(TrainerCallback):
    """Logs the losses whenever a checkpoint is written: the next mean then begins there, whether the training goes on
    at once or is killed and goes on later.
    """

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if control.should_save and not control.should_training_stop:
            control.should_log = True


class PartTrainer(Trainer):
    """A `Trainer` whose `per_device_train_batch_size` counts the rows of all processes together: each takes its part.

    Order and number of batches, and so the schedule, do not depend on how many processes there are; losses must take
    their means with `whole_batch.batch_mean`. Every process evaluates the whole validation set, so that all of them
    come to the same decision. A single process uses one device, whatever the machine has.
    """

    def __init__(self, *, args: TrainingArguments, **settings: Any) -> None:
        args._n_gpu = min(args.n_gpu, 1)  # else Trainer would cut batches that are no rows of tensors along their rows
        wait_for_all()
        super().__init__(args=args, **settings)
        for theirs in (PrinterCallback, ProgressCallback):  # `ProgressBar` looks like the project's other bars
            self.remove_callback(theirs)
        self.add_callback(LossesWithCheckpoints)

    def train_or_resume(self, description: str) -> None:
        """Train, from the newest whole checkpoint in `output_dir` if a killed run left one; TensorBoard's logs,
        where `trackers.report_to` asks for them, go beside that folder.

        Args:
            description: of the progress bar, and a tracker's name for the training.
        """
        checkpoints = Path(str(self.args.output_dir))
        self.args.run_name = description
        for tracker in trackers.callbacks(checkpoints.parent):
            self.add_callback(tracker)
        with ExitStack() as stack:
            self.add_callback(ProgressBar(description, stack))
            self.train(resume_from_checkpoint=agree(latest_checkpoint(checkpoints)))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Logs all but Trainer's closing words, whose means and rates leave out what was done before a kill."""
        if "train_loss" not in logs:
            super().log(logs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        rows: Any = train_dataset or self.train_dataset
        sampler: Sampler[int] = SeedableRandomSampler(rows, data_seed=self.args.seed)
        return sampler

    def get_train_dataloader(self) -> DataLoader[Any]:
        sampler = PartSampler(self._get_train_sampler(), self._train_batch_size, drop_last=False)
        return self._loader(self.train_dataset, batch_sampler=sampler)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._loader(rows, batch_size=self.args.eval_batch_size)

    def _loader(self, rows: Any, **batches: Any) -> DataLoader[Any]:
        pin = self.args.dataloader_pin_memory and self.args.device.type == "cuda"
        return DataLoader(rows, collate_fn=self.data_collator, pin_memory=pin, **batches)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        self.gather_function = _own  # every process has seen all rows: nothing is to be gathered
        result = super().evaluation_loop(*args, **kwargs)
        if is_launched() and not self.is_in_train:
            # A model that was evaluated first counts as prepared, and would not be shared when it is trained.
            model: Any = self.model
            model._is_accelerate_prepared = False
        return result

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        prepare: Callable[..., Any] = super()._prepare_for_training
        model, loader = prepare(*args, **kwargs)
        if is_launched() and model is self.model:
            raise RuntimeError("the model is not wrapped: each process would train a model of its own")
        return model, loader

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # A checkpoint counts as whole once the first process has written its last file; the others' are then there.
        if is_launched():
            torch.distributed.barrier()


def _own(values: Tensor) -> Tensor:
    return values
