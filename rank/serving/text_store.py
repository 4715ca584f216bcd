"""The token vectors of a catalogue's texts, encoded once, and of the latest queries. [O]"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy, deepcopy
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prectr.rank.inputs.texts import token_tensors
from prectr.shared.encoder.level_encoder import LENGTH_STEP, LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.training.device import autocast, compute_device, has_bf16

TEXTS_AT_ONCE = 512
QUERIES_KEPT = 10_000


class _Kept(NamedTuple):
    """What is kept of n texts; a token's static vector is the encoder's own row, so it is looked up when needed."""

    ids: Tensor  # [n, L] int32
    weight: Tensor  # [n, L]
    contextual: Tensor  # [n, L, vector_size]
    pooled: Tensor  # [n, hidden_size]

    def take(self, rows: Tensor) -> _Kept:
        return _Kept(*(part.index_select(0, rows) for part in self))

    def cut(self) -> _Kept:
        """Without the places behind the last token of all."""
        used = int((self.weight > 0).any(0).nonzero().flatten()[-1:].sum()) + 1
        length = min(-(-used // LENGTH_STEP) * LENGTH_STEP, self.ids.shape[1])
        return _Kept(self.ids[:, :length], self.weight[:, :length], self.contextual[:, :length], self.pooled)


class TextStore:
    """Token vectors by one encoder, of item texts by number and of queries by text; for many threads.

    Texts are numbered in the order in which they are added. Blocks that were added one by one are merged as they grow,
    so that adding costs little however many there are; a block that was read stays as it was.
    """

    def __init__(self, encoder: LevelEncoder, bf16: bool) -> None:
        self.encoder, self._bf16 = encoder.to(compute_device()).eval(), bf16
        self._reader = _narrow(self.encoder) if bf16 and has_bf16(self.encoder.device) else self.encoder
        self._blocks: list[_Kept] = []
        self._queries: OrderedDict[str, TokenVectors] = OrderedDict()
        self._lock = Lock()
        self.query_hits = self.query_misses = 0

    def __len__(self) -> int:
        return sum(len(block.ids) for block in self._blocks)

    @torch.inference_mode()
    def add(self, texts: Sequence[str]) -> Tensor:
        """Encode item texts, whose numbers follow those there are; returns their pooled vectors [n, V]."""
        ids, mask = token_tensors(self.encoder.tokenize(texts, "item"))
        parts = []
        with autocast(self.encoder.device, self._bf16):
            for some in zip(ids.split(TEXTS_AT_ONCE), mask.split(TEXTS_AT_ONCE), strict=True):
                here = [part.to(self.encoder.device) for part in some]
                vectors = self._reader.encode_by_length(*here).pad(ids.shape[1])
                parts.append(_Kept(here[0].int(), vectors.weight, vectors.contextual, vectors.pooled))
        block = _joined(parts)
        with self._lock:
            blocks = [*self._blocks, block]
            # The first block is the catalogue as it was opened: large, and left alone.
            while len(blocks) > 2 and len(blocks[-1].ids) >= len(blocks[-2].ids):
                blocks[-2:] = [_joined(blocks[-2:])]
            self._blocks = blocks
        return block.pooled

    def keep(self, size: int) -> None:
        """Take back the texts from number `size` on."""
        kept, start = [], 0
        for block in self._blocks:
            length = min(len(block.ids), size - start)
            if length > 0:
                # A copy: a part of a block would hold all of it in memory.
                kept.append(block if length == len(block.ids) else _Kept(*(part[:length].clone() for part in block)))
            start += len(block.ids)
        with self._lock:
            self._blocks = kept

    @torch.inference_mode()
    def items(self, numbers: np.ndarray) -> TokenVectors:
        """Token vectors of the texts `numbers` [n], as long as the longest needs."""
        kept, order, start = [], [], 0
        for block in self._blocks:
            mine = np.flatnonzero((numbers >= start) & (numbers < start + len(block.ids)))
            if len(mine):
                kept.append(block.take(torch.from_numpy(numbers[mine].astype(np.int64) - start).to(block.ids.device)))
                order.append(mine)
            start += len(block.ids)
        together = _joined(kept)
        if len(kept) > 1:
            together = together.take(torch.from_numpy(np.argsort(np.concatenate(order))).to(together.ids.device))
        together = together.cut()
        static = self.encoder.text_encoder.get_input_embeddings()(together.ids.long())
        return TokenVectors(
            contextual=together.contextual,
            static=F.normalize(static, dim=-1).to(together.contextual.dtype),
            mask=together.weight > 0,
            weight=together.weight,
            pooled=together.pooled,
        )

    def query(self, query: str) -> TokenVectors:
        """Token vectors of one query [1, L], kept for the next time."""
        with self._lock:
            if query in self._queries:
                self._queries.move_to_end(query)
                self.query_hits += 1
                return self._queries[query]
            self.query_misses += 1
        vectors = self._encoded_query(query)
        with self._lock:
            self._queries[query] = vectors
            while len(self._queries) > QUERIES_KEPT:
                self._queries.popitem(last=False)
        return vectors

    @torch.inference_mode()
    def _encoded_query(self, query: str) -> TokenVectors:
        ids, mask = (part.to(self.encoder.device) for part in token_tensors(self.encoder.tokenize([query], "query")))
        length = min(-(-int(mask.sum()) // LENGTH_STEP) * LENGTH_STEP, ids.shape[1])
        with autocast(self.encoder.device, self._bf16):
            return self._reader.encode(ids[:, :length], mask[:, :length]).pad(ids.shape[1])


def _narrow(encoder: LevelEncoder) -> LevelEncoder:
    """The encoder with the weights of its matrix products in bfloat16: autocast would cast them anew for every query,
    which takes longer than to read it."""
    embeddings = encoder.text_encoder.get_input_embeddings()
    narrow = copy(encoder)
    narrow._modules = dict(encoder._modules)
    narrow.text_encoder = deepcopy(encoder.text_encoder, {id(embeddings): embeddings})
    narrow.projection = deepcopy(encoder.projection)
    for module in (*narrow.text_encoder.modules(), narrow.projection):
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return narrow


def _joined(parts: Sequence[_Kept]) -> _Kept:
    return parts[0] if len(parts) == 1 else _Kept(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
