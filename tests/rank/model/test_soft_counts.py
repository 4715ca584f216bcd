"""The network's own soft counts: those of the feature file by hand, and a gradient to every text they compare."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from prectr.rank.features.exact_match import event_weights
from prectr.rank.features.soft_counts import UNLIKE_ANYTHING, soft_statistics
from prectr.rank.inputs.events import GAP_SCALE, Past
from prectr.rank.model.preference import Seats
from prectr.rank.model.soft_counts import SIZE, no_counts, soft_counts

PAGE = torch.tensor([1, 0, 1, 1, 0])
PAGES, EVENTS, WIDTH = 3, 4, 5  # page 2 shows nothing


def given(seed: int = 0) -> tuple[Tensor, Tensor, Past, Tensor]:
    """Vectors of any length, a past, and the days that its gaps stand for."""
    g = torch.Generator().manual_seed(seed)
    days = torch.rand(PAGES, EVENTS, generator=g) * 50
    clicked, asked = ((torch.rand(PAGES, EVENTS, generator=g) < 0.5).float() for _ in range(2))
    scalars = torch.stack([clicked, torch.log1p(days) / GAP_SCALE, asked, torch.ones(PAGES, EVENTS)], -1)
    past: Past = {"scalars": scalars, "mask": torch.rand(PAGES, EVENTS, generator=g) < 0.8}
    item, events = torch.randn(len(PAGE), WIDTH, generator=g), torch.randn(PAGES, EVENTS, WIDTH, generator=g)
    return 3 * item, 2 * events, past, days


def counts(item: Tensor, events: Tensor, past: Past) -> Tensor:
    return soft_counts(item, events, past, Seats.of(PAGE, PAGES))


def test_they_are_those_of_the_feature_file_by_cosine_and_of_the_own_page() -> None:
    item, events, past, days = given()
    weights = event_weights(past["mask"], past["scalars"][..., 0], days, past["scalars"][..., 2])
    unit_item, unit_events = (functional.normalize(each, dim=-1) for each in (item, events))
    found = counts(item, events, past)
    assert found.shape == (len(PAGE), SIZE) and found.dtype == torch.float32
    for row, page in enumerate(PAGE.tolist()):
        expected = soft_statistics(unit_item[None, None, row], unit_events[None, page], weights[None, page])[0, 0]
        torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)


def test_the_order_of_events_and_what_is_masked_change_nothing() -> None:
    item, events, past, _ = given()
    found, order = counts(item, events, past), [2, 0, 3, 1]
    mixed: Past = {name: past[name][:, order] for name in ("scalars", "mask")}
    torch.testing.assert_close(counts(item, events[:, order], mixed), found, atol=1e-5, rtol=1e-5)
    other = torch.where(past["mask"][..., None], events, -events)
    torch.testing.assert_close(counts(item, other, past), found)


def test_clicks_train_the_texts_of_candidates_and_of_past_events() -> None:
    item, events, past, _ = given()
    item.requires_grad_()
    events.requires_grad_()
    counts(item, events, past).sum().backward()
    assert item.grad is not None and events.grad is not None
    assert torch.isfinite(item.grad).all() and (item.grad.abs().sum(1) > 0).all()
    shown = past["mask"] & torch.tensor([True, True, False])[:, None]
    assert torch.equal(events.grad.abs().sum(-1) > 0, shown)


def test_the_gradient_is_the_slope() -> None:
    item, events, past, _ = given(1)
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=SIZE)).float()
    weight[:14] = 0  # kernels too narrow for a finite step in float32
    item.requires_grad_()
    (counts(item, events, past) @ weight).sum().backward()
    step = 1e-2 * item.grad / item.grad.norm()
    with torch.no_grad():
        high, low = ((counts(item + sign * step, events, past) @ weight).sum() for sign in (1, -1))
    assert ((high - low) / 2).item() == pytest.approx((item.grad * step).sum().item(), rel=0.05)


@pytest.mark.parametrize("places", [0, 3])
def test_an_empty_history_says_so_and_has_no_gradient_that_is_not_finite(places: int) -> None:
    item = torch.randn(len(PAGE), WIDTH, requires_grad=True)
    events = torch.zeros(PAGES, places, WIDTH, requires_grad=True)
    past: Past = {"scalars": torch.zeros(PAGES, places, 4), "mask": torch.zeros(PAGES, places, dtype=torch.bool)}
    found = counts(item, events, past)
    assert torch.equal(found, no_counts(len(PAGE)))
    assert found[0].tolist() == pytest.approx(list(UNLIKE_ANYTHING.values()))
    found.sum().backward()
    assert all(each.grad is None or torch.isfinite(each.grad).all() for each in (item, events))
