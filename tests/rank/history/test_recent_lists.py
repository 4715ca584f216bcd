"""Lists of rows say what plain lists would, however they grow and shrink."""

from bisect import bisect_left, insort

import numpy as np
import pytest

from prectr.rank.history.recent_lists import RecentLists

FIRST_ROW = 1 << 33


def values(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows - FIRST_ROW, (rows - FIRST_ROW) ** 2], 1)


@pytest.mark.parametrize("seed", range(3))
def test_rows_and_sums_are_those_of_plain_lists(seed: int) -> None:
    draws, lists, expected = np.random.default_rng(seed), RecentLists(FIRST_ROW, values), dict[int, list[int]]()
    for batch in range(60):
        keys = (draws.zipf(1.4, 20) % 40).astype(np.int64) << 40
        rows = FIRST_ROW + 20 * batch + np.arange(20)
        if batch % 7 == 3:  # rows that come late
            rows = FIRST_ROW + np.sort(draws.choice(1 << 20, 20, replace=False)) + (1 << 20)
        fresh = [place for place in range(20) if rows[place] not in expected.get(int(keys[place]), [])]
        keys, rows = keys[fresh], rows[fresh]
        lists.add(keys, rows)
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True):
            insort(expected.setdefault(key, []), row)
        for key in draws.choice(sorted(expected), 3).tolist():
            if expected[key]:
                lists.remove(key, row := expected[key][int(draws.integers(len(expected[key])))])
                expected[key].remove(row)
            lists.remove(key, FIRST_ROW - 1)
    lists.remove(12345, FIRST_ROW)
    sums = {key: values(np.array(rows, np.int64)).sum(0).tolist() for key, rows in expected.items()}
    assert lists.contents() == {key: (rows, sums[key]) for key, rows in expected.items()}
    assert max(map(len, expected.values())) > 130, "no list is long"
    for key, rows in expected.items():
        number = lists.numbers.get(key)
        begin, end = sorted(draws.integers(0, len(rows) + 1, 2).tolist())
        assert lists.rows(number, begin, end).tolist() == rows[begin:end]
        assert lists.total(number, begin, end).tolist() == values(np.array(rows[begin:end], np.int64)).sum(0).tolist()
        row = FIRST_ROW + int(draws.integers(1 << 12))
        assert lists.before(number, row) == bisect_left(rows, row)


def test_a_user_of_seven_rows_takes_few_bytes() -> None:
    lists = RecentLists()
    users = np.arange(5_000, dtype=np.int64)
    for row in range(7):
        lists.add(users, row * 5_000 + users)
    held = sum(slots._rows.itemsize * len(slots._rows) for slots in lists._slots.values())
    assert held + 5 * 5_000 < 80 * 5_000 and not lists._long
