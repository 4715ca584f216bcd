"""Exact matches: counts worked out by hand, and what must not change them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.inputs.exact_match import STATISTICS, match_statistics, no_matches


def statistics(target: list[list[int]], **changes: torch.Tensor) -> torch.Tensor:
    """One page with four events and an empty place; attributes: item and brand."""
    past = {
        "events": torch.tensor([[[7, 1], [7, 1], [8, 1], [7, 2], [7, 1]]]),
        "mask": torch.tensor([[True, True, True, True, False]]),
        "clicked": torch.tensor([[1.0, 0.0, 1.0, 1.0, 1.0]]),
        "days": torch.tensor([[1.0, 1.0, 3.0, 9.0, 0.0]]),
        "same_query": torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0]]),
        "page": torch.zeros(len(target), dtype=torch.long),
    }
    return match_statistics(torch.tensor(target), **(past | changes)).unflatten(1, (-1, len(STATISTICS)))


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
    assert torch.equal(no_matches(2), none[0].flatten())


@given(st.permutations(range(5)), st.integers(0, 2**16))
def test_the_order_of_events_and_of_candidates_changes_nothing(order: list[int], seed: int):
    draw = torch.Generator().manual_seed(seed)
    past = {
        "events": torch.randint(0, 4, (2, 5, 3), generator=draw),
        "mask": torch.rand(2, 5, generator=draw) < 0.7,
        "clicked": (torch.rand(2, 5, generator=draw) < 0.5).float(),
        "days": torch.rand(2, 5, generator=draw) * 100,
        "same_query": (torch.rand(2, 5, generator=draw) < 0.5).float(),
    }
    target, page = torch.randint(0, 4, (6, 3), generator=draw), torch.tensor([0, 0, 0, 1, 1, 1])
    found = match_statistics(target, **past, page=page)
    assert torch.isfinite(found).all()
    shuffled = {name: column[:, order] for name, column in past.items()}
    assert torch.allclose(match_statistics(target, **shuffled, page=page), found, atol=1e-6)
    back = torch.arange(5, -1, -1)
    assert torch.allclose(match_statistics(target[back], **past, page=page[back]), found[back], atol=1e-6)
