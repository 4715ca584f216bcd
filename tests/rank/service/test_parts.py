"""The parts that need no HTTP: dials, the clock, the catalogue, what the page shows, live calibration."""

import time

import numpy as np
import pytest

from prectr.rank.service.bodies import Dials
from prectr.rank.service.dials import ordered
from prectr.rank.service.errors import PATH, RefusedError
from prectr.rank.service.interface import Event, Item, Ranked
from prectr.rank.service.metrics import LiveCalibration
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.service.state import Clock
from tests.rank.service.fake_live import BEHAVIOURS, catalogue, window

NAMES = ["no", "maybe", "yes"]


def ranked() -> Ranked:
    level_prob = np.array([[0.2, 0.3, 0.5], [0.8, 0.1, 0.1], [0.0, 0.0, 1.0]])
    given = np.array([[0.1, 0.2, 0.3], [0.9, 0.9, 0.9], [0.1, 0.1, 0.1]])
    p_click = (level_prob * given).sum(1)
    return Ranked(["a", "b", "c"], p_click, level_prob, given, np.zeros(3), np.argsort(-p_click))


def test_without_dials_the_order_is_the_rankers() -> None:
    assert ordered(ranked(), Dials(), NAMES).order == [1, 0, 2]


def test_a_click_on_what_is_irrelevant_may_be_worth_nothing() -> None:
    found = ordered(ranked(), Dials(level_values=[0, 1, 2]), NAMES)
    assert np.allclose(found.score, [0.3 * 0.2 + 2 * 0.5 * 0.3, 0.09 + 0.18, 0.2]) and found.order == [0, 1, 2]


def test_the_floor_keeps_the_order() -> None:
    found = ordered(ranked(), Dials(floor=0.5), NAMES)
    assert (found.order, found.below_floor) == ([0, 2], [1])
    with pytest.raises(RefusedError, match=r"0 to 2 \(no, maybe, yes\)"):
        ordered(ranked(), Dials(floor_level=3), NAMES)


def test_a_request_comes_after_every_event_before_it() -> None:
    clock = Clock(1_500_000_000 - time.time())
    for _ in range(5):
        event = clock.stamp()
        assert event < clock.now() <= event + 2
    assert 1_500_000_000 <= clock.now() < 1_500_000_100


def test_words_are_stemmed_and_without_accents() -> None:
    found = Catalogue()
    found.put([Item("1", "CAFÉ DRINKS", None, {}), Item("2", "tea", "drink", {"num_price": None, "cat_a": "b"})])
    assert {each.item.item_id for each in found.search("drinking cafe", 5)} == {"1", "2"}
    assert len(found.search("drink", 1)) == 1 and len(found) == 2
    assert found.get(["2", "3"]) == {"2": Item("2", "tea", "drink", {"cat_a": "b"})}
    assert found.search("... !", 5) == []
    for _ in range(2):
        assert found.known(["2", "3", "1"]) == {"1", "2"}
    found.put([Item("3", "milk", None, {})])
    assert found.known(["3", "4"]) == {"3"}


def test_the_better_match_comes_first() -> None:
    scores = [each.bm25 for each in catalogue().search("orange juice liter", 9)]
    assert scores == sorted(scores, reverse=True) and len(scores) == 3


def test_many_ids_at_once() -> None:
    found = Catalogue()
    found.put(Item(str(number), "a", None, {}) for number in range(1_200))
    assert len(found.get([str(number) for number in range(1_200)])) == 1_200


def test_the_window_counts_on() -> None:
    shown = window()
    assert shown.clicks_under("juice") == {"1": 1}
    names = [name for name, _, _ in shown.shoppers()]
    user = shown.user_of(names[0])
    assert user in ("secret-7", "secret-8") and shown.user_of("me") == "me" and shown.user_of(None) is None
    shown.add([Event("e", "click", user, "juice", None, "2", None, 4_000, True)])
    assert shown.clicks_under("juice") == {"1": 1, "2": 1}
    assert shown.shoppers()[0][2][0] == {"query": "juice", "item_id": "2"}


def test_an_empty_log_has_an_empty_window() -> None:
    empty = ShopWindow.of_table(BEHAVIOURS.slice(0, 0))
    assert empty.shoppers() == [] and empty.suggest("") == []


def test_live_calibration_counts_each_item_of_a_page_once() -> None:
    live = LiveCalibration()
    live.answered(1, ["a", "b"], [0.5, 0.1])
    for page, item, clicked in ((1, "a", False), (1, "a", True), (1, "a", True), (1, "b", False), (2, "a", True)):
        live.happened(page, item, clicked)
    assert (live.shown, live.clicks, live.predicted) == (2, 1, 0.6)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("/srv/x/items.parquet: column", "items.parquet: column"),
        ("in ~/shop/ranker now", "in ranker now"),
        (r"C:\Users\me\model is gone", "model is gone"),
        ("send 3 and/or 4: see /docs", "send 3 and/or 4: see /docs"),
    ],
)
def test_paths_lose_their_folders(told: str, kept: str) -> None:
    assert PATH.sub(r"\1", told) == kept
