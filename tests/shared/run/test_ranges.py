"""Ranges of settings."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.ranges import Ranged, check_range


@pytest.mark.parametrize("value", [0, 1, 0.5, 10, 10.0, 2])
def test_what_is_within_or_on_the_edge_passes(value: float) -> None:
    check_range("x", value, 0, 10)


@pytest.mark.parametrize("value", [-1, 10.1, float("nan"), float("inf"), -float("inf"), 10**400, -1e-9, "1", True])
def test_what_is_not_is_one_short_sentence(value: Any) -> None:
    with pytest.raises(PrectrError, match="^x: found .*; set a number from 0 to 10.$") as raised:
        check_range("x", value, 0, 10)
    assert len(str(raised.value)) < 100


@dataclass
class Settings(Ranged):
    sizes: list[int] = field(default_factory=lambda: [1], metadata={"range": (1, 9)})
    most: int | None = field(default=None, metadata={"range": (1, 9)})


def test_every_number_of_a_list_counts_and_none_may_stand_for_all() -> None:
    assert (Settings([9, 1], 9).most, Settings([]).most) == (9, None)
    for sizes, most in (([3, 0], None), ([3, float("nan")], None), ([3], 10)):
        with pytest.raises(PrectrError, match="^(sizes|most): found (0|nan|10); set a number from 1 to 9.$"):
            Settings(sizes, most)
