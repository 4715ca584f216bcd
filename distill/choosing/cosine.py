"""The cosine of a sentence encoder as a judge: what a cross-encoder made of it was before it was taught [O]."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.training.device import compute_device


class CosineTeacher:
    """`log_odds` is the bare cosine [n, 1]: `prectr.distill.teachers.calibration` turns it into K levels.

    Args:
        location: sentence encoder, folder or hub id. bf16: bfloat16 matrix products.
        identity: of what it was calibrated by, for the fingerprint.
    """

    def __init__(self, location: str, *, bf16: bool, identity: str = "") -> None:
        self.encoder = SentenceTransformer(location, device=compute_device().type, trust_remote_code=False)
        self.bf16 = bf16
        self.fingerprint = hashlib.sha256(repr(("cosine", location, bf16, identity)).encode()).hexdigest()

    def padded_length(self, pair: Pair) -> int:
        """0: texts are encoded one by one."""
        return 0

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        queries, items = ([pair[side] for pair in pairs] for side in (0, 1))
        found = (self._vectors(queries) * self._vectors(items)).sum(1) if len(pairs) else np.zeros(0)
        return Judgement(found[:, None].astype(np.float32))

    def _vectors(self, texts: list[str]) -> np.ndarray:
        """[n, H] of unit length; each distinct text is read once."""
        distinct, row = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
        with torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=self.bf16):
            vectors = self.encoder.encode(distinct.tolist(), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)[row]
