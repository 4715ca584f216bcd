"""LoRA on the gold pairs there are: a small language model's zero-shot judgement is worthless, a few hundred pairs
teach it the question. The adapter can be used again, or merged into a model of its own.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import pyarrow as pa
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import EarlyStoppingCallback, PreTrainedModel

from prectr.distill.config import TeacherArguments
from prectr.distill.models.sources import find_adapter
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.causal import CausalTeacher, LabelTokenModel, load_adapter, open_causal_lm
from prectr.distill.teachers.dtype import reads_bf16
from prectr.distill.teachers.level_words import LevelWords
from prectr.distill.teachers.prompt import pad, padded_length
from prectr.distill.training import (
    LikeLengthTrainer,
    keep_best,
    lengths_of,
    level_metrics,
    logits_alone,
    rows_on_disk,
    training_arguments,
)
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import open_tokenizer
from prectr.shared.seeds import set_seed
from prectr.shared.training.device import compute_device


def tokenise_prompts(teacher: CausalTeacher, pairs: Pairs, file: Path) -> datasets.Dataset:
    """`input_ids` of the prompts, and as `labels` the gold levels, in a `file` among the checkpoints."""

    def make(rows: np.ndarray) -> pa.Table:
        prompts = [teacher.prompts(pairs.query[row], pairs.item_text[row]) for row in rows]
        return pa.table({"input_ids": pa.array(prompts, pa.list_(pa.int32())), "labels": pairs.level[rows]})

    return rows_on_disk(file, np.arange(len(pairs)), make)


class PromptCollator:
    """Pads a batch to a multiple of 8 tokens; each prompt stands there once for each beginning of a level word."""

    def __init__(self, filler: int, levels: LevelWords) -> None:
        self.filler, self.levels = filler, levels

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        prompts = [[*row["input_ids"], *node] for row in rows for node in self.levels.nodes]
        ids, last = pad(prompts, padded_length(max(map(len, prompts))), self.filler)
        parts = {"input_ids": ids, "last": last, "labels": np.array([row["labels"] for row in rows])}
        return {name: torch.from_numpy(part) for name, part in parts.items()}


class LabelTokenTrainer(LikeLengthTrainer):
    """Trains the bare adapter model, so that checkpoints hold the adapter alone; the loss sees the label tokens
    only.
    """

    levels: LevelWords

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        output = LabelTokenModel(model, self.levels)(**inputs)
        return (output["loss"], output) if return_outputs else output["loss"]


def finetune(
    teacher: CausalTeacher, pairs: Pairs, validation: Pairs, arguments: TeacherArguments, seed: int, work: Path
) -> None:
    """Trains a LoRA adapter on `pairs` and saves it to `work`; of its evaluations the one with the lowest loss on
    `validation` is kept, and training stops when `teacher_patience` of them in a row bring nothing.

    The adapter is left in the teacher, merged. Resumes from `work/checkpoints`.
    """
    set_seed(seed)
    adapter = LoraConfig(
        r=arguments.lora_rank,
        lora_alpha=arguments.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    causal_lm = get_peft_model(teacher.model.causal_lm, adapter)
    steps = math.ceil(len(pairs) * arguments.teacher_epochs / arguments.teacher_batch_size)
    # Rounded up: Trainer validates the last state too, and a rest would cost one validation more than was asked for.
    interval = math.ceil(steps / arguments.teacher_evaluations)
    rows = work / "checkpoints" / "rows"
    judged = tokenise_prompts(teacher, validation, rows / "validation.arrow")
    trainer = LabelTokenTrainer(
        model=causal_lm,
        args=training_arguments(
            work,
            epochs=arguments.teacher_epochs,
            batch_size=arguments.teacher_batch_size,
            bf16=reads_bf16(arguments),
            seed=seed,
            fp16=arguments.teacher_dtype == "float16" and compute_device().type == "cuda",
            per_device_eval_batch_size=32,
            learning_rate=arguments.teacher_learning_rate,
            logging_steps=max(1, interval // 4),
            **keep_best(every=interval),
        ),
        train_dataset=tokenise_prompts(teacher, pairs, rows / "train.arrow"),
        eval_dataset=judged.select(np.argsort(lengths_of(judged), kind="stable")),
        data_collator=PromptCollator(teacher.filler, teacher.prompts.levels),
        compute_metrics=level_metrics,
        preprocess_logits_for_metrics=logits_alone,
        callbacks=[EarlyStoppingCallback(arguments.teacher_patience)],
    )
    trainer.levels = teacher.prompts.levels
    trainer.train_or_resume("LoRA")
    # peft keeps these names in a set, whose order changes with every process: equal adapters are to be equal files.
    written = cast(LoraConfig, causal_lm.peft_config["default"])
    written.target_modules = sorted(written.target_modules or [])
    causal_lm.save_pretrained(str(work))
    teacher.model.causal_lm = cast(PreTrainedModel, causal_lm if teacher.four_bit else causal_lm.merge_and_unload())


def merge_teacher(location: str, adapter: Path, output: Path, dtype: str) -> None:
    """Writes base model + adapter as an ordinary Hugging Face folder with tokenizer, which any tool opens and
    `--teacher` takes.

    Args:
        location: the base model's folder or hub id.
        adapter: the adapter's folder.
        output: the new folder.
        dtype: of the weights, as in `open_causal_lm`; take the one the teacher judges in.

    Raises:
        PrectrError: `output` is there already and not empty, no adapter in `adapter`, or one that does not fit.
    """
    find_adapter(str(adapter))
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise PrectrError(f"--output {output} is there already; name a folder that is not.")
    merged: Any = load_adapter(open_causal_lm(location, dtype), adapter, location).merge_and_unload()
    work = output.with_name(f".{output.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    merged.save_pretrained(work)
    open_tokenizer(location).save_pretrained(work)
    os.replace(work, output)
