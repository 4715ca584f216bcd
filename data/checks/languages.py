"""Which language texts are in, as py3langid guesses it offline from letters in a row. [O: where it may be believed]

Product titles are short and half of them names, so one says little: many are read together, and the guess counts where
most of such blocks agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

BLOCK = 50
"""Texts read together."""

MOST_BLOCKS = 20

SURE = 0.8
"""Share of the blocks that must agree: set by us, not measured."""


def language_of(texts: Sequence[str]) -> str | None:
    """The ISO 639-1 code, such as `de`; None where the blocks do not agree, or py3langid is not installed."""
    try:
        from py3langid import classify
    except ModuleNotFoundError:
        return None
    blocks = [texts[start : start + BLOCK] for start in range(0, min(len(texts), BLOCK * MOST_BLOCKS), BLOCK)]
    # Capitals are rare in what it was made from.
    codes = Counter(str(classify("\n".join(block).lower())[0]) for block in blocks)
    if not codes:
        return None
    code, count = codes.most_common(1)[0]
    return code if count >= SURE * codes.total() else None
