"""Before any label: the student's few layers learn the vectors of the whole encoder it was cut from.

Cutting an encoder off after its first layers loses what the others knew. They can be asked for free, text by text, so
the student learns their answers on every text at hand, items and queries, without a pair or a label [O; after
layer-wise distillation as in TinyBERT, Jiao et al., Findings of EMNLP 2020].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from distill.batching import LikeLengthTrainer
from distill.training import training_arguments
from shared.encoder import LENGTH_STEP, LevelEncoder
from shared.seeds import set_seed
from shared.whole_batch import batch_mean


@dataclass(frozen=True)
class StateSchedule:
    """The training: passes over the texts, peak learning rate, texts per step."""

    epochs: float
    learning_rate: float
    batch_size: int
    bf16: bool
    seed: int


class StateModel(nn.Module):
    """Student and whole encoder with one projection P, and the loss Σ w·(1 − cos(P h_S, P h_W)) over the tokens of a
    batch, w their share of its idf weight, plus the mean of 1 − cos of the pooled vectors.

    Args:
        student: its projection is P, and learns.
        whole: never trained; its projection is a copy of P as it was in the beginning.
    """

    def __init__(self, student: LevelEncoder, whole: LevelEncoder) -> None:
        super().__init__()
        self.student = student
        # In a list, so that neither checkpoints nor the optimiser see it.
        self.whole = [whole.eval().requires_grad_(False)]
        whole.projection.load_state_dict(student.projection.state_dict())
        whole.idf.copy_(student.idf)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Token ids [n, L] -> `loss`; `labels` is only there because Trainer counts rows by it."""
        with torch.no_grad():
            wanted = self.whole[0].encode(input_ids, attention_mask)
        found = self.student.encode(input_ids, attention_mask)
        cosine = (found.contextual.float() * wanted.contextual.float()).sum(-1)
        tokens = batch_mean(1 - cosine, wanted.weight.float())
        return {"loss": tokens + batch_mean(1 - (found.pooled * wanted.pooled).sum(-1))}


class TextDataset(Dataset):
    """Texts as token ids, without padding."""

    def __init__(self, encoder: LevelEncoder, texts: Sequence[str]) -> None:
        tokens = encoder.tokenize(texts, "item")
        lengths = tokens["attention_mask"].sum(1)
        self.rows = [ids[:length] for ids, length in zip(tokens["input_ids"], lengths, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self.rows[row]}


def pad_texts(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch padded to a multiple of 8 tokens."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = np.zeros((len(rows), -(-longest // LENGTH_STEP) * LENGTH_STEP), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(rows):
        ids[row, : len(text["input_ids"])] = text["input_ids"]
        mask[row, : len(text["input_ids"])] = 1
    parts = {"input_ids": ids, "attention_mask": mask, "labels": mask[:, 0]}
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def distil_states(
    student: LevelEncoder, whole: LevelEncoder, texts: Sequence[str], schedule: StateSchedule, work: Path
) -> None:
    """Trains `student` in place on distinct `texts`; resumes from `work/checkpoints`. Its head and word embeddings stay
    as they are.
    """
    set_seed(schedule.seed)
    student.freeze_token_embeddings()
    student.head.requires_grad_(False)
    trainer = LikeLengthTrainer(
        model=StateModel(student, whole),
        args=training_arguments(
            work,
            epochs=schedule.epochs,
            batch_size=schedule.batch_size,
            bf16=schedule.bf16,
            seed=schedule.seed,
            learning_rate=schedule.learning_rate,
            weight_decay=0.01,
            optim="adamw_torch_fused",
            logging_steps=0.1,
            save_steps=0.2,
        ),
        train_dataset=TextDataset(student, texts),
        data_collator=pad_texts,
    )
    trainer.train_or_resume("text vectors")
    student.head.requires_grad_(True)
