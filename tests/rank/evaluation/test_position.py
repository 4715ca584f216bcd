"""Clicks by place: what the place adds beyond what stands there is a bend; what the ranker explains is none."""

import numpy as np
import pytest

from prectr.rank.evaluation.position import LEAST_BEND, PLACES, position_curve
from prectr.rank.evaluation.protocol import Judged

USERS, PAGES, SIZE = 60, 600, 8


def drawn(examined: bool) -> tuple[Judged, np.ndarray, np.ndarray]:
    """Pages in the order of what is expected; `examined`: the last places are looked at half as often."""
    rng = np.random.default_rng(0)
    position = np.tile(np.arange(SIZE), PAGES)
    p = np.sort(rng.uniform(0.05, 0.6, (PAGES, SIZE)), axis=1)[:, ::-1].ravel()
    seen = np.where(position < SIZE // 2, 1.0, 0.5) if examined else 1.0
    clicked = (rng.random(len(p)) < p * seen).astype(int)
    page = np.repeat(np.arange(PAGES), SIZE)
    return Judged(clicked, page, page % USERS), p, position


def test_clicks_that_relevance_explains_do_not_bend() -> None:
    judged, p, position = drawn(examined=False)
    found = position_curve(judged, p, position, 100, 0)
    assert found is not None and not found["recommended"] and found["ci95"][0] < 0 < found["ci95"][1]
    assert found["place"] == list(range(1, SIZE + 1)) and found["shown"] == [PAGES] * SIZE
    assert found["ctr"][0] > 2 * found["ctr"][-1], "though they fall from place to place"


def test_a_place_that_is_looked_at_less_bends_and_is_worth_learning() -> None:
    judged, p, position = drawn(examined=True)
    found = position_curve(judged, p, position, 100, 0)
    assert found is not None and found["recommended"] and found["ci95"][0] > LEAST_BEND
    assert found["bend"] == pytest.approx(np.log(2), abs=0.15)
    first = position == 0
    assert found["ctr"][0] == pytest.approx(judged.clicked[first].mean())
    assert found["predicted"][0] == pytest.approx(p[first].mean())


def test_unknown_places_are_left_out_and_late_ones_share_the_last() -> None:
    judged, p, position = drawn(examined=False)
    late = np.where(position == 0, -1, position + PLACES)
    found = position_curve(judged, p, np.where(position == 1, 0, late), 10, 0)
    assert found is not None and found["place"] == [1, PLACES] and found["shown"] == [PAGES, PAGES * (SIZE - 2)]


def test_without_places_or_with_one_there_is_no_curve() -> None:
    judged, p, position = drawn(examined=False)
    assert position_curve(judged, p, None, 10, 0) is None
    assert position_curve(judged, p, np.full_like(position, -1), 10, 0) is None
    assert position_curve(judged, p, np.zeros_like(position), 10, 0) is None


def test_few_users_and_no_clicks_recommend_nothing() -> None:
    judged, p, position = drawn(examined=True)
    few = Judged(judged.clicked, judged.page, np.zeros_like(judged.page))
    found = position_curve(few, p, position, 10, 0)
    assert found is not None and found["ci95"] is None and not found["recommended"]
    silent = position_curve(Judged(0 * judged.clicked, judged.page, judged.user), p, position, 10, 0)
    assert silent is not None and silent["bend"] is None and silent["ci95"] is None and not silent["recommended"]
