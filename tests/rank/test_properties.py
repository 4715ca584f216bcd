"""What must hold for the ranker as a whole, whatever the data: no order, no future, no stranger and no extreme matters.

The parts' own properties stand beside the parts: indices, slices and features before the future in test_behaviours.py
and test_features.py, attention over permuted and empty histories in test_preference.py, the score of permuted
impressions in test_model.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.rank.config import LossArguments, TrainArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import prepare
from prectr.rank.history.index import BehaviourIndex
from prectr.rank.history.log import BehaviourLog
from prectr.rank.model.fusion import fuse
from prectr.rank.training.exposure_bias import debias_loss
from prectr.rank.training.losses import click_loss, consistency_loss, relevance_loss
from prectr.rank.training.objective import Objective
from prectr.shared.errors import PrectrError
from tests.rank.random_network import Scene
from tests.rank.random_shop import DAY, ITEMS, Event, in_order, make_log, random_events, random_impressions

NOW = 51
PAST = in_order([*random_events(0, days=50), Event(48.0, 999, "U0", "cola", "I0", True)])
INDICES = list(make_log(PAST).specs)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return Scene(tmp_path_factory.mktemp("encoder"))


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if not np.array_equal(one[name], other[name])]


# The order of rows


def loss_and_gradients(scene: Scene, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    settings = LossArguments(position_debias=True, negative_sampling_rate=0.5, **scene.losses)
    objective = Objective(scene.model, settings, seed=0)
    objective.zero_grad()
    loss = objective(batch)["loss"]
    loss.backward()
    named = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **named}


@settings(max_examples=3)
@given(order=st.permutations(range(12)))
def test_the_order_of_pages_changes_neither_loss_nor_gradient(scene, order):
    plain, mixed = scene.batch(scene.prepared), scene.batch(scene.prepared, np.array(order))
    place = torch.argsort(mixed["row"])
    weight, hidden = torch.linspace(0.5, 1.5, len(place)), "position"
    plain["weight"], mixed["weight"] = weight, weight[mixed["row"]]
    # Which places are hidden is drawn row by row: without places there is nothing to draw.
    plain[hidden], mixed[hidden] = (torch.full_like(batch[hidden], -1) for batch in (plain, mixed))
    expected, found = loss_and_gradients(scene, plain), loss_and_gradients(scene, mixed)
    assert expected.keys() == found.keys() and len(found) > 20
    for name, value in expected.items():
        # A small part of a gradient is a sum of large ones, which processors add up in their own ways.
        rounding = 1e-5 * max(1.0, float(value.abs().max()))
        assert torch.allclose(found[name], value, rtol=1e-4, atol=rounding), name


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_events_of_one_time_changes_nothing(scene, seed):
    draw = np.random.default_rng(seed)
    events = random_events(7, num_pages=60, days=20)
    listed = sorted(events, key=lambda event: (event.seconds, draw.random()))
    assert listed != events
    impressions = random_impressions(7, days=25)
    assert differing(scene.told(events, impressions), scene.told(listed, impressions)) == []


@pytest.mark.parametrize("size", [1, 7, 48])
def test_how_many_impressions_are_scored_at_once_changes_nothing(scene, size):
    together, apart = scene.predict(scene.prepared), scene.predict(scene.prepared, batch=size)
    assert all(np.allclose(together[name], apart[name], atol=1e-6) for name in together)


# The future


def planted_for(index: str, day: float) -> Event:
    """An event that `index` holds for the impressions below, at `day`."""
    if index.endswith("purchased"):
        return Event(day, None, "U0", "cola", "I0", True, "a type never seen before")
    return Event(day, 1000, "U0", "cola", "I0", not index.endswith("skipped"))


@pytest.fixture(scope="module")
def page() -> pa.Table:
    """Four candidates for U0, who asks for cola on day NOW; I0 is among them."""
    one = random_impressions(0, num_pages=1)
    one = with_column(one, "timestamp", [NOW * DAY] * 4)
    for name, value in (("user_id", "U0"), ("query", "cola"), ("query_category", "drinks")):
        one = with_column(one, name, [value] * 4)
    return with_column(one, "item_id", ["I0", "I1", "I2", "I5"])


@pytest.mark.parametrize("index", INDICES)
def test_a_future_event_in_any_index_changes_no_feature_slice_or_prediction(scene, page, index):
    told = scene.told(PAST, page)
    for day in (NOW, NOW + 0.5):
        assert differing(told, scene.told(in_order([*PAST, planted_for(index, day)]), page)) == []
    # The same event a day earlier is no secret, so that the test above can fail.
    log = make_log(in_order([*PAST, planted_for(index, NOW - 1)]))
    coded = log.encode(page)
    groups = {f"same_{name}": group[coded.item] for name, group in log.item_groups.items()}
    codes = [groups[part] if part in groups else getattr(coded, part) for part in log.specs[index].parts]
    held = log.index(index).last_row(log.index(index).lookup(*codes), np.zeros(4, np.int64), coded.before_row)
    assert log.seconds[held[0]] == (NOW - 1) * DAY
    assert {"numeric", "p_click"} <= set(differing(told, scene.told(log, page)))


# People without a past


def emptied(log: BehaviourLog) -> BehaviourLog:
    """The log with nothing in any index of users."""
    # All of them first: some are built from others, and what belongs to everybody stays.
    indices = {name: log.index(name) for name in log.specs}
    for name, index in indices.items():
        spec = log.specs[name]
        if "user" in spec.parts:
            codes = [np.zeros(0, np.int64) for _ in spec.parts]
            values = None if index.totals is None else np.zeros((0, index.totals.shape[1]))
            log._indices[name] = BehaviourIndex.build(codes, index.sizes, np.zeros(0, np.int64), values)
    return log


@pytest.mark.parametrize("seed", range(3))
def test_who_has_no_history_is_scored_as_with_empty_indices(scene, seed):
    events, impressions = random_events(seed), random_impressions(seed)
    newcomer = with_column(impressions, "user_id", ["U_new"] * 48)
    told = scene.told(events, newcomer)
    assert np.isfinite(told["p_click"]).all() and np.isfinite(told["numeric"]).all() and (told["user_rows"] == -1).all()
    assert differing(told, scene.told(emptied(make_log(events)), newcomer)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_history_cut_to_nothing_is_scored_as_with_empty_indices(scene, seed):
    log, impressions = make_log(random_events(seed)), random_impressions(seed)
    shop = scene.shop_of(log)
    cut = prepare(impressions, shop, scene.history, 0).finish(scene.feature_map, shop)
    whole, shop_without = scene.prepare(emptied(make_log(random_events(seed))), impressions)
    assert differing(scene.predict(cut, shop), scene.predict(whole, shop_without)) == []


def test_an_empty_log_gives_finite_scores(scene):
    told = scene.told([], random_impressions(0))
    assert ((told["p_click"] > 0) & (told["p_click"] < 1)).all() and (told["cross_depth"] == 2).all()


# Switches

SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "user preference": ({"user_preference": False}, {}, ("model.user_attention", "model.preference_mix")),
    "cross-user preference": (
        {"cross_preference": False},
        {},
        ("model.cross_attention", "model.depth_embedding", "model.preference_mix"),
    ),
    "incentive": ({"incentive": "none"}, {}, ("model.incentive",)),
    "debias": ({}, {"debias_weight": 0.0}, ("exposure_bias",)),
    "position": ({}, {"position_debias": False}, ("examination",)),
    # Readings of the click head, and losses, have nothing of their own to learn.
    "ordinal head": ({"ordinal_head": False}, {}, ()),
    "stop-gradient": ({"click_trains_level": False}, {}, ()),
    "consistency": ({}, {"consistency_weight": 0.0}, ()),
    "relevance": ({}, {"relevance_weight": 0.0}, ()),
    "replay": ({}, {"replay_share": 0.0, "relevance_weight": 0.0, "noise": "isotropic"}, ()),
    "incentive penalty": ({}, {"incentive_penalty": 0.0}, ()),
    "down-sampling": ({}, {"negative_sampling_rate": 1.0}, ()),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_part_switched_off_has_no_parameters(scene, switch):
    network, losses, prefixes = SWITCHES[switch]
    everything = {"position_debias": True, "negative_sampling_rate": 0.5}

    def names(network: dict[str, Any], losses: dict[str, Any]) -> set[str]:
        changed = {"ordinal_head": True} | network
        return set(Objective(scene.network(**changed), LossArguments(**(everything | losses)), 0).state_dict())

    on, off = names({}, {}), names(network, losses)
    assert on - off == {name for name in on if name.startswith(prefixes)} if prefixes else on == off
    assert off <= on and all(any(name.startswith(prefix) for name in on) for prefix in prefixes)


@pytest.mark.parametrize("ids", [{"item_id": False}, {"user_id": True}])
def test_an_id_that_is_not_embedded_has_no_table(scene, ids):
    raw = prepare(scene.impressions, scene.shop, scene.history)
    plain, changed = (FeatureMap.fit(ITEMS, raw.impressions, raw.features, min_count=1, **k) for k in ({}, ids))
    assert len(changed.cardinalities) - len(plain.cardinalities) == (1 if "user_id" in ids else -1)
    assert ("user_id" in plain.categorical_names, "item_id" in plain.categorical_names) == (False, True)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda scene: scene.network(user_preference=False, cross_preference=False), "incentive reads the preference"),
        (lambda scene: scene.network(attention_heads=3), "not a multiple of attention_heads"),
        (lambda _: LossArguments(replay_share=0.0), "relevance_weight works on replayed pairs"),
        (lambda _: LossArguments(replay_share=1.0), "replay_share: found 1.0; set a number from 0 to 0.99"),
        (lambda _: TrainArguments(encoder_learning_rate=0.0), "the warm-up trains the level module"),
    ],
)
def test_switches_that_contradict_each_other_are_refused(scene, ask, message):
    with pytest.raises(PrectrError, match=message):
        ask(scene)


# Extremes

EXTREME = st.sampled_from([-60.0, 0.0, 60.0])
ROWS = st.lists(st.tuples(*[EXTREME] * 8), min_size=1, max_size=6)
LOSSES = {
    "fuse": lambda click, level: fuse(click, level).sum(),
    "click": lambda click, level: click_loss(fuse(click, level)[:, None], torch.arange(len(click)) % 2),
    "click, thinned log": lambda click, level: click_loss(
        fuse(click, level)[:, None], torch.arange(len(click)) % 2, torch.ones(len(click)), 1e-3
    ),
    "relevance": lambda _, level: relevance_loss(level, torch.eye(4)[torch.arange(len(level)) % 4]),
    "consistency": lambda click, _: consistency_loss(click, 0.5),
    "debias": lambda click, level: debias_loss(
        fuse(click, level), fuse(click.flip(0), level), torch.arange(len(click)) % 4, 0.5, 1.5
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=25)
@given(rows=ROWS)
def test_logits_of_sixty_give_a_finite_loss_and_gradient(name, dtype, rows):
    logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
    loss = LOSSES[name](logits[:, :4], logits[:, 4:])
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("sign", [-60.0, 60.0])
def test_a_network_driven_to_the_edge_still_learns(scene, sign):
    network = scene.network()
    with torch.no_grad():
        network.base.head_bias.copy_(torch.tensor([sign, -sign, sign]))
    weights = (
        LossArguments(**scene.losses, position_debias=True)
        if sign > 0
        else LossArguments(relevance_weight=0.0, replay_share=0.0, noise="covariance")
    )
    objective = Objective(network, weights, seed=0)
    batch = scene.batch(replace(scene.prepared))
    parts = objective(batch)
    parts["loss"].backward()
    assert all(torch.isfinite(part) for part in parts.values())
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)
    network.zero_grad()
