"""The base module: an ensemble of networks that share their matrices."""

import pytest
import torch
from torch import nn

from prectr.rank.model.ensemble import EnsembleBase
from prectr.rank.model.fusion import fuse
from tests.rank.model.test_ranker_model import batch, model
from tests.shared.encoder.tiny_encoder import tiny_encoder

SIZES = (7, 6, 5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def base(members: int) -> EnsembleBase:
    torch.manual_seed(0)
    return EnsembleBase(SIZES, 3, members, 0.0)


def test_a_single_member_is_a_plain_network() -> None:
    one = base(1)
    linear = next(layer for layer in one.layers if isinstance(layer, nn.Linear))
    plain = nn.Sequential(nn.LayerNorm(6), nn.ReLU(), linear, nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        plain[-1].weight.copy_(one.head[0].T)
        plain[-1].bias.copy_(one.head_bias[0])
    first = torch.randn(4, 6)
    torch.testing.assert_close(one(first)[:, 0], plain(first))


def test_members_begin_apart_and_each_is_the_network_that_its_own_weights_make() -> None:
    many, first = base(4), torch.randn(9, 6)
    together = many(first)
    assert together.shape == (9, 4, 3)
    assert all(not torch.allclose(together[:, 0], together[:, other]) for other in (1, 2, 3))
    for member in range(4):
        alone = base(1)
        weights = many.state_dict()
        own = ("scale", "shift", "head", "head_bias")
        alone.load_state_dict(
            {
                name: value[member : member + 1] if name.split(".")[-1] in own else value
                for name, value in weights.items()
            }
        )
        torch.testing.assert_close(alone(first)[:, 0], together[:, member])


def test_the_matrices_are_shared() -> None:
    def matrices(members: int) -> int:
        return sum(
            p.numel() for layer in base(members).modules() if isinstance(layer, nn.Linear) for p in [layer.weight]
        )

    assert matrices(8) == matrices(1) == 7 * 6 + 6 * 5


@pytest.mark.parametrize("incentive", ["inside", "outside", "none"])
def test_the_score_is_the_fusion_of_the_mean_click_logits_and_members_have_theirs(encoder, incentive: str) -> None:
    network, one = model(encoder, incentive=incentive), batch()
    nn.init.normal_(network.base.head)
    seen = []
    handle = network.base.register_forward_hook(lambda _, __, output: seen.append(output))
    out = network(one)
    handle.remove()
    tau = out["tau"][:, None]
    inside, outside = (tau if incentive == each else torch.zeros_like(tau) for each in ("inside", "outside"))
    logits = seen[0] + inside[..., None]
    torch.testing.assert_close(out["click_logits"], logits.mean(1))
    torch.testing.assert_close(out["score"], fuse(logits.mean(1), out["level_logits"]) + outside[:, 0])
    members = torch.stack([fuse(logits[:, member], out["level_logits"]) for member in range(3)], 1)
    torch.testing.assert_close(out["member_scores"], members + outside)
    assert out["member_scores"].std(1).min() > 0.01


def test_without_fusion_the_score_is_the_mean_of_the_members(encoder) -> None:
    network = model(encoder, fusion="sigmoid")
    nn.init.normal_(network.base.head)
    out = network(batch())
    torch.testing.assert_close(out["score"], out["member_scores"].mean(1))
