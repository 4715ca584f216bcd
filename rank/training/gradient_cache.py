"""The text encoder learns in every pass: gradient caching over groups of batches. [O, after Gao et al., RepL4NLP 2021]

Impressions are many, their texts few. So the distinct texts of a group of batches are encoded once. Every batch reads
their vectors and leaves its gradient there; behind the group's last batch the sums go back through the encoder, which
then takes one step. In between it stands still: all batches of a group read the encoder as it is, and the step is that
of their summed loss.

The pooled vectors of all item texts, which past events are read by, are renewed as their texts are encoded.
"""

from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prectr.rank.inputs.batch import Batch
from prectr.rank.inputs.text_tables import TextTables
from prectr.rank.inputs.texts import Texts, token_tensors
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.run import launch
from prectr.shared.training.device import autocast, has_bf16
from prectr.shared.training.whole_batch import sum_of_all

TEXTS_AT_ONCE = 256  # that go through the encoder together, of like length

Kind = Literal["query", "item"]


class _Group(NamedTuple):
    """The distinct queries, or item texts, of a group of batches."""

    used: Tensor  # [n] int64, ascending, rows of `Texts`
    ids: Tensor  # [n, L]
    mask: Tensor  # [n, L]
    vectors: TokenVectors  # of all of them, without gradient
    contextual_gradient: Tensor  # as `vectors.contextual`
    pooled_gradient: Tensor  # as `vectors.pooled`


class _Read(NamedTuple):
    """What a batch reads of a group."""

    group: _Group
    rows: Tensor
    contextual: Tensor | None
    pooled: Tensor


class GradientCache:
    """
    Args:
        encoder: learns. texts: every text that occurs. tables: pooled vectors of all, renewed in place; None: nobody
            reads any. bf16: matrix products in bfloat16, where the machine has them.
    """

    def __init__(self, encoder: LevelEncoder, texts: Texts, tables: TextTables | None, bf16: bool) -> None:
        self.encoder, self.texts, self.tables, self.bf16 = encoder, texts, tables, bf16
        self._groups: dict[Kind, _Group] = {}
        self._reads: list[_Read] = []

    def open(self, queries: np.ndarray, items: np.ndarray) -> None:
        """Encode the distinct queries and item texts of the next batches, ascending rows of `Texts`."""
        self._groups = {
            "query": self._encoded(self.texts.query, queries),
            "item": self._encoded(self.texts.item, items),
        }
        if self.tables is not None:
            for kind, group in self._groups.items():
                table = getattr(self.tables, kind)
                known = group.used < len(table)  # texts of the replay alone are nobody's past
                table[group.used[known]] = group.vectors.pooled[known].to(table.dtype)

    def fill(self, batch: Batch) -> None:
        """Give a batch the vectors of its texts: those of the group with their gradients kept, others as they are."""
        batch["query_tokens"] = self._read("query", batch["pair_queries"])
        batch["item_tokens"] = self._read("item", batch["pair_items"])
        if self.tables is None or "item_used" not in batch:  # the warm-up shows no impressions
            return
        self.tables.fill(batch)
        batch["query_table"] = self._with_gradient("query", batch["query_used"], batch["query_table"])
        batch["item_table"] = self._with_gradient("item", batch["item_used"], batch["item_table"])

    def collect(self) -> None:
        """Add up the gradients that a batch has left."""
        for group, rows, contextual, pooled in self._reads:
            if contextual is not None and contextual.grad is not None:
                group.contextual_gradient.index_add_(0, rows, contextual.grad)
            if pooled.grad is not None:
                group.pooled_gradient.index_add_(0, rows, pooled.grad)
        self._reads.clear()

    def backward(self) -> None:
        """Take the group's gradients back through the encoder: its parameters' gradients are then the whole batch's of
        all processes, each of which has taken its share of the texts."""
        for group in self._groups.values():
            gradients = [group.contextual_gradient, group.pooled_gradient]
            contextual, pooled = (sum_of_all(each) / launch.num_processes() for each in gradients)
            order = torch.argsort(group.mask.sum(1), stable=True)
            own = order[launch.rank() :: launch.num_processes()]
            for rows in own.split(TEXTS_AT_ONCE) if len(own) else ():
                with self._autocast():
                    found = self.encoder.encode_by_length(group.ids[rows], group.mask[rows])
                width = found.contextual.shape[1]
                torch.autograd.backward(
                    [found.contextual, found.pooled],
                    [contextual[rows, :width].to(found.contextual.dtype), pooled[rows].to(found.pooled.dtype)],
                )
        self._groups = {}
        if launch.num_processes() > 1:
            for parameter in self.learnt:
                if parameter.grad is not None:  # the pooler that some encoders have is read by nobody
                    parameter.grad = sum_of_all(parameter.grad)

    @property
    def learnt(self) -> list[Tensor]:
        """The parameters that vectors of texts depend on; the level head has its gradient from every batch."""
        head = {id(parameter) for parameter in self.encoder.head.parameters()}
        return [each for each in self.encoder.parameters() if each.requires_grad and id(each) not in head]

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self.encoder.device, self.bf16)

    @property
    def _product_dtype(self) -> torch.dtype:
        """What matrix products read."""
        return torch.bfloat16 if self.bf16 and has_bf16(self.encoder.device) else torch.float32

    @torch.no_grad()
    def _encoded(self, tokens: dict[str, np.ndarray], used: np.ndarray) -> _Group:
        device = self.encoder.device
        ids, mask = (each.to(device) for each in token_tensors(tokens, used))
        order = torch.argsort(mask.sum(1), stable=True)
        with self._autocast():
            parts = [
                self.encoder.encode_by_length(ids[rows], mask[rows]).pad(ids.shape[1])
                for rows in order.split(TEXTS_AT_ONCE)
            ]
        sorted_ = TokenVectors(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
        vectors = sorted_.take(torch.argsort(order))
        vectors = vectors._replace(
            contextual=vectors.contextual.float(),
            static=vectors.static.to(self._product_dtype),  # never learns: kept as similarities are computed
            pooled=vectors.pooled.float(),
        )
        zeros = torch.zeros_like(vectors.contextual), torch.zeros_like(vectors.pooled)
        return _Group(torch.from_numpy(used).to(device), ids, mask, vectors, *zeros)

    def _read(self, kind: Kind, numbers: Tensor) -> TokenVectors:
        """The tokens of texts of the group [n], their gradients kept."""
        group = self._groups[kind]
        rows = torch.searchsorted(group.used, numbers)
        found = group.vectors.take(rows)
        found.contextual.requires_grad_()
        found.pooled.requires_grad_()
        self._reads.append(_Read(group, rows, found.contextual, found.pooled))
        return found

    def _with_gradient(self, kind: Kind, numbers: Tensor, table: Tensor) -> Tensor:
        """Pooled vectors [n, V] of texts; those that the group has are read there."""
        group = self._groups[kind]
        rows = torch.searchsorted(group.used, numbers).clamp(max=len(group.used) - 1)
        known = torch.nonzero(group.used[rows] == numbers).flatten()
        pooled = group.vectors.pooled[rows[known]].requires_grad_()
        self._reads.append(_Read(group, rows[known], None, pooled))
        return table.index_copy(0, known, pooled)
