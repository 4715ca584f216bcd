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

from prectr.distill.training import LikeLengthTrainer, training_arguments
from prectr.shared.encoder.level_encoder import LENGTH_STEP, LevelEncoder
from prectr.shared.run import launch
from prectr.shared.run.console import progress_bar
from prectr.shared.seeds import set_seed
from prectr.shared.storage.npy import open_array
from prectr.shared.training.device import autocast, compute_device
from prectr.shared.training.whole_batch import batch_mean

CONTEXTUAL, POOLED = "contextual.npy", "pooled.npy"
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


@torch.inference_mode()
def write_whole_vectors(whole: LevelEncoder, rows: Sequence[np.ndarray], folder: Path, bf16: bool) -> None:
    """What the whole encoder says of n texts, once for all passes over them: the folder is there when it is finished.

    contextual.npy float16 [Σ tokens, V], text after text; pooled.npy float16 [n, H]. On disk, since a catalogue of a
    million texts has some 4 GB of them.

    Args:
        whole: its projection is the student's as it was before any training.
        rows: token ids of the texts.
        bf16: bfloat16 matrix products, where the device has them.
    """
    device = compute_device()
    whole.eval().to(device)
    lengths = np.array([len(ids) for ids in rows])
    ends = lengths.cumsum()
    unfinished = folder.with_suffix(".part")
    unfinished.mkdir(parents=True, exist_ok=True)
    hidden_size = whole.text_encoder.config.hidden_size
    shapes = {CONTEXTUAL: (int(lengths.sum()), whole.config.vector_size), POOLED: (len(rows), hidden_size)}
    files = {name: np.lib.format.open_memmap(unfinished / name, "w+", np.float16, s) for name, s in shapes.items()}
    with progress_bar("vectors of the whole encoder", len(rows), "texts") as advance, autocast(device, bf16):
        for batch in np.split(np.argsort(lengths, kind="stable"), range(TEXTS_AT_ONCE, len(rows), TEXTS_AT_ONCE)):
            ids, mask = (part.to(device) for part in _pad([rows[row] for row in batch]))
            vectors = whole.encode(ids, mask)
            contextual, pooled = (part.float().cpu().numpy() for part in (vectors.contextual, vectors.pooled))
            for place, row in enumerate(batch):
                files[CONTEXTUAL][ends[row] - lengths[row] : ends[row]] = contextual[place, : lengths[row]]
            files[POOLED][batch] = pooled
            advance(len(batch))
    for file in files.values():
        file.flush()
    unfinished.rename(folder)


class TextDataset(Dataset):
    """Token ids of texts with the vectors that `write_whole_vectors` left in `folder`, without padding."""

    def __init__(self, rows: Sequence[np.ndarray], folder: Path) -> None:
        self.rows = rows
        self.ends = np.cumsum([len(ids) for ids in rows])
        self.contextual, self.pooled = open_array(folder / CONTEXTUAL), open_array(folder / POOLED)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        ids, end = self.rows[row], self.ends[row]
        return {"input_ids": ids, "contextual": self.contextual[end - len(ids) : end], "pooled": self.pooled[row]}


def pad_texts(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch padded to a multiple of 8 tokens."""
    ids, mask = _pad([row["input_ids"] for row in rows])
    contextual = np.zeros((*ids.shape, rows[0]["contextual"].shape[1]), np.float32)
    for row, text in enumerate(rows):
        contextual[row, : len(text["contextual"])] = text["contextual"]
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
    rows, vectors = tokenize_texts(student, texts), work / "checkpoints" / "whole"
    if launch.is_first() and not vectors.is_dir():
        whole.projection.load_state_dict(student.projection.state_dict())
        write_whole_vectors(whole, rows, vectors, schedule.bf16)
    launch.wait_for_all()
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
        train_dataset=TextDataset(rows, vectors),
        data_collator=pad_texts,
    )
    trainer.train_or_resume("text vectors")
    student.head.requires_grad_(True)
