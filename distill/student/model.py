"""The student in training: the published encoder, the pairs it sees, and the projection onto the teacher's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from prectr.distill.losses import distillation_loss, gold_loss, within_query_loss
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement
from prectr.distill.training import MappedColumn, fixed_lists, rows_on_disk
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors


@dataclass(frozen=True)
class SoftTarget:
    """How the teacher's judgement enters the loss: T, β and γ of `distillation_loss`, and the width of the teacher's
    state.
    """

    temperature: float
    hidden_state_weight: float
    teacher_width: int
    confidence_power: float = 0.0


class StudentModel(nn.Module):
    """A `LevelEncoder` with the loss: soft labels where the batch has them; otherwise gold levels, and `order_weight`
    times the order of each query's.

    W, the projection of h onto the teacher's state, exists in distillation only and is not published.
    """

    def __init__(self, encoder: LevelEncoder, soft_target: SoftTarget | None = None, order_weight: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.soft_target, self.order_weight = soft_target, order_weight
        width = soft_target.teacher_width if soft_target is not None else 0
        self.to_teacher = nn.Linear(encoder.state_size, width) if width else nn.Identity()

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        query_row: Tensor,
        item_ids: Tensor,
        item_mask: Tensor,
        item_row: Tensor,
        labels: Tensor | None = None,
        teacher_log_odds: Tensor | None = None,
        teacher_state: Tensor | None = None,
        censored: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Distinct texts [n, L] and each pair's row among them [B] -> `loss`, `logits` [B, K]."""
        query, item = self._encode(query_ids, query_mask, item_ids, item_mask)
        state = self.encoder.state(query.take(query_row), item.take(item_row))
        logits = self.encoder.level_logits(state)
        if teacher_log_odds is not None and self.soft_target is not None:
            target = self.soft_target
            projected = self.to_teacher(state)
            loss = distillation_loss(
                logits,
                teacher_log_odds,
                projected,
                teacher_state,
                target.temperature,
                target.hidden_state_weight,
                censored,
                target.confidence_power,
            )
        else:
            assert labels is not None, "a batch has soft labels or gold levels"
            loss = gold_loss(logits, labels)
            if self.order_weight > 0 and self.training:
                loss = loss + self.order_weight * within_query_loss(logits, labels, query_row)
        return {"loss": loss, "logits": logits}

    def _encode(
        self, query_ids: Tensor, query_mask: Tensor, item_ids: Tensor, item_mask: Tensor
    ) -> tuple[TokenVectors, TokenVectors]:
        """Queries and items of one length go through together: every group of texts reads all weights, and writes all
        their gradients, once more.
        """
        widths = query_ids.shape[1], item_ids.shape[1]
        ids, mask = (
            torch.cat([F.pad(part, (0, max(widths) - part.shape[1])) for part in parts])
            for parts in ((query_ids, item_ids), (query_mask, item_mask))
        )
        vectors = self.encoder.encode_by_length(ids, mask)
        rows = torch.arange(len(ids), device=ids.device).split([len(query_ids), len(item_ids)])
        query, item = (vectors.take(part).cut(width) for part, width in zip(rows, widths, strict=True))
        return query, item


class PairDataset(Dataset):
    """Pairs with gold levels or a teacher's judgement, and their distinct texts, each tokenised once; all of it lies in
    Arrow files that are mapped into memory.

    Args:
        folder: of those files, among the checkpoints of a step (`prectr.distill.training.rows_on_disk`).
    """

    def __init__(self, encoder: LevelEncoder, pairs: Pairs, folder: Path, judgement: Judgement | None = None) -> None:
        self.tokens: dict[str, dict[str, MappedColumn]] = {}
        columns: dict[str, np.ndarray] = {}
        of_kind: tuple[tuple[Literal["query", "item"], np.ndarray], ...]
        of_kind = (("query", pairs.query), ("item", pairs.item_text))
        for kind, texts in of_kind:
            distinct, columns[kind] = np.unique(texts, return_inverse=True)
            self.tokens[kind] = _tokenised(encoder, distinct, kind, folder / f"{kind}.arrow")
        # There even where soft labels take their place: Trainer reports no validation loss without them.
        columns["labels"] = pairs.level
        if judgement is not None:
            given = {
                "teacher_log_odds": judgement.log_odds,
                "teacher_state": judgement.state,
                "censored": judgement.censored,
            }
            columns |= {name: values for name, values in given.items() if values is not None}

        def make(rows: np.ndarray) -> pa.Table:
            chosen = {name: values[rows] for name, values in columns.items()}
            return pa.table({name: v if v.ndim == 1 else fixed_lists(v) for name, v in chosen.items()})

        stored = rows_on_disk(folder / "pairs.arrow", np.arange(len(pairs)), make)
        self.columns = {name: MappedColumn(stored, name) for name in columns}
        self.size, self.query = len(pairs), columns["query"]
        self.has_gold = bool(len(pairs) and pairs.level.min() >= 0)

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """A whole batch, each distinct text once; the loader needs no further collating (`as_is`)."""
        chosen = {name: column.take(np.asarray(rows)) for name, column in self.columns.items()}
        batch: dict[str, Any] = {}
        for kind, tokens in self.tokens.items():
            distinct, row_of_pair = np.unique(chosen.pop(kind), return_inverse=True)
            for part, name in (("input_ids", "ids"), ("attention_mask", "mask")):
                batch[f"{kind}_{name}"] = torch.from_numpy(tokens[part].take(distinct))
            batch[f"{kind}_row"] = torch.from_numpy(row_of_pair)
        return {**batch, **{name: torch.from_numpy(values) for name, values in chosen.items()}}


def _tokenised(
    encoder: LevelEncoder, texts: np.ndarray, kind: Literal["query", "item"], file: Path
) -> dict[str, MappedColumn]:
    """`input_ids` and `attention_mask` of texts [n], lists of the kind's length."""

    def make(rows: np.ndarray) -> pa.Table:
        tokens = encoder.tokenize(texts[rows].tolist(), kind)
        return pa.table({name: fixed_lists(part) for name, part in tokens.items()})

    stored = rows_on_disk(file, np.arange(len(texts)), make)
    return {name: MappedColumn(stored, name) for name in stored.column_names}


def as_is(batch: Any) -> Any:
    """The collator for a dataset that hands out whole batches."""
    return batch
