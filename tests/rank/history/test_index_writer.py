"""An index written range by range is the index built in memory, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.rank.history.index import BehaviourIndex, Part, row_type
from prectr.rank.history.index_writer import write_index
from tests.shared.leftovers import left_by_a_killed_process


def saved(index: BehaviourIndex, folder: Path) -> dict[str, bytes]:
    """What a whole index's files would hold."""
    folder.mkdir()
    for part in ("keys", "offsets", "rows", "totals"):
        if (array := getattr(index, part)) is not None:
            np.save(folder / f"i.{part}.npy", array)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def cut(part: Part, size: int) -> list[Part]:
    """The same rows in parts of `size`, the last of them shorter, or empty."""
    slices = [slice(start, start + size) for start in range(0, len(part.rows) + 1, size)]
    values = part.values
    return [Part([c[s] for c in part.codes], part.rows[s], None if values is None else values[s]) for s in slices]


def check(tmp: Path, part: Part, sizes: list[int], part_size: int, rows_in_memory: int) -> int:
    """Write and compare; returns how many ranges the rows were dealt into."""
    ranges = []

    def parts():
        ranges.append(len(list((tmp / "written").glob(".i.*.part/*"))))
        return iter(cut(part, part_size))

    (tmp / "written").mkdir()
    write_index(tmp / "written", "i", parts, sizes, 1000, rows_in_memory)
    written = {file.name: file.read_bytes() for file in (tmp / "written").iterdir()}
    assert written == saved(BehaviourIndex.build(part.codes, sizes, part.rows, part.values), tmp / "memory")
    return ranges[-1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_index_is_the_same_however_it_is_cut(tmp_path_factory, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, sizes = data.draw(st.integers(0, 400)), data.draw(st.sampled_from([[5], [40], [3, 17], [2, 9, 4]]))
    # Squared: some keys have most of the rows.
    codes = [(rng.random(n) ** 2 * (size + 1)).astype(np.int64) - 1 for size in sizes]
    rows = np.sort(rng.choice(1000, n, replace=False))
    values = rng.random((n, 2)).astype(np.float16) if data.draw(st.booleans()) else None
    part_size, rows_in_memory = data.draw(st.integers(1, 90)), data.draw(st.sampled_from([4, 64, 128, 10_000]))
    check(tmp_path_factory.mktemp("index"), Part(codes, rows, values), sizes, part_size, rows_in_memory)


def test_a_frequent_key_is_dealt_into_a_range_of_its_own(tmp_path):
    code = np.concatenate([np.zeros(500, int), np.full(3000, 1), np.arange(2, 502)])
    order = np.random.default_rng(0).permutation(4000)
    ranges = check(tmp_path, Part([code[order]], np.arange(4000)), [502], part_size=1000, rows_in_memory=256)
    assert ranges >= 3


def test_what_a_killed_run_had_finished_is_not_written_again_and_what_it_had_begun_is(tmp_path):
    part = Part([np.array([1, 0, 1])], np.arange(3))
    left_by_a_killed_process(tmp_path, "i")
    write_index(tmp_path, "i", lambda: iter([part]), [2], 3)
    assert BehaviourIndex.open(tmp_path, "i", [2]).rows.tolist() == [1, 0, 2]
    write_index(tmp_path, "i", lambda: pytest.fail("read again"), [2], 3)
    assert not list(tmp_path.glob(".*"))


def test_an_index_that_two_write_at_once_is_whole(tmp_path):
    part, passes = Part([np.array([1, 0, 1])], np.arange(3)), []

    def parts():
        passes.append(len(passes))
        if passes[-1] == 1:  # the first has begun to deal rows into its files
            write_index(tmp_path, "i", lambda: iter([part]), [2], 3)
        return iter([part])

    write_index(tmp_path, "i", parts, [2], 3)
    assert BehaviourIndex.open(tmp_path, "i", [2]).rows.tolist() == [1, 0, 2]
    assert passes == [0, 1] and not list(tmp_path.glob(".*"))


def test_row_numbers_are_as_wide_as_they_must_be():
    assert row_type(2**31 - 1) is np.int32 and row_type(2**31) is np.int64


def test_an_index_of_many_keys_finds_the_same_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 40, 500), rng.integers(0, 30, 500)]
    index = BehaviourIndex.build(codes, [40, 30], np.arange(500))
    asked = rng.integers(-1, 40, 900), rng.integers(-1, 30, 900)
    found = index.lookup(*asked)
    assert 0 < (found == len(index.keys)).sum() < 900
    monkeypatch.setattr("prectr.rank.history.index.MANY_KEYS", 0)
    np.testing.assert_array_equal(index.lookup(*asked), found)


@pytest.mark.parametrize("many_per_list", [0, 10**9], ids=["narrowed first", "searched whole"])
def test_windows_by_hand_however_they_are_searched(monkeypatch: pytest.MonkeyPatch, many_per_list: int) -> None:
    monkeypatch.setattr("prectr.rank.history.index.MANY_PER_LIST", many_per_list)
    rng = np.random.default_rng(1)
    code = rng.integers(0, 5, 400)
    index = BehaviourIndex.build([code], [5], np.arange(400))
    key = rng.integers(-1, 6, 300)
    since = rng.integers(0, 400, 300)
    before = since + rng.integers(-50, 200, 300)
    begin, end = index.bounds(index.lookup(key), since, before)
    for row in range(300):
        inside = [event for event in range(since[row], before[row]) if event < 400 and code[event] == key[row]]
        assert index.rows[begin[row] : end[row]].tolist() == inside
