"""LoRA on the gold pairs there are: a small language model's zero-shot judgement is worthless, a few hundred pairs
teach it the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer, TrainingArguments

from distill.config import TeacherArguments
from distill.pairs import Pairs
from distill.prompt import pad, padded_length
from distill.teacher import CausalTeacher, LabelTokenModel
from distill.train import latest_checkpoint
from shared.seeds import set_seed


class PromptDataset(Dataset):
    """Tokenised prompts with their gold levels."""

    def __init__(self, teacher: CausalTeacher, pairs: Pairs) -> None:
        self.prompts = [teacher.prompts(query, text) for query, text in zip(pairs.query, pairs.item_text, strict=True)]
        self.levels = pairs.level

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, row: int) -> tuple[list[int], int]:
        return self.prompts[row], int(self.levels[row])


class PromptCollator:
    """Pads a batch to a multiple of 8 tokens."""

    def __init__(self, filler: int) -> None:
        self.filler = filler

    def __call__(self, rows: Sequence[tuple[list[int], int]]) -> dict[str, Tensor]:
        prompts, levels = zip(*rows, strict=True)
        ids, last = pad(prompts, padded_length(max(map(len, prompts))), self.filler)
        parts = {"input_ids": ids, "last": last, "labels": np.array(levels)}
        return {name: torch.from_numpy(part) for name, part in parts.items()}


class LabelTokenTrainer(Trainer):
    """Trains the bare adapter model, so that checkpoints hold the adapter alone; the loss sees the label tokens
    only.
    """

    level_ids: list[int]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        output = LabelTokenModel(model, self.level_ids)(**inputs)
        return (output["loss"], output) if return_outputs else output["loss"]


def finetune(teacher: CausalTeacher, pairs: Pairs, arguments: TeacherArguments, seed: int, work: Path) -> None:
    """Trains a LoRA adapter on `pairs`, leaves it in the teacher and saves it to `work`; resumes from
    `work/checkpoints`.
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
    trainer = LabelTokenTrainer(
        model=causal_lm,
        args=TrainingArguments(
            output_dir=str(work / "checkpoints"),
            num_train_epochs=arguments.teacher_epochs,
            per_device_train_batch_size=arguments.teacher_batch_size,
            learning_rate=arguments.teacher_learning_rate,
            warmup_steps=0.1,
            lr_scheduler_type="linear",
            weight_decay=0.0,
            bf16=arguments.teacher_bf16,
            use_cpu=not torch.cuda.is_available(),
            logging_steps=10,
            save_strategy="steps",
            save_steps=50,
            save_total_limit=1,
            report_to="none",
            seed=seed,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_pin_memory=False,
        ),
        train_dataset=PromptDataset(teacher, pairs),
        data_collator=PromptCollator(teacher.filler),
    )
    trainer.level_ids = teacher.model.level_ids
    trainer.train(resume_from_checkpoint=latest_checkpoint(work))
    causal_lm.save_pretrained(str(work))
    teacher.model.causal_lm = cast(PreTrainedModel, causal_lm.merge_and_unload())
