"""The student in training: the published encoder, the pairs it sees, and the projection onto the teacher's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from prectr.distill.losses import distillation_loss, gold_loss
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement
from prectr.shared.encoder.level_encoder import LevelEncoder


@dataclass(frozen=True)
class SoftTarget:
    """How the teacher's judgement enters the loss: T and β of `distillation_loss`, and the width of the teacher's
    state.
    """

    temperature: float
    hidden_state_weight: float
    teacher_width: int


class StudentModel(nn.Module):
    """A `LevelEncoder` with the loss: soft labels where the batch has them, gold levels otherwise.

    W, the projection of h onto the teacher's state, exists in distillation only and is not published.
    """

    def __init__(self, encoder: LevelEncoder, soft_target: SoftTarget | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.soft_target = soft_target
        if soft_target is not None:
            self.to_teacher = nn.Linear(encoder.state_size, soft_target.teacher_width)

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
        query = self.encoder.encode_by_length(query_ids, query_mask).take(query_row)
        item = self.encoder.encode_by_length(item_ids, item_mask).take(item_row)
        state = self.encoder.state(query, item)
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
            )
        else:
            assert labels is not None, "a batch has soft labels or gold levels"
            loss = gold_loss(logits, labels)
        return {"loss": loss, "logits": logits}


class PairDataset(Dataset):
    """Pairs whose distinct texts are tokenised once, with gold levels or a teacher's judgement."""

    def __init__(self, encoder: LevelEncoder, pairs: Pairs, judgement: Judgement | None = None) -> None:
        queries, self.query_code = np.unique(pairs.query, return_inverse=True)
        items, self.item_code = np.unique(pairs.item_text, return_inverse=True)
        self.query_tokens = encoder.tokenize(queries.tolist(), "query")
        self.item_tokens = encoder.tokenize(items.tolist(), "item")
        self.level = pairs.level
        self.judgement = judgement

    def __len__(self) -> int:
        return len(self.level)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """A whole batch, each distinct text once; the loader needs no further collating (`as_is`)."""
        chosen = np.asarray(rows)
        batch: dict[str, Any] = {}
        for kind, codes, tokens in (
            ("query", self.query_code, self.query_tokens),
            ("item", self.item_code, self.item_tokens),
        ):
            distinct, row_of_pair = np.unique(codes[chosen], return_inverse=True)
            for part, name in (("input_ids", "ids"), ("attention_mask", "mask")):
                batch[f"{kind}_{name}"] = torch.from_numpy(tokens[part][distinct])
            batch[f"{kind}_row"] = torch.from_numpy(row_of_pair)
        # There even where soft labels take their place: Trainer reports no validation loss without them.
        batch["labels"] = torch.from_numpy(self.level[chosen])
        if self.judgement is None:
            return batch
        batch["teacher_log_odds"] = torch.from_numpy(self.judgement.log_odds[chosen])
        if self.judgement.state is not None:
            batch["teacher_state"] = torch.from_numpy(self.judgement.state[chosen])
        if self.judgement.censored is not None:
            batch["censored"] = torch.from_numpy(self.judgement.censored[chosen])
        return batch


def as_is(batch: Any) -> Any:
    """The collator for a dataset that hands out whole batches."""
    return batch
