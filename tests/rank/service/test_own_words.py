"""Requests to the service in the shop's own names."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from prectr.rank.service.app import create_app
from prectr.rank.service.settings import Settings
from prectr.rank.serving.own_names import OwnNames
from tests.rank.service.fake_live import FakeLive, catalogue, window

NAMES = {
    "query": ["q"],
    "user_id": ["visitor"],
    "item_id": ["sku"],
    "text": ["title", "brand"],
    "category": ["kind"],
    "num_price": ["price"],
    "ctx_cat_device": ["device"],
    "ctx_cat_gerät": ["Gerät"],
}


@pytest.fixture
def live() -> FakeLive:
    return FakeLive()


@pytest.fixture
def client(live: FakeLive) -> Iterator[TestClient]:
    live.own_names = OwnNames(NAMES)
    with TestClient(create_app(live, Settings(), catalogue(), window())) as client:
        yield client


def test_a_page_in_own_words(client: TestClient, live: FakeLive) -> None:
    candidates = [{"sku": "1"}, {"sku": "new", "title": "juice", "brand": "Sun", "kind": "drinks", "price": 2.5}]
    body = {"q": "juice", "visitor": "7", "device": "phone", "candidates": candidates}
    answer = client.post("/v1/rank", json=body)
    assert answer.status_code == 200, answer.text
    (asked,) = live.requests
    assert (asked.query, asked.user_id, asked.context) == ("juice", "7", {"ctx_cat_device": "phone"})
    first, second = asked.candidates
    assert first.item_id == "1" and (second.item_id, second.text) == ("new", "juice Sun")
    assert second.attributes == {"category": "drinks", "num_price": 2.5}
    assert client.post("/v1/explain", json=body).status_code == 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"visitr": "7"}, "'visitr' is no name of this shop's: is it 'visitor'? If so rename it."),
        ({"candidates": [{"titel": "juice"}]}, "candidates.0: 'titel' is no name of this shop's: is it 'title'?"),
        ({"candidates": [{"sku": "1", "wholly": "other"}]}, "candidates.0.wholly: there is no such field"),
        ({"candidates": [{"sku": 1}]}, "candidates.0.item_id: "),
        ({"price": 2.5}, "price: there is no such field"),
        ({"query": "juice"}, "'q' and 'query' say the same: give one of them."),
    ],
)
def test_what_is_neither_is_refused(client: TestClient, change: dict, sentence: str) -> None:
    answer = client.post("/v1/rank", json={"q": "juice", "candidates": [{"sku": "1"}], **change})
    assert answer.status_code == 422 and sentence in answer.json()["error"], answer.text


@pytest.mark.parametrize("context", [{"Gerät": "mobil"}, {"ctx_cat_gerät": "mobil"}])
def test_context_and_attributes_in_own_words(client: TestClient, live: FakeLive, context: dict) -> None:
    candidates = [{"sku": "1", "attributes": {"price": 2.5}}]
    answer = client.post("/v1/rank", json={"q": "juice", "context": context, "candidates": candidates})
    assert answer.status_code == 200, answer.text
    (asked,) = live.requests
    assert asked.context == {"ctx_cat_gerät": "mobil"} and asked.candidates[0].attributes == {"num_price": 2.5}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"context": {"Geräte": "mobil"}}, "'Geräte' is no name of this shop's: is it 'Gerät'? If so rename it."),
        ({"context": {"Ladenfläche": "5"}}, "'Ladenfläche' is no attribute"),
        ({"Gerät": "mobil", "context": {"Gerät": "PC"}}, "'ctx_cat_gerät' is given twice"),
    ],
)
def test_letters_of_every_script_are_told_as_they_are(client: TestClient, change: dict, sentence: str) -> None:
    answer = client.post("/v1/rank", json={"q": "juice", "candidates": [{"sku": "1"}], **change})
    assert answer.status_code == 422 and sentence in answer.text, answer.text


def test_an_event_in_own_words(client: TestClient, live: FakeLive) -> None:
    click = {"event_id": "e1", "kind": "click", "visitor": "7", "q": "juice", "sku": "1"}
    answer = client.post("/v1/events", json={"events": [click]})
    assert answer.status_code == 200, answer.text
    event = live.events["e1"]
    assert (event.user_id, event.query, event.item_id) == ("7", "juice", "1")
    refused = client.post("/v1/events", json={"events": [{**click, "skus": "1"}]})
    assert refused.status_code == 422 and refused.json()["error"].startswith("events.0.skus: there is no such field")


def test_an_item_in_own_words(live: FakeLive) -> None:
    live.own_names = OwnNames(NAMES)
    app = create_app(live, Settings(admin_keys=("a" * 32,)), catalogue(), window())
    item = {"sku": "new", "title": "red juice", "brand": "Sun", "kind": "drinks", "price": 2.5}
    with TestClient(app) as client:
        headers = {"authorization": "Bearer " + "a" * 32}
        answer = client.put("/v1/items", json={"items": [item]}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert live.items["new"] == "red juice Sun"


def test_another_shop_s_names_are_nothing_here(live: FakeLive) -> None:
    with TestClient(create_app(live, Settings(), catalogue(), window())) as client:
        answer = client.post("/v1/rank", json={"q": "juice", "candidates": [{"item_id": "1"}]})
    assert answer.status_code == 422 and answer.json()["error"].startswith("query is missing")
