"""Searches by rule: the median page, and the queries at either end with a page that shows it."""

from typing import Any

import numpy as np

from prectr.rank.reports.data import Scored
from prectr.rank.reports.searches import gaining_and_losing, one_search

SIZE = 5
TEXTS = {f"I{number}": f"text {number}" for number in range(SIZE)}


def scored(places: list[tuple[int, int, int]], queries: list[str] | None = None) -> Scored:
    """A page per triple: where relevance alone, LightGBM and we put its first item, from 0; it is the clicked one, but
    for a place of −1: then none is."""
    pages = len(places)
    levels, rival, ours = (np.concatenate([with_first_at(max(place[who], 0)) for place in places]) for who in range(3))
    rows = pages * SIZE
    clicked = np.zeros(rows)
    clicked[::SIZE] = [float(place[0] >= 0) for place in places]
    unknown: Any = np.full(rows, -1)
    return Scored(
        page=np.repeat(np.arange(pages) + 100, SIZE), user=np.arange(rows), clicked=clicked, ours=ours, rival=rival,
        tau=np.zeros(rows), level_prob=np.stack([1 - levels, levels], 1), click_given_level=np.zeros((rows, 2)),
        gold_level=unknown, history_pages=unknown, past_pages=None,
        query=np.repeat(np.array(queries or ["tea"] * pages, dtype=object), SIZE),
        item=np.array([f"I{number}" for number in range(SIZE)] * pages, dtype=object),
    )  # fmt: skip


def with_first_at(place: int) -> np.ndarray:
    """Scores of a page of which the first one is the (place + 1)-th highest."""
    falling = np.linspace(0.9, 0.1, SIZE)
    return np.array([falling[place], *np.delete(falling, place)])


def test_the_page_in_the_middle_is_shown_not_the_best_one() -> None:
    shown = scored([(4, 1, 0), (2, 1, 0), (0, 0, 0), (-1, 0, 0)])
    search = one_search(shown, TEXTS, "rank explain --page")
    assert search is not None and search.command == "rank explain --page 101"
    assert "3 test pages" in search.rule and "median" in search.rule and "read the same" in search.rule
    assert list(search.orders) == ["Relevance alone", "LightGBM", "PRECTR"]
    clicked = [[one.clicked for one in order].index(True) for order in search.orders.values()]
    assert clicked == [2, 1, 0]
    first = search.orders["PRECTR"][0]
    assert first.text == "text 0" and first.rises == 2 and search.ndcg["PRECTR"] == "1.000"
    assert all(one.rises == 0 for one in search.orders["Relevance alone"])


def test_pages_whose_candidates_read_alike_are_shown_only_if_all_do() -> None:
    shown = scored([(4, 1, 0), (2, 1, 0), (0, 0, 0)])
    shown.item[SIZE : SIZE + 2] = "I0"  # on the page in the middle
    search = one_search(shown, TEXTS, "x")
    assert search is not None and search.command in ("x 100", "x 102") and "2 test pages" in search.rule
    alike = one_search(shown, dict.fromkeys(TEXTS, "same"), "x")
    assert alike is not None and "3 test pages" in alike.rule and "read the same" not in alike.rule


def test_no_click_no_search() -> None:
    assert one_search(scored([(-1, 0, 0)]), TEXTS, "x") is None
    assert gaining_and_losing(scored([(-1, 0, 0)]), "x") == []


def test_queries_at_either_end_name_the_page_that_shows_it() -> None:
    places = [(0, 4, 0), (0, 1, 0), (0, 0, 4), (0, 0, 1), (0, 0, 0)]
    gain, lose = gaining_and_losing(scored(places, ["milk", "milk", "tea", "tea", "eggs"]), "rank explain --page")
    assert [row[0] for row in gain.rows] == ["milk"] and [row[0] for row in lose.rows] == ["tea"]
    assert gain.rows[0][2] == "2" and gain.rows[0][-1] == "rank explain --page 100"
    assert lose.rows[0][-1] == "rank explain --page 102" and lose.rows[0][1].startswith("-")


def test_systems_that_agree_have_no_ends() -> None:
    assert gaining_and_losing(scored([(0, 1, 1), (0, 2, 2)]), "x") == []
