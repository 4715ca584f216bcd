"""The one interface of all teachers: pairs in, log-odds of the levels out.

A new kind of teacher is a class like `Teacher` in a file of its own; `panel.py` says how it is taught and opened
(`_teach_member`, `_open_bare`) and which settings decide it (`SETTINGS`), `distill/models/sources.py` which names stand
for it (`Role`, `find_teacher`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Pair = tuple[str, str]
"""(query, item text)"""


@dataclass(frozen=True)
class Judgement:
    """What a teacher says of n pairs.

    A pair the teacher could not judge has NaN in its row of `log_odds`; it is reported and never becomes a label.
    """

    log_odds: np.ndarray  # [n, K] float32: log-probabilities of the levels among each other
    state: np.ndarray | None = None  # [n, H] float32: a pooled state, if the teacher has one
    censored: np.ndarray | None = None  # [n, K] bool: True where log_odds is only known to be at most what is given

    def take(self, rows: np.ndarray) -> Judgement:
        state, censored = (None if part is None else part[rows] for part in (self.state, self.censored))
        return Judgement(self.log_odds[rows], state, censored)

    @property
    def level_prob(self) -> np.ndarray:
        """[n, K], rows sum to 1; a censored level counts with its bound."""
        return np.exp(self.log_odds - np.logaddexp.reduce(self.log_odds, axis=1, keepdims=True))


class Teacher(Protocol):
    """Anything that judges pairs. `fingerprint` changes whenever a judgement might."""

    fingerprint: str

    def padded_length(self, pair: Pair) -> int:
        """The fixed length a pair is padded to; pairs of one length are scored together."""

    def score(self, pairs: Sequence[Pair]) -> Judgement: ...
