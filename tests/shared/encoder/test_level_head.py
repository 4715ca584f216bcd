"""Kernel pooling and MaxSim by hand, and what must not change a score."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prectr.shared.encoder.level_head import ABSENT, EncoderConfig, KernelSums, LevelHead, TokenVectors


def token_vectors(contextual: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor | None = None) -> TokenVectors:
    unit = torch.nn.functional.normalize(contextual, dim=-1)
    return TokenVectors(unit, unit, mask, mask.float() if weight is None else weight * mask, unit[:, 0])


def random_texts(texts: int, length: int, seed: int, size: int = 6) -> TokenVectors:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(texts, length, size, generator=generator)
    mask = torch.arange(length)[None, :] < torch.randint(1, length + 1, (texts, 1), generator=generator)
    return token_vectors(vectors, mask, torch.rand(texts, length, generator=generator) + 0.5)


def head(seed: int = 0) -> LevelHead:
    torch.manual_seed(seed)
    return LevelHead(EncoderConfig(["no", "yes"], vector_size=6, state_size=5)).eval()


def test_kernel_sums_by_hand() -> None:
    similarity = torch.tensor([[[1.0, 0.5, ABSENT]]])
    sums = KernelSums.apply(similarity, [1.0, 0.5], [0.1, 0.25])
    first = 1 + math.exp(-0.5 * (0.5 / 0.1) ** 2)
    second = 1 + math.exp(-0.5 * (0.5 / 0.25) ** 2)
    assert sums.shape == (1, 1, 2)
    assert sums.flatten().tolist() == pytest.approx([first, second])


def test_kernels_of_what_is_far_are_as_good_as_nothing_and_never_below_normal_numbers() -> None:
    widths = [0.02, 0.25]
    for similarity in (torch.full((2, 1, 3), ABSENT), torch.linspace(-1, 1, 400)[:, None, None]):
        sums = KernelSums.apply(similarity, [1.0, -0.5], widths)
        assert (sums >= torch.finfo(torch.float32).tiny).all()
        expected = [
            (-((similarity - mean) ** 2) / 2 / width**2).exp() for mean, width in zip((1, -0.5), widths, strict=True)
        ]
        torch.testing.assert_close(sums, torch.stack(expected, -1).sum(2), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("cells", [1, 10**6])
def test_kernels_together_are_kernels_one_by_one(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    similarity = torch.rand(3, 2, 4)
    expected = KernelSums.apply(similarity, [1.0, 0.5, 0.0], [0.1, 0.2, 0.3])
    monkeypatch.setattr("prectr.shared.encoder.level_head.CELLS_AT_ONCE", cells)
    found = KernelSums.apply(similarity, [1.0, 0.5, 0.0], [0.1, 0.2, 0.3])
    torch.testing.assert_close(found, expected)
    assert found.shape == (3, 2, 3)


def test_kernel_sums_have_the_right_gradient() -> None:
    similarity = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(2, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: KernelSums.apply(s, [0.9, 0.1], [0.1, 0.3]), similarity)


def test_features_of_one_matching_token_by_hand() -> None:
    config = EncoderConfig(["no", "yes"], vector_size=2, state_size=5, kernel_means=[1.0], kernel_widths=[0.1])
    query = token_vectors(
        torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[True, True]]), torch.tensor([[3.0, 1.0]])
    )
    item = token_vectors(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]]))
    features = LevelHead(config).features(query, item)
    # The first query token matches fully and weighs 3/4, the second not at all; the item's only token is matched.
    expected = [0.75 * math.log(2), 0.75, 1.0]
    pooled, lengths = 1.0, [math.log(5), math.log(2)]
    assert features.tolist()[0] == pytest.approx([*expected, *expected, pooled, *lengths], abs=1e-6)


@given(seed=st.integers(0, 1000), order_seed=st.integers(0, 1000))
def test_the_order_of_an_items_tokens_is_no_matter_to_the_head(seed: int, order_seed: int) -> None:
    query, item = random_texts(3, 4, seed), random_texts(3, 6, seed + 1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(order_seed))
    shuffled = TokenVectors(*(part[:, order] for part in item[:-1]), item.pooled)
    torch.testing.assert_close(head()(query, item), head()(query, shuffled), atol=1e-5, rtol=1e-4)


@given(seed=st.integers(0, 1000), padding=st.integers(1, 5))
def test_padding_changes_nothing(seed: int, padding: int) -> None:
    query, item = random_texts(3, 4, seed), random_texts(3, 6, seed + 1)
    noise = random_texts(3, padding, seed + 2)
    longer = TokenVectors(
        torch.cat([item.contextual, noise.contextual], 1),
        torch.cat([item.static, noise.static], 1),
        torch.cat([item.mask, torch.zeros_like(noise.mask)], 1),
        torch.cat([item.weight, torch.zeros_like(noise.weight)], 1),
        item.pooled,
    )
    torch.testing.assert_close(head()(query, item), head()(query, longer), atol=1e-5, rtol=1e-4)


def test_a_text_without_tokens_has_a_finite_state_and_gradient() -> None:
    query = random_texts(2, 4, 0)
    nothing = query._replace(mask=torch.zeros_like(query.mask), weight=torch.zeros_like(query.weight))
    model = head()
    state = model(nothing, random_texts(2, 6, 1))
    model.logits(state).sum().backward()
    assert torch.isfinite(state).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_autocast_leaves_the_head_in_float32() -> None:
    query, item = random_texts(2, 4, 0), random_texts(2, 6, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state = head()(query, item)
        assert state.dtype == head().logits(state).dtype == torch.float32
    torch.testing.assert_close(state, head()(query, item), atol=0.05, rtol=0.05)


def test_folding_a_temperature_divides_the_logits() -> None:
    model, state = head(), torch.randn(4, 5)
    before = model.logits(state)
    model.fold_temperature(2.5)
    torch.testing.assert_close(model.logits(state), before / 2.5)


def test_it_can_begin_as_maxsim_alone_and_still_learn() -> None:
    torch.manual_seed(0)
    head = LevelHead(EncoderConfig(["no", "maybe", "yes"], state_size=8))
    head.start_as_maxsim(2.0, [0.5, 0.0, -1.0])
    features = torch.randn(20, len(head.shift)) * 3
    match = features[:, head.maxsim_feature]
    expected = 2.0 * match[:, None] * torch.arange(3) + torch.tensor([0.5, 0.0, -1.0])
    torch.testing.assert_close(head.logits(head.state_of(features)), expected, atol=1e-4, rtol=1e-4)
    torch.nn.functional.cross_entropy(head.logits(head.state_of(features)), torch.arange(20) % 3).backward()
    assert head.classifier.weight.grad is not None and (head.classifier.weight.grad.abs() > 0).all()
