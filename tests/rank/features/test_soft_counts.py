"""Soft counts: worked out by hand, and what must not change them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.features.exact_match import STATISTICS, event_weights, match_statistics
from prectr.rank.features.soft_counts import KERNELS, UNLIKE_ANYTHING, soft_statistics


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors in a plane, one page of them."""
    angle = torch.tensor([degrees]).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], -1)


def named(target: torch.Tensor, events: torch.Tensor, **past: list[float]) -> dict[str, float]:
    weights = event_weights(*(torch.tensor([past[name]]) for name in ("mask", "clicked", "days", "same_query")))
    return dict(zip(UNLIKE_ANYTHING, soft_statistics(target, events, weights)[0, 0].tolist(), strict=True))


def test_counts_by_hand():
    # Cosines 1, 0, .5 to clicks 1, 3 and 9 days ago, .5 to what was skipped, and an empty place.
    found = named(
        at(0), at(0, 90, 60, -60, 0),
        mask=[1, 1, 1, 1, 0], clicked=[1, 1, 1, 0, 1], days=[1, 3, 9, 1, 0], same_query=[0, 1, 1, 1, 1],
    )  # fmt: skip
    assert found["100_clicks"] == pytest.approx(math.log(2), abs=1e-4)
    assert found["100_share"] == pytest.approx(1 / 4, abs=1e-4)
    assert found["100_rate"] == pytest.approx(1.5 / 3, abs=1e-4)
    assert found["100_recency"] == pytest.approx(math.log(1 + 10 / 2), abs=1e-4)
    assert found["100_clicks_under_query"] == pytest.approx(0, abs=1e-4)
    # A cosine of 0 or 1 under the kernel at .5, and .5 under the one at 0.
    far, farther = math.exp(-0.5 * (0.5 / 0.1) ** 2), math.exp(-0.5 * (0.5 / 0.12) ** 2)
    assert found["50_rate"] == pytest.approx((1 + 2 * far + 0.5) / (2 + 2 * far + 2), abs=1e-4)
    assert found["50_clicks_under_query"] == pytest.approx(math.log(1 + 1 + far), abs=1e-4)
    assert found["50_rate_under_query"] == pytest.approx((1 + far + 0.5) / (2 + far + 2), abs=1e-4)
    assert found["0_recency"] == pytest.approx(math.log(1 + 10 * (1 / 4 + farther / 10)), abs=1e-4)
    assert (found["nearest"], found["nearest_under_query"]) == pytest.approx((1, 0.5), abs=1e-5)
    assert found["recent_mean"] == pytest.approx((1 / 2 + 0 + 0.5 / 10) / (1 / 2 + 1 / 4 + 1 / 10), abs=1e-5)
    assert (found["mean"], found["skipped_mean"]) == pytest.approx((0.5, 0.5), abs=1e-5)


@pytest.mark.parametrize("places", [0, 3])
def test_without_events_nothing_is_like_the_candidate(places):
    nobody = torch.zeros(1, places)
    found = soft_statistics(at(0, 10), torch.zeros(1, places, 2), event_weights(nobody, nobody, nobody, nobody))
    assert found.shape == (1, 2, len(UNLIKE_ANYTHING))
    assert found[0].tolist() == [list(UNLIKE_ANYTHING.values())] * 2


def past(draw: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "mask": torch.rand(2, 5, generator=draw) < 0.7,
        "clicked": (torch.rand(2, 5, generator=draw) < 0.5).float(),
        "days": torch.rand(2, 5, generator=draw) * 100,
        "same_query": torch.rand(2, 5, generator=draw) < 0.5,
    }


@given(st.permutations(range(5)), st.integers(0, 2**16))
def test_neither_order_nor_what_is_masked_changes_anything(order: list[int], seed: int):
    draw = torch.Generator().manual_seed(seed)
    facts = past(draw)
    target, events = (torch.nn.functional.normalize(torch.randn(2, size, 4, generator=draw), dim=-1) for size in (3, 5))
    weights = event_weights(**facts)
    found = soft_statistics(target, events, weights)
    assert torch.isfinite(found).all()
    assert torch.allclose(soft_statistics(target, events[:, order], weights[:, order]), found, atol=1e-5)
    assert torch.allclose(soft_statistics(target.flip(1), events, weights), found.flip(1), atol=1e-5)
    other = torch.where(facts["mask"][..., None], events, -events)
    assert torch.allclose(soft_statistics(target, other, weights), found, atol=1e-6)
    longer = [torch.nn.functional.pad(part, (0, 0, 0, 2)) for part in (events, weights)]
    assert torch.allclose(soft_statistics(target, *longer), found, atol=1e-5)


@given(st.integers(0, 2**16))
def test_the_narrowest_kernel_counts_equal_texts_as_an_exact_match_does(seed: int):
    draw = torch.Generator().manual_seed(seed)
    weights = event_weights(**past(draw))
    words = torch.eye(6).to(torch.float16).float()
    ours, theirs = (torch.randint(1, 6, (2, size), generator=draw) for size in (3, 5))
    soft = soft_statistics(words[ours], words[theirs], weights)[..., : len(STATISTICS)]
    exact = match_statistics(ours[..., None], theirs[..., None], weights)[:, :, 0]
    assert torch.allclose(soft, exact, atol=1e-5)


def test_neighbouring_kernels_overlap_and_the_first_bears_rounding():
    for (mean, width), (below, wide) in zip(KERNELS, KERNELS[1:], strict=False):
        middle = (mean + below) / 2
        assert max(math.exp(-0.5 * ((middle - m) / w) ** 2) for m, w in ((mean, width), (below, wide))) > 0.2
    vector = torch.nn.functional.normalize(torch.randn(200, 384, generator=torch.Generator().manual_seed(0)), dim=-1)
    cosine = vector.half().float().square().sum(-1)
    assert np.exp(-0.5 * ((cosine.numpy() - 1) / KERNELS[0][1]) ** 2).min() > 0.99


@pytest.mark.parametrize("cells", [1, 10**7])
def test_kernels_and_attributes_together_are_those_one_by_one(cells: int, monkeypatch: pytest.MonkeyPatch):
    draws = torch.Generator().manual_seed(0)
    weights = torch.rand(3, 5, 5, generator=draws)
    target, events = (torch.nn.functional.normalize(torch.randn(3, n, 4, generator=draws), dim=-1) for n in (2, 5))
    ours, theirs = (torch.randint(0, 3, (3, n, 4), generator=draws) for n in (2, 5))

    def found() -> list[torch.Tensor]:
        return [soft_statistics(target, events, weights), match_statistics(ours, theirs, weights)]

    expected = found()
    monkeypatch.setattr("prectr.rank.features.exact_match.CELLS_AT_ONCE", cells)
    for mine, theirs_ in zip(found(), expected, strict=True):
        torch.testing.assert_close(mine, theirs_)
    assert expected[1].shape == (3, 2, 4, len(STATISTICS))
