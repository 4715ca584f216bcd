"""Attention over past events."""

import torch
from torch import Tensor

from prectr.rank.model.preference import SEATS, PreferenceMix, Seats, TargetAttention


def attention() -> TargetAttention:
    torch.manual_seed(0)
    module = TargetAttention(target_size=6, event_size=5, size=8, heads=2)
    torch.nn.init.normal_(module.null_value)
    return module


def look(module: TargetAttention, target: Tensor, events: Tensor, mask: Tensor, page: Tensor) -> Tensor:
    return module(target, module.remember(events, mask, page, Seats.of(page, len(events))))


def test_every_impression_looks_at_its_own_page_however_many_there_are_and_in_any_order():
    module = attention()
    page = torch.tensor([1] * (2 * SEATS + 3) + [0, 3, 3])[torch.randperm(2 * SEATS + 6)]  # page 2 shows nothing
    target, events, mask = torch.randn(len(page), 6), torch.randn(4, 7, 5), torch.rand(4, 7) < 0.6
    key, value = (
        torch.cat([null.expand(4, 1, -1), linear(events)], 1).unflatten(-1, (2, 4))[page]
        for null, linear in ((module.null_key, module.to_key), (module.null_value, module.to_value))
    )
    query = module.to_query(target).unflatten(-1, (2, 4))
    similarity = torch.einsum("bhn,bthn->bht", query, key) / 2
    known = torch.cat([torch.ones(4, 1, dtype=torch.bool), mask], 1)[page]
    weight = similarity.masked_fill(~known[:, None], -torch.inf).softmax(-1)
    expected = torch.einsum("bht,bthn->bhn", weight, value).flatten(1)
    torch.testing.assert_close(look(module, target, events, mask, page), expected)


def test_a_page_on_its_own_sits_in_one_row_and_rises_as_it_sat():
    seats = Seats.of(torch.zeros(2 * SEATS + 3, dtype=torch.int64), 1)
    x = torch.randn(2 * SEATS + 3, 2, 5)
    assert seats.sit(x).shape == (1, 2, len(x), 5)
    assert torch.equal(seats.rise(seats.sit(x)), x)


def test_an_empty_history_reads_as_the_null_value_and_not_as_nan():
    module = attention()
    out = look(
        module, torch.randn(3, 6), torch.randn(1, 4, 5), torch.zeros(1, 4, dtype=torch.bool), torch.zeros(3).long()
    )
    assert torch.allclose(out, module.null_value.expand(3, -1), atol=1e-6)


def test_masked_events_change_nothing():
    module, target, page = attention(), torch.randn(2, 6), torch.tensor([0, 1])
    events, mask = torch.randn(2, 4, 5), torch.tensor([[True, True, False, False], [True, False, False, False]])
    out = look(module, target, events, mask, page)
    assert torch.allclose(out, look(module, target, torch.where(mask[..., None], events, 99.0), mask, page), atol=1e-6)


def test_the_order_of_events_changes_nothing():
    module, target, page = attention(), torch.randn(2, 6), torch.tensor([0, 0])
    events, mask = torch.randn(1, 5, 5), torch.tensor([[True, True, True, False, True]])
    order = torch.tensor([4, 2, 0, 1, 3])
    out = look(module, target, events[:, order], mask[:, order], page)
    assert torch.allclose(out, look(module, target, events, mask, page), atol=1e-6)


def test_impressions_read_their_own_pages_events():
    module, target = attention(), torch.randn(1, 6)
    events, mask = torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    both = look(module, target.repeat(2, 1), events, mask, torch.tensor([0, 1]))
    alone = look(module, target, events[1:], mask[1:], torch.tensor([0]))
    assert torch.allclose(both[1:], alone, atol=1e-6) and not torch.allclose(both[0], both[1])


def test_who_has_no_history_is_read_from_the_others():
    mix = PreferenceMix()
    user, cross = torch.zeros(2, 3), torch.ones(2, 3)
    few_or_many = mix(user, cross, torch.tensor([0, 50]), torch.tensor([30, 0]))
    assert few_or_many[0].min() > 0.95 and few_or_many[1].max() < 0.05
