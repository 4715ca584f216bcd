"""All texts of a run through the encoder as it stands, each once, and the states of their pairs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rank.inputs import Texts
from rank.pair_features import number_pairs
from shared.console import progress_bar
from shared.encoder import LevelEncoder, TokenVectors
from shared.precision import has_bf16
from shared.steps import atomic_write

TEXTS_AT_ONCE = 512
PAIRS_AT_ONCE = 1 << 18


class TextVectors:
    """The token vectors of every text.

    Args:
        encoder: read as it is, in evaluation mode. texts: every text that will occur. bf16: matrix products in
            bfloat16, where the machine has them.
    """

    def __init__(self, encoder: LevelEncoder, texts: Texts, bf16: bool) -> None:
        self.encoder, self.bf16 = encoder.eval(), bf16 and has_bf16()
        with torch.inference_mode(), self.autocast():
            self.query, self.item = self._encode(texts.query), self._encode(texts.item)

    def autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bf16)

    def _encode(self, tokens: dict[str, np.ndarray]) -> TokenVectors:
        ids, mask = (torch.from_numpy(tokens[name].astype(np.int64)) for name in ("input_ids", "attention_mask"))
        chunks = zip(ids.split(TEXTS_AT_ONCE), mask.split(TEXTS_AT_ONCE), strict=True)
        parts = [self.encoder.encode_by_length(*chunk).pad(ids.shape[1]) for chunk in chunks]
        return TokenVectors(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def states(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """States [D, S] of the distinct pairs among n, and the place of each of the n among them [n]."""
        pairs, place = number_pairs(query_text, item_text, len(self.item.mask))
        states = torch.empty(len(pairs), self.encoder.state_size)
        for which, features in self._features(pairs):
            states[which] = self.encoder.head.state_of(features).float()
        return states, place

    @torch.inference_mode()
    def write_features(self, query_text: np.ndarray, item_text: np.ndarray, path: Path) -> None:
        """Write what the level head reads of the distinct pairs among n to `path` (.npy): float32 [D, F]."""
        pairs, _ = number_pairs(query_text, item_text, len(self.item.mask))
        bar = progress_bar("features of pairs of texts", len(pairs), "pairs")
        with atomic_write(path) as temporary, self.autocast(), bar as advance:
            shape = (len(pairs), len(self.encoder.head.shift))
            values = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            for start in range(0, len(pairs), PAIRS_AT_ONCE):
                for which, features in self._features(pairs[start : start + PAIRS_AT_ONCE]):
                    values[start + which.numpy()] = features.float().numpy()
                    advance(len(which))
            values.flush()

    def _features(self, pairs: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """(Which of the pairs [b], what the level head reads of them [b, F])."""
        query, item = (torch.from_numpy(part) for part in np.divmod(pairs, len(self.item.mask)))
        yield from self.encoder.features_of_rows(self.query, self.item, query, item)
