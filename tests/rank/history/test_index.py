"""Where a window of a list begins and ends is the same, whether lists are searched one by one or together."""

import numpy as np
import pytest

from prectr.rank.history import index as index_module
from prectr.rank.history.index import BehaviourIndex

KEYS, ROWS = 30, 2_000


@pytest.mark.parametrize("singly", [0, 10, 1_000])
def test_windows_are_found_as_by_counting(singly: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "SINGLY", singly)
    draws = np.random.default_rng(0)
    codes = draws.integers(-1, KEYS, ROWS)
    index = BehaviourIndex.build([codes], [KEYS], np.arange(ROWS))
    for asked in (1, 5, 40, 400):
        key, first = draws.integers(-1, KEYS + 1, asked), draws.integers(0, ROWS, asked)
        before = np.minimum(first + draws.integers(0, ROWS, asked), ROWS)
        found = index.count(index.lookup(np.where(key < KEYS, key, -1)), first, before)
        expected = [
            np.count_nonzero(codes[start:end] == code) if code in range(KEYS) else 0
            for code, start, end in zip(key, first, before, strict=True)
        ]
        assert found.tolist() == expected
