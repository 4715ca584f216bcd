"""Ranges of settings."""

from typing import Any

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.ranges import check_range


@pytest.mark.parametrize("value", [0, 1, 0.5, 10, 10.0, 2])
def test_what_is_within_or_on_the_edge_passes(value: float) -> None:
    check_range("x", value, 0, 10)


@pytest.mark.parametrize("value", [-1, 10.1, float("nan"), float("inf"), -float("inf"), 10**400, -1e-9])
def test_what_is_not_is_one_short_sentence(value: Any) -> None:
    with pytest.raises(PrectrError, match="^x: found .*; set a number from 0 to 10.$") as raised:
        check_range("x", value, 0, 10)
    assert len(str(raised.value)) < 100
