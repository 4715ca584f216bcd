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

import datasets
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from prectr.distill.training import LikeLengthTrainer, fixed_lists, rows_on_disk, training_arguments
from prectr.shared.encoder.level_encoder import LENGTH_STEP, LevelEncoder
from prectr.shared.seeds import set_seed
from prectr.shared.training.device import autocast, compute_device
from prectr.shared.training.whole_batch import batch_mean

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class StateSchedule:
    """The training: passes over the texts, peak learning rate, texts per step."""

    epochs: float
    learning_rate: float
    batch_size: int
    bf16: bool
    seed: int


class StateModel(nn.Module):
    """The student with the loss Σ w·(1 − cos(P h_S, v)) over the tokens of a batch, w their share of its idf weight and
    v the whole encoder's vectors, plus the mean of 1 − cos of the pooled vectors. P is the student's projection.
    """

    def __init__(self, student: LevelEncoder) -> None:
        super().__init__()
        self.student = student

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, contextual: Tensor, pooled: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Token ids [n, L] and what the whole encoder makes of them, [n, L, V] and [n, H] -> `loss`; `labels` is only
        there because Trainer counts rows by it.
        """
        found = self.student.encode(input_ids, attention_mask)
        cosine = (found.contextual.float() * contextual).sum(-1)
        tokens = batch_mean(1 - cosine, found.weight.float())
        return {"loss": tokens + batch_mean(1 - (found.pooled * pooled).sum(-1))}


def tokenize_texts(encoder: LevelEncoder, texts: Sequence[str]) -> list[np.ndarray]:
    """Token ids of n texts, each cut to the length of an item, without padding."""
    tokens = encoder.tokenize(texts, "item")
    lengths = tokens["attention_mask"].sum(1)
    return [ids[:length] for ids, length in zip(tokens["input_ids"], lengths, strict=True)]


def whole_vectors(whole: LevelEncoder, texts: Sequence[np.ndarray], file: Path, bf16: bool) -> datasets.Dataset:
    """What the whole encoder says of n texts, once for all passes over them, in a `file` among the checkpoints: a
    catalogue of a million texts has some 4 GB of it.

    Columns, text by text: input_ids; contextual float16 [tokens · V], one token vector after the other; pooled
    float16 [H].

    Args:
        whole: its projection is the student's as it was before any training.
        texts: token ids, without padding.
        bf16: bfloat16 matrix products, where the device has them.
    """
    device = compute_device()
    whole.eval().to(device)
    by_length = np.argsort([len(ids) for ids in texts], kind="stable")

    @torch.inference_mode()
    def make(rows: np.ndarray) -> pa.Table:
        chosen = [texts[row] for row in rows]
        ids, mask = (part.to(device) for part in _pad(chosen))
        with autocast(device, bf16):
            vectors = whole.encode(ids, mask)
        parts = (part.float().cpu().numpy().astype(np.float16) for part in (vectors.contextual, vectors.pooled))
        contextual, pooled = parts
        found = [tokens[: len(ids)].ravel() for ids, tokens in zip(chosen, contextual, strict=True)]
        return pa.table({"input_ids": _lists(chosen), "contextual": _lists(found), "pooled": fixed_lists(pooled)})

    stored = rows_on_disk(file, by_length, make, TEXTS_AT_ONCE, "vectors of the whole encoder")
    # Texts of like length stand beside each other in the file; their numbers are those of `texts`.
    return stored.select(np.argsort(by_length, kind="stable")).with_format("numpy")


def _lists(parts: Sequence[np.ndarray]) -> pa.Array:
    offsets = np.cumsum([0, *map(len, parts)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(parts)))


def pad_texts(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch of `whole_vectors`, padded to a multiple of 8 tokens."""
    ids, mask = _pad([row["input_ids"] for row in rows])
    found = [row["contextual"].reshape(len(row["input_ids"]), -1) for row in rows]
    contextual = np.zeros((*ids.shape, found[0].shape[1]), np.float32)
    for row, vectors in enumerate(found):
        contextual[row, : len(vectors)] = vectors
    pooled = torch.from_numpy(np.stack([row["pooled"] for row in rows]).astype(np.float32))
    vectors = {"contextual": torch.from_numpy(contextual), "pooled": pooled}
    return {"input_ids": ids, "attention_mask": mask, **vectors, "labels": mask[:, 0]}


def _pad(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Token ids and mask [n, L], L a multiple of 8."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), -(-longest // LENGTH_STEP) * LENGTH_STEP), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(rows):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def distil_states(
    student: LevelEncoder, whole: LevelEncoder, texts: Sequence[str], schedule: StateSchedule, work: Path
) -> None:
    """Trains `student` in place on distinct `texts`; resumes from `work/checkpoints`. Its head and word embeddings stay
    as they are.
    """
    whole.projection.load_state_dict(student.projection.state_dict())
    file = work / "checkpoints" / "rows" / "whole.arrow"
    rows = whole_vectors(whole, tokenize_texts(student, texts), file, schedule.bf16)
    set_seed(schedule.seed)
    student.freeze_token_embeddings()
    student.head.requires_grad_(False)
    trainer = LikeLengthTrainer(
        model=StateModel(student),
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
        train_dataset=rows,
        data_collator=pad_texts,
    )
    trainer.train_or_resume("text vectors")
    student.head.requires_grad_(True)
