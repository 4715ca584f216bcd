"""The student's own start as a judge: MaxSim of vectors that nobody has taught yet, one number a pair.

What a teacher says is worth learning only if it knows more than this [O].
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.encoder.level_encoder import LevelEncoder


class MaxSimTeacher:
    """`log_odds` is the bare MaxSim [n, 1]: `prectr.distill.teachers.calibration` turns it into K levels.

    Args:
        encoder: as `LevelEncoder.maxsim` reads it. identity: of its weights, for the fingerprint.
    """

    def __init__(self, encoder: LevelEncoder, identity: str = "") -> None:
        self.encoder = encoder.eval()
        self.fingerprint = hashlib.sha256(f"MaxSim {identity}".encode()).hexdigest()

    @classmethod
    def open(cls, folder: Path, identity: str) -> MaxSimTeacher:
        """The one whose encoder was saved to `folder`."""
        return cls(LevelEncoder.from_pretrained(folder), identity)

    def padded_length(self, pair: Pair) -> int:
        """0: texts are encoded one by one."""
        return 0

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        queries, items = [query for query, _ in pairs], [item for _, item in pairs]
        found = self.encoder.maxsim(queries, items) if len(pairs) else np.zeros(0, np.float32)
        return Judgement(found[:, None].astype(np.float32))
