"""Exact matches: counts worked out by hand, and what must not change them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.features.exact_match import NOTHING, STATISTICS, event_weights, match_statistics

EVENTS = torch.tensor([[[7, 1], [7, 1], [8, 1], [7, 2], [7, 1]]])


def statistics(target: list[list[int]], events: torch.Tensor = EVENTS, **changes: torch.Tensor) -> torch.Tensor:
    """One page with four events and an empty place; attributes: item and brand."""
    past = {
        "mask": torch.tensor([[True, True, True, True, False]]),
        "clicked": torch.tensor([[1.0, 0.0, 1.0, 1.0, 1.0]]),
        "days": torch.tensor([[1.0, 1.0, 3.0, 9.0, 0.0]]),
        "same_query": torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0]]),
    }
    return match_statistics(torch.tensor([target]), events, event_weights(**(past | changes)))[0]


def test_counts_by_hand():
    item, brand = statistics([[7, 1]])[0]
    # The item: events 0, 1 and 3 match, 0 and 3 of them clicks of three in all; under the query 0 and 1, one click.
    expected = [math.log(3), 2 / 4, 2.5 / 5, math.log(1 + 10 * (1 / 2 + 1 / 10)), math.log(2), 1 / 2, 1.5 / 4]
    assert item.tolist() == pytest.approx(expected)
    # The brand: events 0, 1 and 2, of them 0 and 2 clicks.
    expected = [math.log(3), 2 / 4, 2.5 / 5, math.log(1 + 10 * (1 / 2 + 1 / 4)), math.log(2), 1 / 2, 1.5 / 4]
    assert brand.tolist() == pytest.approx(expected)


def test_what_is_unknown_or_absent_matches_nothing():
    nothing = [0, 0, 0.25, 0, 0, 0, 0.25]
    assert statistics([[9, 3]])[0].tolist() == [nothing, nothing]
    unknown = statistics([[0, 0]], events=torch.zeros(1, 5, 2, dtype=torch.long))
    assert unknown[0].tolist() == [nothing, nothing]
    assert statistics([[7, 1]], mask=torch.zeros(1, 5, dtype=torch.bool))[0].tolist() == [nothing, nothing]
    empty = {name: torch.zeros(1, 0) for name in ("mask", "clicked", "days", "same_query")}
    none = statistics([[7, 1]], events=torch.zeros(1, 0, 2, dtype=torch.long), **empty)
    assert none[0].tolist() == [nothing, nothing]
    assert list(NOTHING.values()) == nothing and list(NOTHING) == list(STATISTICS)


@given(st.permutations(range(5)), st.integers(0, 2**16))
def test_the_order_of_events_and_of_candidates_changes_nothing(order: list[int], seed: int):
    draw = torch.Generator().manual_seed(seed)
    past = {
        "mask": torch.rand(2, 5, generator=draw) < 0.7,
        "clicked": (torch.rand(2, 5, generator=draw) < 0.5).float(),
        "days": torch.rand(2, 5, generator=draw) * 100,
        "same_query": (torch.rand(2, 5, generator=draw) < 0.5).float(),
    }
    events, target = (torch.randint(0, 4, (2, size, 3), generator=draw) for size in (5, 3))
    found = match_statistics(target, events, event_weights(**past))
    assert found.shape == (2, 3, 3, len(STATISTICS)) and torch.isfinite(found).all()
    shuffled = event_weights(**{name: column[:, order] for name, column in past.items()})
    assert torch.allclose(match_statistics(target, events[:, order], shuffled), found, atol=1e-6)
    assert torch.allclose(match_statistics(target.flip(1), events, event_weights(**past)), found.flip(1), atol=1e-6)
