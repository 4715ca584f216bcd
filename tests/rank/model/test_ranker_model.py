"""The ranker's network, its switches and its invariants."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.rank.config import LossArguments
from prectr.rank.model.incentive import SignedIncentive
from prectr.rank.model.numeric_encoding import NumericEncoding
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.training.objective import Objective
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.errors import PrectrError
from tests.shared.encoder.tiny_encoder import tiny_encoder

LEVELS, B, PAGES, H, X, R = 4, 9, 3, 5, 4, 6
QUERIES, TEXTS, WIDTH, VECTOR = 3, 7, 32, 16  # of what a batch has vectors of; the widths of `tiny_encoder`


def config(**changes) -> RankerConfig:
    plain = RankerConfig(
        numeric_names=["a", "b", "c"],
        categorical_names=["cat_type", "category"],
        cardinalities=[7, 5],
        item_columns=[0],
        num_levels=LEVELS,
        numeric_bins=4,
        embedding_size=3,
        hidden_sizes=[16],
        attention_size=8,
        attention_heads=2,
        dropout=0.0,
        text_size=6,
        members=3,
    )
    return replace(plain, **changes)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def unit(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=g), dim=-1)


def tokens(texts: int, g: torch.Generator) -> TokenVectors:
    """Vectors of texts of 8 tokens, as if `tiny_encoder` had made them."""
    mask = torch.ones(texts, 8, dtype=torch.bool)
    return TokenVectors(unit(g, texts, 8, VECTOR), unit(g, texts, 8, WIDTH), mask, mask.float(), unit(g, texts, WIDTH))


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)

    def draw(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, high, shape, generator=g)

    out = {
        "step": torch.tensor(3),
        "query_tokens": tokens(4, g),
        "item_tokens": tokens(6, g),
        "pair_query": draw(4, 12),
        "pair_item": draw(6, 12),
        "pair": draw(12, B),
        "query_table": unit(g, QUERIES, WIDTH),
        "query_row": draw(QUERIES, B),
        "item_table": unit(g, TEXTS, WIDTH),
        "item_row": draw(TEXTS, B),
        "numeric": torch.randn(B, 3, generator=g),
        "categorical": torch.stack([draw(7, B), draw(5, B)], 1),
        "clicked": draw(2, B).float(),
        "level": draw(LEVELS, B),
        "page": torch.arange(B) // 3,
        "cross_depth": draw(3, PAGES),
        "replay_pair": draw(12, R),
        "replay_target": torch.nn.functional.one_hot(torch.arange(R) % LEVELS, LEVELS).float(),
    }
    for kind, length in (("user", H), ("cross", X)):
        out[kind] = {
            "categorical": draw(7, PAGES, length, 1),
            "text": draw(TEXTS, PAGES, length),
            "level_prob": torch.rand(PAGES, length, LEVELS, generator=g),
            "scalars": torch.rand(PAGES, length, 4, generator=g),
            "mask": draw(2, PAGES, length).bool(),
        }
    out |= {"place": torch.arange(B), "size": torch.tensor(B)}
    out |= {"lowered": (out["level"] - 1).clamp(min=0), "neighbour": draw(B, B)}
    out |= {"level_drop": (out["level"] - out["lowered"]).float()}
    out |= {"negative_numeric": out["numeric"].flip(0)}
    return out


def model(encoder, **changes) -> RankerModel:
    torch.manual_seed(1)
    network = RankerModel(config(**changes), encoder)
    numbers = len(network.config.numeric_names)
    network.start_from([batch(seed) | {"numeric": torch.randn(B, numbers)} for seed in range(8)], ctr=0.1)
    return network.eval()


@pytest.mark.parametrize("user", [True, False])
@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize("incentive", ["inside", "outside", "none"])
def test_every_combination_of_switches_scores(encoder, user, cross, incentive):
    changes = {"user_preference": user, "cross_preference": cross, "incentive": incentive}
    if incentive != "none" and not (user or cross):
        with pytest.raises(PrectrError, match="incentive reads the preference vector"):
            config(**changes)
        return
    out = model(encoder, **changes)(batch())
    assert out["score"].shape == (B,) and torch.isfinite(out["score"]).all()


@pytest.mark.parametrize(
    ("switch", "prefixes"),
    [
        ({"user_preference": False}, ("user_attention", "preference_mix")),
        ({"cross_preference": False}, ("cross_attention", "depth_embedding", "preference_mix")),
        ({"incentive": "none"}, ("incentive",)),
    ],
)
def test_what_is_switched_off_has_no_parameters(encoder, switch, prefixes):
    on = {name for name, _ in model(encoder).named_parameters() if name.startswith(prefixes)}
    off = {name for name, _ in model(encoder, **switch).named_parameters() if name.startswith(prefixes)}
    assert on and not off


def test_counts_of_a_past_that_is_not_read_have_no_weights(encoder):
    names = ["item_ctr", "user_match_item_id_clicks", "cross_match_cat_brand_rate_under_query"]
    for switch, unread in (("user_preference", [1]), ("cross_preference", [2]), ("exact_match", [1, 2])):
        uncounted = model(encoder, numeric_names=names, **{switch: False})
        assert len(uncounted.numeric_columns) == len(names) - len(unread)
        one = batch()
        other = one | {"numeric": one["numeric"].clone()}
        other["numeric"][:, unread] += 1
        assert torch.equal(uncounted(one)["score"], uncounted(other)["score"])
        whole = model(encoder, numeric_names=names)
        assert not torch.equal(whole(one)["score"], whole(other)["score"])


def test_every_type_of_event_has_its_own_weights(encoder):
    many = model(encoder, num_event_types=4)
    two = model(encoder)
    sizes = [m.user_attention.to_key.in_features for m in (two, many)]
    assert sizes[1] == sizes[0] + 2
    wide = batch()
    for kind in ("user", "cross"):
        wide[kind]["scalars"] = torch.nn.functional.pad(wide[kind]["scalars"], (0, 2))
    one = wide | {"user": wide["user"] | {"mask": torch.ones(PAGES, H).bool()}}
    other = one | {"user": one["user"] | {"scalars": one["user"]["scalars"].clone()}}
    other["user"]["scalars"][..., -1] = 1.0
    assert not torch.equal(many(one)["score"], many(other)["score"])


def test_an_untrained_ranker_predicts_the_mean_click_through_rate(encoder):
    out = model(encoder, incentive="none")(batch())
    assert torch.sigmoid(out["score"]).mean().item() == pytest.approx(0.1, abs=0.08)


def test_an_ordinal_head_rises_with_the_level(encoder):
    clicks = model(encoder, ordinal_head=True)(batch())["click_logits"]
    assert (clicks.diff(dim=1) > 0).all()


def test_the_incentive_starts_small_and_stays_bounded():
    torch.manual_seed(0)
    incentive = SignedIncentive(6, 8, maximum=2.0)
    tau = incentive(torch.randn(500, 6) * 100)
    assert tau.abs().max() < 0.2
    torch.nn.init.normal_(incentive.gate.weight, std=50)
    assert incentive(torch.randn(500, 6) * 100).abs().max() <= 2.0


def test_numbers_are_encoded_by_quantiles_of_the_training_rows():
    encoding = NumericEncoding(1, bins=2)
    encoding.fit(torch.tensor([[0.0], [1.0], [2.0], [10.0], [20.0]]))
    assert torch.allclose(encoding(torch.tensor([[1.0]])), torch.tensor([[-5.6 / 7.5789, 0.5, 0.0]]), atol=1e-3)
    assert torch.allclose(encoding(torch.tensor([[99.0]]))[:, 1:], torch.ones(1, 2))


def test_a_constant_feature_is_harmless():
    encoding = NumericEncoding(1, bins=4)
    encoding.fit(torch.zeros(10, 1))
    assert torch.isfinite(encoding(torch.zeros(3, 1))).all()


PER_ROW = ("pair", "numeric", "categorical", "page", "query_row", "item_row")


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(B)))
def test_a_permutation_of_the_impressions_changes_nothing(encoder, order):
    network, plain = model(encoder), batch()
    mixed = plain | {name: plain[name][list(order)] for name in PER_ROW}
    with torch.no_grad():
        assert torch.allclose(network(mixed)["score"], network(plain)["score"][list(order)], atol=1e-5)


def test_the_click_loss_reaches_the_encoder(encoder):
    network, g = model(encoder), torch.Generator().manual_seed(0)
    ids, mask = torch.randint(5, 25, (6, 8), generator=g), torch.ones(6, 8).long()
    network(batch() | {"item_tokens": encoder.encode(ids, mask)})["score"].sum().backward()
    grads = [p.grad for p in network.encoder.text_encoder.encoder.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in grads)
    network.zero_grad()


def test_stop_gradient_keeps_the_click_loss_out_of_the_level_classifier(encoder):
    network = model(encoder, click_trains_level=False, user_preference=False, cross_preference=False, incentive="none")
    network(batch())["score"].sum().backward()
    assert network.encoder.head.classifier.weight.grad is None


def test_an_encoder_of_other_levels_is_refused(encoder):
    with pytest.raises(PrectrError, match="4 relevance levels apart, the data has 5"):
        RankerModel(config(num_levels=5), encoder)


@pytest.mark.parametrize("noise", ["isotropic", "covariance", "toward_neighbour"])
def test_the_objective_is_seeded_and_reports_each_loss(encoder, noise):
    objective = Objective(model(encoder), LossArguments(noise=noise), seed=5)
    first, second = objective(batch()), objective(batch())
    assert set(first) == {"loss", "click", "relevance", "consistency", "debias", "level_fall", "incentive"}
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_total_is_the_weighted_sum_of_its_parts(encoder):
    weights = LossArguments()
    parts = Objective(model(encoder), weights, seed=0)(batch())
    total = (
        parts["click"]
        + weights.relevance_weight * parts["relevance"]
        + weights.consistency_weight * parts["consistency"]
        + weights.debias_weight * parts["debias"]
        + weights.incentive_penalty * parts["incentive"]
    )
    assert parts["loss"].item() == pytest.approx(total.item(), abs=1e-6)


def test_a_weight_of_zero_leaves_the_term_out(encoder):
    weights = LossArguments(
        relevance_weight=0, consistency_weight=0, debias_weight=0, incentive_penalty=0, replay_share=0
    )
    parts = Objective(model(encoder), weights, seed=0)(batch())
    assert set(parts) == {"loss", "click"} and parts["loss"] == parts["click"]


def test_the_warm_up_trains_the_level_module_alone(encoder):
    texts = ("query_tokens", "item_tokens", "pair_query", "pair_item")
    warm = {name: batch()[name] for name in (*texts, "step", "replay_pair", "replay_target")}
    network = model(encoder)
    Objective(network, LossArguments(), seed=0)(warm)["loss"].backward()
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {"encoder"}
    network.zero_grad()


def test_a_loss_that_needs_replay_refuses_to_go_without():
    with pytest.raises(PrectrError, match="replay_share is 0"):
        LossArguments(replay_share=0.0)


def test_texts_encoded_by_length_are_the_texts_encoded_together(encoder):
    g = torch.Generator().manual_seed(4)
    ids = torch.randint(5, 25, (11, 16), generator=g)
    mask = (torch.arange(16) < torch.tensor([3, 16, 8, 9, 1, 12, 5, 16, 7, 2, 10])[:, None]).long()
    together, grouped = encoder.encode(ids, mask), encoder.encode_by_length(ids, mask)
    assert torch.equal(together.mask, grouped.mask) and torch.equal(together.weight * together.mask, grouped.weight)
    assert torch.allclose(together.contextual[together.mask], grouped.contextual[grouped.mask], atol=1e-5)
