"""Names have the numbers that a dict would give them, and one that is dropped is nowhere."""

import numpy as np
import pyarrow as pa
import pytest

from prectr.rank.history import names as module
from prectr.rank.history.names import GrownNames, Names


def test_names_are_numbered_in_the_order_of_their_first_time() -> None:
    draws = np.random.default_rng(0)
    given = [f"ü{number}" for number in draws.integers(0, 300, 1_000).tolist()] + ["", "a\0b", "\ud800"]
    names, numbers = Names(), dict[str, int]()
    for name in given:
        assert names.add(name) == numbers.setdefault(name, len(numbers))
    assert len(names) == len(numbers) and [names[number] for number in range(len(names))] == list(numbers)
    assert all(names.get(name) == number for name, number in numbers.items())
    assert names.get("nobody") == -1 == Names().get("nobody")


def test_names_of_one_hash_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "hash", lambda of: 10 + of[1] if isinstance(of, tuple) else 7, raising=False)
    names = Names()
    assert (names.add("a"), names.add("b")) == (0, 1)
    assert (names.get("a"), names.get("b"), names.get("c")) == (0, 1, -1)


def test_a_name_that_is_dropped_gets_another_number_and_leaves_no_letters() -> None:
    names = Names(["tea", "cola"])
    names.drop("tea")
    assert names.get("tea") == -1 and b"tea" not in names._letters
    assert names.add("tea") == 2 and names.get("cola") == 1


def test_a_vocabulary_of_names_grows_behind_its_base() -> None:
    grown, wanted = GrownNames(pa.array(["ann", "bob"])), pa.array(["cid", None, "bob", "dan"])
    assert grown.encode(wanted).tolist() == [-1, -1, 1, -1]
    assert grown.add_all(["cid", None, "bob", "cid", "dan"]).tolist() == [2, -1, 1, 2, 3]
    assert grown.encode(wanted).tolist() == [2, -1, 1, 3] and len(grown) == 4
    assert [grown[code].as_py() for code in range(4)] == ["ann", "bob", "cid", "dan"]
    for name in ("cid", "bob"):
        grown.drop(name)
    assert grown.encode(wanted).tolist() == [-1, -1, -1, 3]
    assert (grown.add("bob"), grown.add("cid")) == (4, 5) and grown.encode(wanted).tolist() == [5, -1, 4, 3]
    with pytest.raises(NotImplementedError):
        grown.keep(3)
