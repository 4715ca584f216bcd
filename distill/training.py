"""What every training of stage one has in common: the schedule's form, rows on disk, figures on validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import softmax
from torch.utils.data import Sampler
from transformers import EvalPrediction, TrainingArguments

from prectr.shared.metric_modules.front import open_metric
from prectr.shared.run import launch
from prectr.shared.run.console import progress_bar
from prectr.shared.training.device import trainer_settings
from prectr.shared.training.trainer import PartTrainer


def training_arguments(
    work: Path, *, epochs: float, batch_size: int, bf16: bool, seed: int, kept: int = 1, **particular: Any
) -> TrainingArguments:
    """Settings of a training that warms up over its first tenth, falls to 0 linearly, and keeps its newest checkpoints
    in `work/checkpoints`.

    Args:
        epochs: passes over the rows.
        batch_size: rows per step, of all processes together.
        bf16: bfloat16 matrix products, where the device has them.
        seed: of the order of rows and of dropout.
        kept: how many checkpoints.
        particular: whatever else this training sets, by the names of `TrainingArguments`.
    """
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        warmup_steps=0.1,
        lr_scheduler_type="linear",
        save_total_limit=kept,
        report_to="none",
        seed=seed,
        # Batches are made by our own datasets and collators, whose columns are no model's parameters.
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        **trainer_settings(bf16),
        **particular,
    )


def keep_best(every: int | None = None, metric: str = "loss") -> dict[str, Any]:
    """Settings that validate and save every so many steps, or every epoch, and end in the state of the lowest loss on
    validation, or of the highest `metric`.
    """
    times: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "epoch"}
    if every is not None:
        times = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": every, "save_steps": every}
    best = {"metric_for_best_model": metric, "greater_is_better": metric != "loss"}
    return {**times, **best, "load_best_model_at_end": True}


def level_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """A Trainer's `compute_metrics` on pairs with gold levels: the figures that reports give of every judge, so that
    TensorBoard shows them epoch by epoch.

    Args:
        prediction: logits [n, K] and levels [n].
    """
    level_prob = softmax(np.asarray(prediction.predictions), axis=1)
    found = open_metric("graded_relevance").compute(predictions=level_prob, references=prediction.label_ids)
    return {name: value for name, value in found.items() if name != "n" and value is not None}


def logits_alone(outputs: Any, labels: Any) -> Any:
    """`preprocess_logits_for_metrics` of a Trainer: where a model gives hidden states too, only the logits are kept."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


ROWS_AT_ONCE = 1 << 15
"""They also lie together in the file: a batch is picked out of few parts."""


def rows_on_disk(
    file: Path,
    order: np.ndarray,
    make: Callable[[np.ndarray], pa.Table],
    at_once: int = ROWS_AT_ONCE,
    description: str | None = None,
) -> datasets.Dataset:
    """Training rows as an Arrow file that is mapped into memory, so that they may be more than fit there.

    The file is made once, by the first process; it belongs among the checkpoints of a step, where a killed run finds it
    again, and nothing comes to lie in ~/.cache. It is made in one process: what takes time here, tokenisers and
    networks, has threads of its own.

    Args:
        file: of another set of rows, or after other settings, another one.
        order: row numbers [n], as they are to stand in the file. make: the columns of some of them, `at_once` at most.
        description: of a progress bar; None: it is done before anyone would look at one.
    """

    def mapped(advance: Callable[[int], None] = lambda rows: None) -> datasets.Dataset:
        def columns(numbers: dict[str, list[int]]) -> pa.Table:
            advance(len(numbers["row"]))
            return make(np.asarray(numbers["row"]))

        return datasets.Dataset.from_dict({"row": order}).map(
            columns,
            batched=True,
            batch_size=at_once,
            writer_batch_size=at_once,
            remove_columns=["row"],
            cache_file_name=str(file),
            load_from_cache_file=True,
            new_fingerprint=file.stem,  # else `make` is pickled for a hash of it, with all the models it knows
        )

    theirs = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        if launch.is_first() and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with (
                progress_bar(description, len(order), "rows") if description else nullcontext(lambda rows: None) as bar
            ):
                mapped(bar)
        launch.wait_for_all()
        return mapped()
    finally:
        if theirs:
            datasets.enable_progress_bars()


class MappedColumn:
    """A column of `rows_on_disk`, numbers or lists of one length K, as arrays over the mapped file. Reading a batch of
    them is many times faster than by way of `datasets`, which cuts every row out of every column first.
    """

    def __init__(self, rows: datasets.Dataset, name: str) -> None:
        self.parts = [_array(chunk) for chunk in rows.data.column(name).chunks]
        self.starts = np.cumsum([0, *map(len, self.parts)])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The rows of some numbers [n] as an array [n] or [n, K] of its own."""
        part = np.searchsorted(self.starts, rows, side="right") - 1
        taken = np.empty((len(rows), *self.parts[0].shape[1:]), self.parts[0].dtype)
        for number in np.unique(part):
            here = part == number
            taken[here] = self.parts[number][rows[here] - self.starts[number]]
        return taken


def _array(column: pa.Array) -> np.ndarray:
    is_list = pa.types.is_fixed_size_list(column.type)
    values: np.ndarray = (column.flatten() if is_list else column).to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1) if is_list else values


def fixed_lists(values: np.ndarray) -> pa.Array:
    """A column of n lists from an array [n, K]."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def lengths_of(rows: datasets.Dataset) -> np.ndarray:
    """Tokens of each row [n] of a column `input_ids`."""
    ids = rows.with_format("arrow")["input_ids"][:]
    return pc.list_value_length(ids).to_numpy(zero_copy_only=False)


BATCHES_PER_POOL = 20
"""Batches that are sorted by length together: a batch then spans a twentieth of all lengths."""


ROWS_TOGETHER = 8
"""Rows of one query that stay neighbours: enough to compare, few enough that a batch has several queries [O]."""


def rows_together(query: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All rows [n] in a random order in which up to `ROWS_TOGETHER` of one query follow each other, and the number of
    each place's run [n].

    Args:
        query: [n] number of each row's query.
    """
    drawn = random.permutation(len(query))
    by_query = drawn[np.argsort(query[drawn], kind="stable")]
    _, first, size = np.unique(query[by_query], return_index=True, return_counts=True)
    place = np.arange(len(query)) - np.repeat(first, size)
    starts = np.flatnonzero(place % ROWS_TOGETHER == 0)
    runs = np.split(by_query, starts[1:])
    order = random.permutation(len(runs))
    return np.concatenate([runs[number] for number in order]), np.repeat(
        np.arange(len(runs)), [len(runs[number]) for number in order]
    )


class QuerySampler(Sampler[int]):
    """Row numbers in the order of `rows_together`, another one in each epoch.

    Args:
        query: [n] number of each row's query. seed: rules the draws.
    """

    def __init__(self, query: np.ndarray, seed: int) -> None:
        self.group, self.seed, self.epoch = query, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.group)

    def __iter__(self) -> Iterator[int]:
        yield from rows_together(self.group, np.random.default_rng([self.seed, self.epoch]))[0].tolist()


class LikeLengthSampler(Sampler[int]):
    """Row numbers, a batch of like length after the other; which rows and which order are new in each epoch.

    transformers' own `group_by_length` hands out the batches of a pool from the longest to the shortest: on a few
    thousand pairs the model follows that drift instead of learning [O, measured].

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch.
        seed: rules both draws.
        query: [n] number of each row's query, if rows of one are to be batched together (`rows_together`).
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int, query: np.ndarray | None = None
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.group = np.asarray(lengths), batch_size, seed, query
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, self.epoch])
        rows, lengths = random.permutation(len(self.lengths)), self.lengths
        if self.group is not None:
            rows, run = rows_together(self.group, random)
            longest = np.zeros(run.max() + 1, np.int64)
            np.maximum.at(longest, run, lengths[rows])
            lengths = np.empty_like(run)
            # Runs as long as each other are told apart by their numbers, so that none is mixed with another.
            lengths[rows] = longest[run] * len(longest) + run
        pools = [rows[start : start + self._pool] for start in range(0, len(rows), self._pool)]
        in_order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = [in_order[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        # A batch that is not full stays last: anywhere else it would shift all batches behind it.
        full = len(rows) // self.batch_size
        for batch in [*random.permutation(full), *range(full, len(batches))]:
            yield from batches[batch].tolist()

    @property
    def _pool(self) -> int:
        return BATCHES_PER_POOL * self.batch_size


class LikeLengthTrainer(PartTrainer):
    """A `PartTrainer` whose training rows have `input_ids` (`rows_on_disk`), batched by like length; where they have
    the number of their `query` too, up to `ROWS_TOGETHER` rows of one stay together.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> LikeLengthSampler:
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        query = np.asarray(rows.with_format("numpy")["query"][:]) if "query" in rows.column_names else None
        return LikeLengthSampler(lengths_of(rows), self._train_batch_size, self.args.seed, query)
