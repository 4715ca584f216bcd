"""Codes of a large vocabulary are those of a small one, whatever way they are found."""

import numpy as np
import pyarrow as pa
import pytest

from prectr.rank.history import codes as codes_module
from prectr.rank.history.codes import encode

VOCABULARY = pa.array([f"name {number}" for number in np.random.default_rng(0).permutation(5000)] + ["", "日本"])
VALUES = pa.chunked_array(
    [["name 17", None, "nobody", "", "日本"], VOCABULARY.slice(100, 50), pa.array([], pa.string())]
)


@pytest.fixture(autouse=True)
def large_already(monkeypatch):
    monkeypatch.setattr(codes_module, "FEW", 100)
    codes_module._recent.clear()


def by_hand(values, vocabulary):
    place = {value: code for code, value in reversed(list(enumerate(vocabulary.to_pylist())))}
    return [place.get(value, -1) for value in values.to_pylist()]


@pytest.mark.parametrize("values", [VALUES, VALUES.combine_chunks(), pa.chunked_array([], pa.string())])
def test_the_second_look_finds_what_the_first_did(values):
    vocabulary = VOCABULARY.slice(3)
    for _ in range(3):
        codes = encode(values, vocabulary)
        assert codes.dtype == np.int32 and codes.tolist() == by_hand(values, vocabulary)
    assert any(isinstance(known, codes_module._SortedHashes) for known in codes_module._recent.values())


def test_values_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(codes_module, "_hashes", lambda values: np.zeros(len(values), np.uint64))
    for _ in range(3):
        assert encode(VALUES, VOCABULARY).tolist() == by_hand(VALUES, VOCABULARY)
    # Of a vocabulary without such values, one that is not in it may have the hash of one that is.
    monkeypatch.setattr(
        codes_module, "_hashes", lambda values: np.array([len(v or "") for v in values.to_pylist()], "u8")
    )
    lengths = pa.array(["x" * length for length in range(150)])
    values = pa.array(["x" * 3, "yyy", None, "y" * 200, ""])
    for _ in range(3):
        assert encode(values, lengths).tolist() == [3, -1, -1, -1, 0]


def test_a_value_twice_in_the_vocabulary_has_the_first_code():
    twice = pa.concat_arrays([VOCABULARY, VOCABULARY])
    for _ in range(2):
        assert encode(VALUES, twice).tolist() == by_hand(VALUES, VOCABULARY)


def test_only_the_last_vocabularies_are_remembered():
    for start in range(100):
        encode(VALUES, VOCABULARY.slice(start))
    assert len(codes_module._recent) == codes_module.REMEMBERED


def test_a_vocabulary_that_grows_is_asked_once_for_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    grown, asked = codes_module.Grown(pa.array(["tea", "cola", "soap"])), list[str | None]()
    of_base = codes_module.Grown._of_base

    def counted(self: codes_module.Grown, values: pa.Array) -> np.ndarray:
        asked.extend(values.to_pylist())
        return of_base(self, values)

    monkeypatch.setattr(codes_module.Grown, "_of_base", counted)
    wanted = pa.array(["soap", "new", None, "tea", "soap"])
    assert grown.encode(wanted).tolist() == [2, -1, -1, 0, 2]
    grown.add("new")
    asked.clear()
    assert grown.encode(wanted).tolist() == [2, 3, -1, 0, 2]
    assert asked == ["new", None], "what is known was looked up again"
    grown.drop("soap")
    assert grown.encode(wanted).tolist() == [-1, 3, -1, 0, -1]
    grown.add("soap")
    assert grown.encode(wanted).tolist() == [4, 3, -1, 0, 4]


def test_few_codes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes_module, "KEPT", 2)
    grown = codes_module.Grown(pa.array([str(number) for number in range(6)]))
    for first in range(5):
        assert grown.encode(pa.array([str(first), str(first + 1)])).tolist() == [first, first + 1]
        assert len(grown._asked) <= 2
