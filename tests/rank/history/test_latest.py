"""Of what was shown the latest is known, and the memory does not grow."""

import numpy as np

from prectr.rank.history.latest import LatestRows


def test_the_latest_are_known_and_the_oldest_are_not() -> None:
    latest = LatestRows(10)
    for row in range(100):
        latest.put(row // 4, row % 4, 1000 + row)
        assert all(latest.get(each // 4, each % 4) == 1000 + each for each in range(max(row - 4, 0), row + 1))
    assert latest.get(0, 0) == -1 == latest.get(24, 9)
    assert len(latest._newer.rows) + len(latest._older.rows) <= 10


def test_what_is_shown_again_has_its_last_row() -> None:
    latest = LatestRows(10)
    for row in (1, 2):
        latest.put(5, 6, row)
    assert latest.get(5, 6) == 2


def test_rows_that_are_forgotten_are_of_nothing() -> None:
    latest = LatestRows(4)
    for row in range(4):
        latest.put(0, row, 50 + row)
    latest.forget(np.array([50, 53]))
    assert [latest.get(0, item) for item in range(4)] == [-1, 51, 52, -1]
    latest.put(0, 0, 60)
    assert latest.get(0, 0) == 60
