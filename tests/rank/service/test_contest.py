"""A challenger's share of the pages, interleaved pages, and what the journal is told of both."""

from collections import Counter

import numpy as np
import pytest
from starlette.testclient import TestClient

from prectr.rank.service.app import create_app
from prectr.rank.service.contest import fraction, team_draft
from prectr.rank.service.interface import Ranked, RankRequest
from prectr.rank.service.settings import Settings
from prectr.rank.serving.traffic.served import CHALLENGER, CHAMPION, INTERLEAVED
from prectr.shared.errors import PrectrError
from tests.rank.service.fake_live import FakeLive, catalogue, window

IDS = ["1", "2", "3"]


class Backwards(FakeLive):
    """Orders every page the other way round."""

    def rank(self, request: RankRequest) -> Ranked:
        ranked = super().rank(request)
        ranked.order[:] = ranked.order[::-1].copy()
        return ranked


@pytest.fixture
def challenger() -> Backwards:
    return Backwards()


def client_of(live: FakeLive, challenger: FakeLive, share: float, interleaved: bool) -> TestClient:
    settings = Settings(share=share, interleaved=interleaved)
    return TestClient(create_app(live, settings, catalogue(), window(), challenger=challenger))


def ask(client: TestClient, user: str | None, **more: object) -> dict:
    body = {"query": "orange juice", "candidates": [{"item_id": each} for each in IDS], "user_id": user, **more}
    answer = client.post("/v1/rank", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_shopper_always_falls_to_the_same_ranker(live: FakeLive, challenger: Backwards) -> None:
    with client_of(live, challenger, 0.5, False) as client:
        by_whom = {f"u{number}": ask(client, f"u{number}") for number in range(40)}
        for user, first in by_whom.items():
            again = ask(client, user)
            assert again["ranker"] == first["ranker"]
            assert again["order"] == ([0, 1, 2] if again["ranker"] == CHAMPION else [2, 1, 0])
    counts = Counter(answer["ranker"] for answer in by_whom.values())
    assert min(counts[CHAMPION], counts[CHALLENGER]) > 8
    assert [page.ranker for page in live.pages[:40]] == [answer["ranker"] for answer in by_whom.values()]
    assert [item.item_id for item in live.pages[0].items] == [IDS[place] for place in by_whom["u0"]["order"]]
    assert challenger.closed


@pytest.mark.parametrize(("share", "expected"), [(0.0, CHAMPION), (1.0, CHALLENGER)])
def test_the_share_may_be_nobody_or_everybody(
    live: FakeLive, challenger: Backwards, share: float, expected: str
) -> None:
    with client_of(live, challenger, share, False) as client:
        assert {ask(client, user)["ranker"] for user in ("a", "b", None)} == {expected}


def test_interleaved_pages_say_whose_choice_each_item_is(live: FakeLive, challenger: Backwards) -> None:
    with client_of(live, challenger, 1.0, True) as client:
        answer = ask(client, "u", page_id=7)
        assert answer["ranker"] == INTERLEAVED and sorted(answer["order"]) == [0, 1, 2]
        # An order that the caller makes of values of its own is nobody's.
        assert ask(client, "u", level_values=[0, 0, 1, 2])["ranker"] == CHAMPION
    page = live.pages[0]
    assert page.page_id == 7 and {item.team for item in page.items} == {CHAMPION, CHALLENGER}


def test_a_challenger_that_cannot_leaves_the_page_to_the_champion(live: FakeLive, challenger: Backwards) -> None:
    challenger.error = PrectrError("item '1' is not in the catalogue.")
    with client_of(live, challenger, 1.0, False) as client:
        assert ask(client, "u")["ranker"] == CHAMPION


def test_a_draft_is_fair() -> None:
    ours, theirs = list(range(6)), list(range(6))[::-1]
    firsts, leads = Counter[str](), Counter[str]()
    for page in range(400):
        order, teams = team_draft(ours, theirs, page)
        assert sorted(order) == ours and teams.count(CHAMPION) == 3
        for team, own in ((CHAMPION, ours), (CHALLENGER, theirs)):
            chosen = [place for place, who in zip(order, teams, strict=True) if who == team]
            assert chosen == sorted(chosen, key=own.index)
        firsts[teams[0]] += 1
        leads[teams[2]] += 1
        assert team_draft(ours, theirs, page) == (order, teams)
    assert 160 < firsts[CHAMPION] < 240 and 160 < leads[CHAMPION] < 240


def test_fractions_are_even() -> None:
    drawn = np.array([fraction("contest", str(number)) for number in range(2_000)])
    assert drawn.min() >= 0 and drawn.max() < 1 and abs(drawn.mean() - 0.5) < 0.03
