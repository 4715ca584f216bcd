"""Pages over HTTP: scores, dials, searches, explanations."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.rank.service.fake_live import LEVELS, FakeLive

PAGE = {"query": "orange juice", "candidates": [{"item_id": "3"}, {"item_id": "1"}, {"text": "orange marmalade"}]}


def post(client: TestClient, path: str, body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_page_is_scored_in_its_own_order_and_ordered_beside(client: TestClient) -> None:
    found = post(client, "/v1/rank", PAGE)
    assert found["item_id"][:2] == ["3", "1"] and found["item_id"][2].startswith("text:")
    assert found["levels"] == LEVELS and found["order"] == [1, 2, 0] and found["below_floor"] == []
    mixed = (np.array(found["level_prob"]) * np.array(found["p_click_given_level"])).sum(1)
    assert np.allclose(mixed, found["p_click"]) and found["score"] == found["p_click"]
    assert 0 <= found["page_id"] < 2**53


def test_what_is_asked_reaches_the_ranker(client: TestClient, live: FakeLive) -> None:
    body = {
        **PAGE, "user_id": "u", "timestamp": "2017-11-20T10:00:00Z", "query_category": "drinks", "page_id": 7,
        "context": {"ctx_cat_store": 5, "ctx_num_hour": 3},
        "candidates": [{"item_id": "1", "category": "x", "attributes": {"ctx_num_price": 2, "cat_brand": "Sun"}}],
    }  # fmt: skip
    assert post(client, "/v1/rank", body)["page_id"] == 7
    [request] = live.requests
    assert (request.user_id, request.timestamp, request.query_category) == ("u", 1511172000, "drinks")
    assert request.context == {"ctx_cat_store": "5", "ctx_num_hour": 3.0}
    assert request.candidates[0].attributes == {"ctx_num_price": 2.0, "cat_brand": "Sun", "category": "x"}


def test_the_floor_takes_out_what_is_hardly_relevant(client: TestClient) -> None:
    found = post(client, "/v1/rank", {**PAGE, "floor": 0.5})
    assert found["order"] == [1, 2] and found["below_floor"] == [0]
    # "orange marmalade" shares half of the query: P(exact) is .35.
    assert post(client, "/v1/rank", {**PAGE, "floor": 0.5, "floor_level": 3})["below_floor"] == [2, 0]
    assert post(client, "/v1/rank", {**PAGE, "floor": 1.0, "floor_level": 0})["below_floor"] == []


def test_level_values_make_another_score(client: TestClient) -> None:
    found = post(client, "/v1/rank", {**PAGE, "level_values": [1, 0, 0, 0]})
    expected = np.array(found["level_prob"])[:, 0] * np.array(found["p_click_given_level"])[:, 0]
    assert np.allclose(found["score"], expected) and found["order"] == [0, 2, 1]


def test_a_search_finds_by_words_and_by_clicks(client: TestClient) -> None:
    found = post(client, "/v1/search", {"query": "juice"})
    by_id = {each["item_id"]: each for each in found["results"]}
    assert set(by_id) == {"1", "4"} and by_id["1"]["clicked"] == 1 and by_id["1"]["attributes"]["num_price"] == 1.5
    assert sorted(found["orders"]["bm25"]) == sorted(found["orders"]["relevance"]) == [0, 1]
    # Nothing is called "juce", but what was clicked under it is known.
    events = [{"event_id": "a", "kind": "click", "query": "juce", "item_id": "2"}]
    post(client, "/v1/events", {"events": events})
    [only] = post(client, "/v1/search", {"query": "juce"})["results"]
    assert (only["item_id"], only["bm25"], only["clicked"]) == ("2", None, 1)
    assert post(client, "/v1/search", {"query": "nothing like it"})["results"] == []


def test_a_price_of_the_catalogue_is_that_on_the_page(client: TestClient, live: FakeLive) -> None:
    post(client, "/v1/search", {"query": "soda"})
    assert live.requests[0].candidates[0].attributes == {"ctx_num_price": 2.0}


@pytest.mark.parametrize(
    "query", ['"', "a OR b", "NEAR(", "text:juice", "*", "juice -", "'; DROP TABLE items; --", "日本"]
)
def test_a_query_is_words_and_no_language(client: TestClient, query: str) -> None:
    assert isinstance(post(client, "/v1/search", {"query": query})["results"], list)
    assert len(post(client, "/v1/search", {"query": "juice"})["results"]) == 2


def test_an_explanation_names_no_user(client: TestClient) -> None:
    found = post(client, "/v1/explain", {**PAGE, "user_id": "secret-7"})
    assert [each["item_id"] for each in found["candidates"]][0] == "1" and "user_id" not in found
    assert found["candidates"][0]["alpha"] is None  # what is no number is null


def test_a_shopper_of_the_page_is_a_user_of_the_log(client: TestClient, live: FakeLive) -> None:
    shoppers = client.get("/v1/shoppers")
    assert "secret" not in shoppers.text
    names = [each["name"] for each in shoppers.json()]
    for name in names:
        post(client, "/v1/rank", {**PAGE, "user_id": name})
    assert {request.user_id for request in live.requests} <= {"secret-7", "secret-8"}
    assert shoppers.json()[0]["past"][0]["text"] in live.items.values()


def test_suggestions_begin_a_word(client: TestClient) -> None:
    assert client.get("/v1/suggestions", params={"q": "JUI"}).json() == ["juice", "orange juice"]
    assert client.get("/v1/suggestions", params={"q": "uice"}).json() == []
    assert len(client.get("/v1/suggestions").json()) == 2
