"""Golden values worked out by hand; see the formulas in rank/training/losses.py."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.model.fusion import fuse
from prectr.rank.training.exposure_bias import debias_loss
from prectr.rank.training.losses import click_loss, click_target, consistency_loss, relevance_loss
from prectr.shared import metrics


def test_click_loss_of_even_odds_is_log_2():
    assert click_loss(torch.zeros(4, 1), torch.tensor([0.0, 1, 1, 0])).item() == pytest.approx(math.log(2))


def test_click_loss_by_hand():
    # σ(2) = .880797: −(ln .880797 + ln (1 − .880797)) / 2 = (.126928 + 2.126928) / 2
    assert click_loss(torch.tensor([[2.0], [2.0]]), torch.tensor([1.0, 0.0])).item() == pytest.approx(
        1.126928, abs=1e-5
    )


def test_every_member_has_its_own_loss_and_the_loss_is_their_mean():
    # .126928 for a logit of 2 and a click, 2.126928 for −2: not the loss of their mean, ln 2
    score = torch.tensor([[2.0, -2.0]], requires_grad=True)
    loss = click_loss(score, torch.tensor([1.0]))
    assert loss.item() == pytest.approx((0.126928 + 2.126928) / 2, abs=1e-5)
    loss.backward()
    assert score.grad.flatten().tolist() == pytest.approx([-0.119203 / 2, -0.880797 / 2], abs=1e-5)


def test_click_loss_of_a_thinned_log_reads_the_logit_raised_by_the_share_that_was_lost():
    # r = .25: the log's logit is s + ln 4, and σ(ln 4) = .8
    loss = click_loss(torch.zeros(2, 1), torch.tensor([1.0, 0.0]), None, 0.25)
    assert loss.item() == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)


def test_two_teachers_of_a_click_are_mixed_by_hand():
    clicked, told = torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.2])
    assert click_target(clicked, told, 0.7).tolist() == pytest.approx([0.3 + 0.14, 0.14])
    # r = .25: of a log that kept a quarter of the unclicked, .2 of the full log is .2 / (.2 + .25 · .8) = .5
    assert click_target(clicked, told, 0.7, 0.25).tolist() == pytest.approx([0.3 + 0.35, 0.35])
    assert torch.equal(click_target(clicked, told, 0.0, 0.25), clicked)
    assert torch.equal(click_target(clicked, clicked, 0.7, 0.25), clicked)


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_what_trees_say_of_the_full_log_is_learnt_as_such(rate):
    told = torch.tensor([0.02, 0.3, 0.9])
    score = torch.logit(told)[:, None].requires_grad_()
    click_loss(score, click_target(torch.zeros(3), told, 1.0, rate), None, rate).backward()
    assert score.grad.flatten().tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_weights_multiply_the_click_loss_of_their_rows():
    score, clicked = torch.tensor([[2.0], [2.0]]), torch.tensor([1.0, 0.0])
    # .126928 and 2.126928, see above
    weighted = click_loss(score, clicked, torch.tensor([0.5, 1.5])).item()
    assert weighted == pytest.approx((0.5 * 0.126928 + 1.5 * 2.126928) / 2, abs=1e-5)


def simulated_log(seed: int, kept: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Numbers [n, 3] and clicks [n] of a log of which only a share of the unclicked rows was kept; which were, [N]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60_000, 3))
    clicked = rng.random(len(x)) < 1 / (1 + np.exp(3 - x @ [1.0, -0.5, 0.25]))
    keep = clicked | (rng.random(len(x)) < kept)
    return torch.from_numpy(x).float(), torch.from_numpy(clicked).float(), keep


def fitted(x: torch.Tensor, clicked: torch.Tensor, weight: torch.Tensor | None, rate: float) -> torch.nn.Module:
    network = torch.nn.Linear(3, 1)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = click_loss(network(x), clicked, weight, rate)
        loss.backward()
        return loss

    optimizer.step(closure)
    return network


@pytest.mark.parametrize("told_by", ["rate", "weights"])
def test_probabilities_learnt_on_a_thinned_log_are_those_of_the_full_log(told_by):
    share = 0.1
    x, clicked, keep = simulated_log(0, share)
    weight = torch.where(clicked > 0, 1.0, 1 / share)[keep]
    told = {"rate": (None, share), "weights": (weight / weight.mean(), 1.0)}[told_by]
    network = fitted(x[keep], clicked[keep], *told)
    new, truth, kept = simulated_log(1, share)
    p = torch.sigmoid(network(new)[:, 0]).detach().numpy()
    thinned = PreparedSet(*[np.zeros(0)] * len(fields(PreparedSet)))
    thinned = replace(thinned, clicked=truth.numpy()[kept], page=np.zeros(kept.sum()), weight=None)
    assert metrics.pcoc(truth, p) == pytest.approx(1, abs=0.03)
    assert metrics.pcoc(truth[kept], p[kept], thinned.full_log_weight(share)) == pytest.approx(1, abs=0.03)
    uncorrected = torch.sigmoid(fitted(x[keep], clicked[keep], None, 1.0)(new)[:, 0]).detach()
    assert metrics.pcoc(truth, uncorrected) > 3


def test_relevance_loss_of_soft_labels_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    target = torch.tensor([[0.5, 0.5, 0.0]])
    assert relevance_loss(logits, target).item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4), abs=1e-6)


def test_consistency_counts_every_fall_and_every_rise_below_the_margin():
    # margins .5: 0→1 rises by 1 (fine), 1→2 falls by .25 (costs .75), 2→3 rises by .25 (costs .25)
    logits = torch.tensor([[0.0, 1.0, 0.75, 1.0]])
    assert consistency_loss(logits, 0.5).item() == pytest.approx(1.0)


def test_debias_by_hand():
    # fall of 1 level, m₁ = .5 → m = .5; Δ = .25 → w = 1 − .5 = .5, R = .5 · .25 = .125
    # fall of 3 → m = min(1.5, 1) = 1; Δ = −1 → w = clamp(2) = 1, R = 2
    # no fall: takes no part
    score, negative = torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0.75, 1.0, 0.0])
    loss = debias_loss(score, negative, torch.tensor([1, 3, 0]), margin_per_level=0.5, margin_max=1.0)
    assert loss.item() == pytest.approx((0.125 + 2.0) / 2)


def test_debias_of_a_satisfied_pair_is_zero_and_has_no_gradient():
    score = torch.tensor([2.0], requires_grad=True)
    loss = debias_loss(score, torch.tensor([0.0]), torch.tensor([2]), 0.5, 1.5)
    loss.backward()
    assert loss.item() == 0 and score.grad.item() == 0


def test_debias_pulls_both_scores():
    score, negative = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    debias_loss(score, negative, torch.tensor([1]), 0.5, 1.5).backward()
    assert score.grad.item() < 0 < negative.grad.item()


def test_debias_without_any_fall_is_zero():
    assert debias_loss(torch.ones(2), torch.ones(2), torch.zeros(2, dtype=torch.long), 0.5, 1.5).item() == 0


@given(st.permutations(range(6)))
def test_debias_does_not_depend_on_the_order_of_rows(order):
    score, negative = torch.linspace(-1, 1, 6), torch.linspace(1, -2, 6)
    drop = torch.tensor([0, 1, 2, 3, 1, 2])
    plain = debias_loss(score, negative, drop, 0.5, 1.0)
    permuted = debias_loss(score[list(order)], negative[list(order)], drop[list(order)], 0.5, 1.0)
    assert permuted.item() == pytest.approx(plain.item(), abs=1e-6)


def test_fusion_is_the_mixture_it_stands_for():
    click, level = torch.randn(50, 4), torch.randn(50, 4)
    mixture = (torch.sigmoid(click) * torch.softmax(level, -1)).sum(-1)
    assert torch.allclose(torch.sigmoid(fuse(click, level)), mixture, atol=1e-6)


def test_fusion_stays_finite_where_the_plain_sum_overflows():
    score = fuse(torch.tensor([[200.0, 200.0], [-200.0, -200.0]]), torch.tensor([[0.0, 90.0], [90.0, 0.0]]))
    assert torch.allclose(score, torch.tensor([200.0, -200.0]))


def test_fusion_of_equal_click_logits_ignores_the_levels():
    score = fuse(torch.full((3, 4), 1.7), torch.randn(3, 4))
    assert torch.allclose(score, torch.full((3,), 1.7), atol=1e-5)
