"""Batches: whole pages, each text once, the same for the same seed and number."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import cold_cuts, prepare, with_label
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.history.codes import encode
from prectr.rank.history.log import DAY, UNCUT
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.texts import name_pairs
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.page_order import page_order
from prectr.rank.training.schedule import BatchSchedule
from prectr.shared.errors import PrectrError
from tests.rank.history.toy_level_prob import toy_shop
from tests.rank.random_shop import Event, make_log


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return toy_shop(tmp_path_factory.mktemp("toy"), seed=3)


@pytest.fixture(scope="module")
def prepared(parts):
    shop, train = parts
    raw = prepare(train, shop, HistoryArguments())
    feature_map = FeatureMap.fit(shop.items, raw.impressions, raw.features)
    return raw.finish(feature_map, shop), feature_map


@pytest.fixture(scope="module")
def schedule(parts, prepared):
    shop, _ = parts
    replay = Replay(
        np.arange(9, dtype=np.int32), np.arange(9, dtype=np.int32), np.eye(4, dtype=np.float32)[np.arange(9) % 4]
    )
    events = Events(shop.log, prepared[1].transform_items(shop.items), item_text=shop.text_of_item)

    def make(
        seed: int = 0, epochs: float = 1.0, weight: np.ndarray | None = None, replay: Replay | None = replay
    ) -> BatchSchedule:
        settings = {
            "pages_per_batch": 16,
            "pages_together": 3,
            "epochs": epochs,
            "warmup_share": 0.25,
            "replay_share": 0.25,
            "hard_negatives": None if replay is None else HardNegatives("toward_neighbour", prepared[1]),
            "seed": seed,
        }
        return BatchSchedule(replace(prepared[0], weight=weight), events, replay, **settings)

    return make


def tensors(batch: dict) -> list[torch.Tensor]:
    """Every tensor of a batch, in order."""
    return [leaf for value in batch.values() for leaf in (tensors(value) if isinstance(value, dict) else [value])]


def test_a_batch_depends_on_the_seed_and_its_number_alone(schedule):
    one, other, reseeded = schedule(), schedule(), schedule(seed=1)
    for number in (0, len(one) - 1):
        first, second = one[number], other[number]
        assert list(map(np.array_equal, tensors(first), tensors(second))) == [True] * len(tensors(first)) != []
    assert not np.array_equal(one[len(one) - 1]["row"], reseeded[len(one) - 1]["row"])


def test_the_warm_up_comes_first_and_has_no_impressions(schedule):
    run = schedule()
    assert run.num_warmup > 0
    kinds = ["numeric" in run[number] for number in range(len(run))]
    assert kinds == sorted(kinds) and kinds.count(False) == run.num_warmup


def test_a_pass_shows_every_page_at_most_once(schedule):
    run = schedule()
    pages = np.concatenate(list(run.pages))
    assert len(np.unique(pages)) == len(pages) == 16 * len(run.pages)
    assert len(schedule(epochs=2.0).pages) == 2 * len(run.pages)


def test_pages_are_whole_and_texts_are_distinct(schedule, prepared, parts):
    sets, run = prepared[0], schedule()
    batch = run[len(run) - 1]
    rows = batch["row"].numpy()
    pages = np.unique(sets.page[rows])
    assert len(rows) == np.isin(sets.page, pages).sum()
    assert len(batch["user"]["mask"]) == len(pages) == batch["page"].max() + 1
    pair = batch["pair"].numpy()
    queries, items = batch["pair_query"].numpy()[pair], batch["pair_item"].numpy()[pair]
    for text, row in ((sets.query_text[rows], queries), (sets.item_text[rows], items)):
        assert len(np.unique(text)) == len(np.unique(np.stack([text, row], 1), axis=0)) == len(np.unique(row))


def test_replayed_pairs_are_a_quarter_of_the_batch(schedule):
    run = schedule()
    batch = run[len(run) - 1]
    share = len(batch["replay_pair"]) / (len(batch["replay_pair"]) + len(batch["pair"]))
    assert share == pytest.approx(0.25, abs=0.02)


def test_named_pairs_are_found_again():
    query, item = np.array([3, 1, 3, 3]), np.array([2, 2, 2, 0])
    batch, pair = name_pairs(query, item)
    assert pair[0] == pair[2] and len(np.unique(pair)) == len(batch["pair_query"]) == 3
    assert (batch["pair_queries"].tolist(), batch["pair_items"].tolist()) == ([1, 3], [0, 2])
    assert np.array_equal(batch["pair_queries"][batch["pair_query"][pair]], query)
    assert np.array_equal(batch["pair_items"][batch["pair_item"][pair]], item)


def test_past_events_are_strictly_before_their_page(schedule):
    run = schedule()
    for number in range(run.num_warmup, len(run)):
        batch = run[number]
        for kind in ("user", "cross"):
            gap = batch[kind]["scalars"][..., 1][batch[kind]["mask"]]
            assert (gap > 0).all()


def test_a_prepared_set_survives_the_disk(prepared, tmp_path):
    sets = prepared[0]
    sets.save(tmp_path / "set")
    again = PreparedSet.open(tmp_path / "set")
    assert all(np.array_equal(getattr(sets, name), getattr(again, name)) for name in vars(sets))


def test_a_set_written_before_positions_were_kept_still_opens(prepared, tmp_path):
    prepared[0].save(tmp_path / "set")
    (tmp_path / "set" / "position.npy").unlink()
    assert PreparedSet.open(tmp_path / "set").position is None
    (tmp_path / "set" / "page.npy").unlink()
    with pytest.raises(PrectrError, match="page.npy is missing: run the command that wrote it again"):
        PreparedSet.open(tmp_path / "set")


def test_weights_average_one_and_rows_without_them_count_alike(schedule, prepared):
    run = schedule()
    assert "weight" not in run[len(run) - 1]
    weight = np.linspace(1, 5, len(prepared[0])).astype(np.float32)
    weighted = schedule(weight=weight)
    batch = weighted[len(weighted) - 1]
    rows = batch["row"].numpy()
    every = np.concatenate([weighted[number]["weight"].numpy() for number in range(run.num_warmup, len(run))])
    assert every.mean() == pytest.approx(1, abs=0.05)
    assert batch["weight"].numpy() == pytest.approx(weight[rows] / weight.mean(), rel=1e-5)
    assert np.array_equal(batch["position"].numpy(), prepared[0].position[rows])


def test_the_full_log_is_reckoned_back_from_a_thinned_one(prepared):
    sets = prepared[0]
    clicks, skips = int(sets.clicked.sum()), int((sets.clicked == 0).sum())
    assert sets.click_rate(1.0) == float(sets.clicked.mean())
    assert sets.click_rate(0.25) == pytest.approx(clicks / (clicks + 4 * skips))
    heavy = replace(sets, weight=np.where(sets.clicked == 1, 2, 6).astype(np.float32))
    assert heavy.click_rate(0.5) == pytest.approx(2 * clicks / (2 * clicks + 12 * skips))


def test_a_warm_up_without_replayed_pairs_is_refused(schedule):
    with pytest.raises(PrectrError, match="replay_share is 0"):
        schedule(replay=None)


def test_past_events_tell_their_type_apart_and_a_new_type_is_none_of_them():
    kinds = ("purchase", "added_to_cart", "returned")
    events = [Event(day, None, "U0", "cola", "I0", True, kind) for day, kind in enumerate(kinds)]
    log = make_log([*events, Event(3, 0, "U0", "cola", "I0", False)])
    rows, page = np.array([[0, 1, 2, 3, -1]]), (np.array([10 * DAY]), encode(pa.array(["cola"]), log.queries))
    known = Events(log, np.zeros((8, 1), np.int32), ("search", "purchase", "added_to_cart"))
    scalars = known.gather(rows, *page)["scalars"][0]
    assert scalars[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert scalars[:, 2].tolist() == [0, 0, 0, 1, 0]  # only what was searched for has a query
    assert scalars[:, 3:].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert Events(log, np.zeros((8, 1), np.int32)).gather(rows, *page)["scalars"].shape == (1, 5, 4)
    assert Events(make_log([]), np.zeros((8, 1), np.int32)).gather(rows * 0 - 1, *page)["mask"].sum() == 0


def test_another_label_takes_the_place_of_the_click(parts):
    _, train = parts
    bought = train.append_column("label_bought", pc.invert(train["clicked"]))
    assert with_label(bought, "label_bought")["clicked"].equals(bought["label_bought"])
    assert with_label(bought, "clicked").equals(bought)
    for label in ("label_liked", "position"):
        with pytest.raises(PrectrError, match=rf"label '{label}' is not among .* \(clicked, label_bought\)"):
            with_label(bought, label)


def test_a_history_cut_to_nothing_leaves_no_trace_of_the_user(parts):
    shop, train = parts
    raw = prepare(train, shop, HistoryArguments(), 0)
    assert (raw.user_rows == -1).all()
    own = [name for name in raw.features.names if name.startswith("user_") and name.endswith(("_clicks", "_share"))]
    assert own and all((raw.features.column(name) == 0).all() for name in own)


def test_the_order_of_impressions_changes_nothing(parts):
    shop, train = parts
    order = np.random.default_rng(0).permutation(train.num_rows)
    plain, mixed = prepare(train, shop, HistoryArguments()), prepare(train.take(order), shop, HistoryArguments())
    back = {int(i): row for row, i in enumerate(mixed.impressions["impression_id"].to_numpy())}
    place = [back[int(i)] for i in plain.impressions["impression_id"].to_numpy()]
    assert np.allclose(plain.features.values, mixed.features.values[place], atol=1e-5)
    assert np.array_equal(plain.user_rows, mixed.user_rows)


def test_cold_cuts_are_seeded_and_as_frequent_as_asked():
    cuts = cold_cuts(4000, 0.3, [0, 1, 3], seed=1)
    assert np.array_equal(cuts, cold_cuts(4000, 0.3, [0, 1, 3], seed=1))
    assert (cuts != UNCUT).mean() == pytest.approx(0.3, abs=0.03) and set(cuts) == {UNCUT, 0, 1, 3}


def test_pages_of_a_category_stand_together_and_none_is_lost():
    category = np.random.default_rng(0).integers(0, 5, 103)
    order = page_order(category, 4, np.random.default_rng(1))
    assert np.array_equal(np.sort(order), np.arange(103))
    changes = np.count_nonzero(np.diff(category[order]))
    assert changes < 35 < np.count_nonzero(np.diff(category))
    assert np.array_equal(order, page_order(category, 4, np.random.default_rng(1)))
