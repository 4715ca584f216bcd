"""The network without its fusion, and without the counts of exact matches: absent, and whole all the same."""

import numpy as np
import pytest
import torch

from prectr.rank.config import LossArguments
from prectr.rank.features.compute import compute_features
from prectr.rank.features.groups import is_exact_match, is_stage_one
from prectr.rank.model.ranker_model import RankerConfig
from prectr.rank.model.soft_counts import SIZE, no_counts
from prectr.rank.training.exposure_bias import less_relevant
from prectr.rank.training.objective import Objective
from prectr.shared.errors import PrectrError
from tests.rank.model.test_ranker_model import LEVELS, B, batch, config, model
from tests.rank.random_shop import ITEMS, level_prob, make_log, random_events, random_impressions
from tests.shared.encoder.tiny_encoder import tiny_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def test_without_fusion_there_is_one_click_logit_and_the_incentive_adds_to_it(encoder):
    network = model(encoder, fusion="sigmoid")
    assert network.base.head.shape[-1] == 1
    out = network(batch())
    assert out["click_logits"].shape == (B, LEVELS)
    assert torch.equal(out["click_logits"], out["score"][:, None].expand(-1, LEVELS))
    for part in network.incentive.parameters():
        torch.nn.init.normal_(part)
    moved = network(batch())
    assert torch.allclose(moved["score"] - moved["tau"], out["score"] - out["tau"], atol=1e-5)
    assert not torch.allclose(moved["tau"], out["tau"])


def test_without_fusion_the_level_distribution_is_an_input(encoder):
    sizes = {fusion: model(encoder, fusion=fusion).first_layer.in_features for fusion in ("conditional", "sigmoid")}
    assert sizes["sigmoid"] == sizes["conditional"] + LEVELS
    network = model(encoder, fusion="sigmoid", incentive="none", user_preference=False, cross_preference=False)
    torch.nn.init.normal_(network.base.head)
    network.encoder.zero_grad()
    network(batch())["score"].sum().backward()
    assert network.encoder.head.classifier.weight.grad.abs().sum() > 0
    held = model(
        encoder, fusion="sigmoid", incentive="none", user_preference=False, cross_preference=False,
        click_trains_level=False,
    )  # fmt: skip
    torch.nn.init.normal_(held.base.head)
    held.encoder.zero_grad()
    held(batch())["score"].sum().backward()
    gradient = held.encoder.head.classifier.weight.grad
    assert gradient is None or not gradient.any()


def test_without_fusion_an_untrained_ranker_predicts_the_mean_click_through_rate(encoder):
    out = model(encoder, fusion="sigmoid", incentive="none")(batch())
    assert torch.sigmoid(out["score"]).mean().item() == pytest.approx(0.1, abs=0.03)


def test_without_fusion_the_debias_loss_still_teaches(encoder):
    network = model(encoder, fusion="sigmoid")
    torch.nn.init.normal_(network.base.head)
    losses = Objective(network, LossArguments(consistency_weight=0, debias_weight=0.1), seed=0)(batch())
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"]) and losses["debias"] > 0 and "consistency" not in losses


@pytest.mark.parametrize(
    ("changes", "found"), [({"ordinal_head": True}, "ordinal_head"), ({"incentive": "outside"}, "incentive: outside")]
)
def test_what_needs_a_logit_per_level_is_refused_without_fusion(changes, found):
    with pytest.raises(PrectrError, match=f"{found} .* fusion: sigmoid has one for all"):
        config(fusion="sigmoid", **changes)


def test_unread_counts_move_nothing_and_have_no_parameters(encoder):
    names = ["user_item_clicks", "item_ctr", "user_all_clicks"]
    network = model(encoder, numeric_names=names, exact_match=False)
    whole = model(encoder, numeric_names=names)
    assert len(network.numeric_encoding.edges) == 2 + 2 * SIZE
    assert len(whole.numeric_encoding.edges) == 3 + 2 * SIZE
    assert network.first_layer.in_features < whole.first_layer.in_features
    one, other = batch(), batch()
    other["numeric"][:, 0] += 5
    assert torch.equal(network(one)["score"], network(other)["score"])
    assert not torch.equal(whole(one)["score"], whole(other)["score"])


def test_exact_matches_are_the_users_clicks_on_the_item_and_on_items_like_it():
    impressions, probabilities = random_impressions(0), level_prob()
    found = compute_features(
        make_log(random_events(0)),
        ITEMS,
        impressions,
        probabilities.lookup(impressions["query"], impressions["item_id"]),
    )
    matches = [feature for feature in found.features if is_exact_match(feature.name)]
    assert {feature.source for feature in matches} == {"user history"}
    told = ("on this item", "this item", "its ", "its category", "days since the last click on it")
    assert all(any(words in feature.meaning for words in told) for feature in matches)
    others = [feature.name for feature in found.features if feature.source == "user history" and feature not in matches]
    assert others[0] == "user_pages" and {name.split("_")[1] for name in others} == {"pages", "all", "query", "level"}


def test_unread_features_of_stage_one_move_nothing_and_have_no_parameters(encoder):
    network = model(
        encoder, numeric_names=["num_spirit_level", "level_gap", "user_item_clicks"], stage_one_features=False
    )
    assert len(network.numeric_encoding.edges) == 2 + 2 * SIZE
    one = batch()
    changed = one | {"numeric": one["numeric"] + torch.tensor([0.0, 1, 0])}
    assert torch.equal(network(one)["score"], network(changed)["score"])
    other = one | {"numeric": one["numeric"] + torch.tensor([1.0, 0, 0])}
    assert not torch.equal(network(one)["score"], network(other)["score"])


def test_features_of_stage_one_are_those_that_its_levels_move():
    log, shown = make_log(random_events(1)), random_impressions(1)
    sure = np.eye(3)[np.arange(shown.num_rows) % 3]
    uniform = np.full_like(sure, 1 / 3)
    one, other = (compute_features(log, ITEMS, shown, prob) for prob in (uniform, sure))
    moved = [name for name in one.names if not np.array_equal(one.column(name), other.column(name))]
    assert moved == [name for name in one.names if is_stage_one(name)] and len(moved) > 8
    assert not is_stage_one("num_spirit_level") and not is_stage_one("user_level_clicks")


NUMBERS = ["level_gap", "user_match_item_id_clicks", "query_item_ctr", "cross_match_item_id_share"]


@pytest.mark.parametrize(
    "off",
    [None, "user_preference", "cross_preference", "exact_match", "stage_one_features", "soft_counts", "text_vectors"],
)
def test_a_hard_negative_has_other_numbers_of_query_and_item_and_keeps_the_rest(encoder, off):
    network = model(encoder, numeric_names=NUMBERS, **({off: False} if off else {}))
    one, other = batch(), batch(seed=1)
    for each in (one, other):
        each["numeric"] = each["numeric"][:, [0, 1, 2, 0]]
    expected = one | {"numeric": one["numeric"].clone()}
    expected["numeric"][:, [0, 2, 3]] = other["numeric"][:, [0, 2, 3]]
    vectors = network.text_vectors(one)
    context = network.context(one, vectors)
    counts = {kind: no_counts(B) if kind == "cross" else found for kind, found in context.counts.items()}
    found = less_relevant(network, context, one | {"negative_numeric": other["numeric"]})
    torch.testing.assert_close(found.base, network.context(expected, vectors, counts).base)
    assert not torch.allclose(found.base, context.base)
    assert found.item is context.item and found.memories is context.memories


def test_soft_counts_are_read_once_by_its_own_vectors_or_as_columns() -> None:
    names = ["item_ctr", "user_match_text_rate", "user_text_85_rate", "cross_text_nearest", "item_text_pca_0"]

    def read(**switches: bool) -> list[str]:
        config = RankerConfig(
            numeric_names=names, categorical_names=[], cardinalities=[], item_columns=[], num_levels=4, **switches
        )
        return [names[column] for column in config.numeric_columns] + config.counts

    assert read() == ["item_ctr", "user_match_text_rate", "user", "cross"]
    assert read(text_vectors=False) == ["item_ctr", "user_match_text_rate", "user_text_85_rate", "cross_text_nearest"]
    assert read(soft_counts=False) == ["item_ctr", "user_match_text_rate"]
    assert read(text_vectors=False, cross_preference=False) == ["item_ctr", "user_match_text_rate", "user_text_85_rate"]
