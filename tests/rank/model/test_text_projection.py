"""Text vectors start as the principal axes of all item texts, with a variance of 1."""

import pytest
import torch
from torch.nn import functional

from prectr.rank.features.frozen_vectors import principal_axes
from prectr.rank.model.text_projection import TextProjection


def texts(width: int, count: int = 200) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    spread = torch.arange(width, 0, -1.0) ** 2
    return functional.normalize(torch.randn(count, width, generator=g) * spread + 1, dim=-1)


def test_by_hand() -> None:
    # Variances 4 and 1 round (1, 2); over both units they are 2.5 on average.
    pooled = torch.tensor([[3.0, 2.0], [-1.0, 2.0], [1.0, 2 + 2**0.5], [1.0, 2 - 2**0.5]])
    pooled[:2, 0] = 1 + torch.tensor([2.0, -2.0]) * 2**0.5
    projection = TextProjection(2, 2)
    projection.fit(pooled)
    torch.testing.assert_close(projection.mean, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(projection.weight, torch.eye(2) / 2.5**0.5, atol=1e-5, rtol=0)
    torch.testing.assert_close(projection(pooled)[2], torch.tensor([0.0, (2 / 2.5) ** 0.5]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("width", "size"), [(12, 5), (6, 6)])
def test_it_starts_from_the_principal_axes_whose_largest_entry_is_positive(width: int, size: int) -> None:
    pooled, projection = texts(width), TextProjection(width, size)
    projection.fit(pooled)
    axes = torch.from_numpy(principal_axes([pooled.numpy()], width, size))[1:]
    torch.testing.assert_close(functional.normalize(projection.weight, dim=-1), axes, atol=1e-5, rtol=0)
    assert (projection.weight.gather(1, projection.weight.abs().argmax(1, keepdim=True)) > 0).all()
    vectors = projection(pooled)
    assert vectors.mean(0).abs().max() < 1e-5
    variance = vectors.var(0, unbiased=False)
    assert variance.mean().item() == pytest.approx(1, abs=1e-4) and (variance.diff() <= 1e-6).all()


def test_units_beyond_the_encoders_width_keep_their_directions() -> None:
    torch.manual_seed(0)
    projection = TextProjection(4, 6)
    before = projection.weight[4:].clone()
    projection.fit(texts(4))
    torch.testing.assert_close(*(functional.normalize(part, dim=-1) for part in (projection.weight[4:], before)))


def test_equal_texts_are_no_division_by_zero_and_vectors_are_float32() -> None:
    projection = TextProjection(4, 2)
    projection.fit(torch.ones(5, 4))
    assert torch.isfinite(projection.weight).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert projection(torch.ones(5, 4, dtype=torch.bfloat16)).dtype == torch.float32
