"""The token vectors of a catalogue's texts, encoded once, and of queries: those of the log, and the latest. [O]"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from prectr.rank.history.codes import Grown
from prectr.rank.serving.texts.kept_texts import KeptTexts
from prectr.rank.serving.texts.text_block import TEXTS_AT_ONCE, TextBlock, encoded, nothing
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.training.device import compute_device

QUERIES_KEPT = 10_000


class TextStore:
    """Token vectors by one encoder, of item texts by number and of queries by text; for many threads.

    Texts are numbered in the order in which they are added. Blocks that were added one by one are merged as they grow,
    so that adding costs little however many there are; a block that was read stays as it was.

    Args:
        kept: the first texts, and queries that are known; None: there are none. reader: the same encoder, faster with
            one query (`Exported.reader`), though not with many texts; None: torch reads all.

    Attributes:
        encoder: what reads queries, and compares texts.
    """

    def __init__(
        self, encoder: LevelEncoder, kept: KeptTexts | None = None, reader: LevelEncoder | None = None
    ) -> None:
        encoder = encoder.to(compute_device()).eval()
        self.encoder, self._reader = reader or encoder, encoder
        self._blocks: list[TextBlock] = []
        self._known, self._of_known = Grown(pa.array([], pa.string())), nothing(self.encoder)
        if kept is not None:
            self._blocks.append(kept.items.on(self.encoder.device))
            self._known = Grown(pa.array(kept.query_texts, pa.string()))
            self._of_known = kept.queries.on(self.encoder.device)
        self._queries: OrderedDict[str, TokenVectors] = OrderedDict()
        self._lock = Lock()
        self.query_hits = self.query_misses = 0

    def __len__(self) -> int:
        return sum(block.size for block in self._blocks)

    def pooled(self) -> Tensor:
        """Pooled vectors [n, V] of all item texts."""
        return torch.cat([block.pooled for block in self._blocks])

    def add(self, texts: Sequence[str]) -> Tensor:
        """Encode item texts, whose numbers follow those there are; returns their pooled vectors [n, V]."""
        block = TextBlock.joined(list(encoded(self._reader, texts, "item")))
        with self._lock:
            blocks = [*self._blocks, block]
            # The first block is the catalogue as it was opened: large, and left alone.
            while len(blocks) > 2 and blocks[-1].size >= blocks[-2].size:
                blocks[-2:] = [TextBlock.joined(blocks[-2:])]
            self._blocks = blocks
        return block.pooled

    def keep(self, size: int) -> None:
        """Take back the texts from number `size` on."""
        kept, start = [], 0
        for block in self._blocks:
            length = min(block.size, size - start)
            if length > 0:
                # A copy: a part of a block would hold all of it in memory.
                kept.append(block if length == block.size else block.first(length))
            start += block.size
        with self._lock:
            self._blocks = kept

    @torch.inference_mode()
    def states(self, query: str, numbers: np.ndarray) -> Tensor:
        """Relevance states [n, S], float32, of a query with the item texts `numbers` [n]."""
        block, rows = self._rows(numbers)
        asked = self.query(query)
        parts = [block.states(asked, some, self.encoder) for some in rows.split(TEXTS_AT_ONCE)]
        return torch.cat(parts)

    def _rows(self, numbers: np.ndarray) -> tuple[TextBlock, Tensor]:
        """A block that holds the texts `numbers` [n], and their rows in it."""
        blocks = self._blocks
        rows = torch.from_numpy(numbers.astype(np.int64)).to(self.encoder.device)
        if len(blocks) == 1 or not len(rows) or int(rows.max()) < blocks[0].size:
            return blocks[0], rows
        taken, order, start = [], [], 0
        for block in blocks:
            mine = torch.nonzero((rows >= start) & (rows < start + block.size)).flatten()
            if len(mine):
                taken.append(block.rows(rows[mine] - start))
                order.append(mine)
            start += block.size
        return TextBlock.joined(taken), torch.argsort(torch.cat(order))

    def query(self, query: str) -> TokenVectors:
        """Token vectors of one query [1, L], kept for the next time."""
        with self._lock:
            if query in self._queries:
                self._queries.move_to_end(query)
                self.query_hits += 1
                return self._queries[query]
            self.query_misses += 1
        vectors = self._read(query)
        with self._lock:
            self._queries[query] = vectors
            while len(self._queries) > QUERIES_KEPT:
                self._queries.popitem(last=False)
        return vectors

    @torch.inference_mode()
    def _read(self, query: str) -> TokenVectors:
        row, block = int(self._known.encode(pa.array([query], pa.string()))[0]), self._of_known
        if row < 0:
            row, block = 0, next(encoded(self.encoder, [query], "query"))
        return block.vectors(torch.tensor([row], device=self.encoder.device), self.encoder)
