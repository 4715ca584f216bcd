"""Keys have the numbers that a dict would give them, however many there are."""

import numpy as np

from prectr.rank.history.key_table import KeyTable


def test_keys_are_numbered_in_the_order_of_their_first_time() -> None:
    draws = np.random.default_rng(0)
    # Small ones, ones that differ high up alone, and the largest there may be.
    keys = np.concatenate([draws.integers(0, 500, 2_000), draws.integers(0, 2_000, 4_000) << 50, [0, (1 << 62) - 1]])
    table, numbers = KeyTable(), dict[int, int]()
    for key in keys.tolist():
        assert table.add(key) == numbers.setdefault(key, len(numbers))
    assert len(table) == len(numbers)
    assert table.keys().tolist() == list(numbers)
    asked = np.concatenate([keys, draws.integers(0, 1 << 62, 500), [-1, 1 << 61]])
    expected = [numbers.get(key, -1) for key in asked.tolist()]
    assert table.find(asked).tolist() == expected
    assert [table.get(key) for key in asked[asked >= 0].tolist()] == [
        e for e, a in zip(expected, asked, strict=True) if a >= 0
    ]


def test_many_at_once_are_numbered_as_one_by_one() -> None:
    draws = np.random.default_rng(1)
    ours, theirs = KeyTable(), KeyTable()
    for size in (0, 1, 5, 700, 3_000, 20):
        keys = draws.integers(0, 4_000, size) << draws.integers(0, 40)
        assert ours.add_all(keys).tolist() == [theirs.add(key) for key in keys.tolist()]
        assert ours.keys().tolist() == theirs.keys().tolist()
        assert ours.add(7) == theirs.add(7) and ours.get(7) == theirs.get(7)


def test_an_empty_table_knows_nothing() -> None:
    assert KeyTable().get(3) == -1 and KeyTable().find(np.array([3, -1])).tolist() == [-1, -1]
    assert not len(KeyTable().keys())
