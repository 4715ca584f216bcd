"""Events change the next answer, count once, and can be forgotten."""

from typing import Any

from starlette.testclient import TestClient

from prectr.rank.service.bodies import EventsBody
from prectr.rank.service.events import UbiReader
from tests.rank.service.conftest import ADMIN
from tests.rank.service.fake_live import FakeLive

SEARCH = {"query": "orange juice", "user_id": "u", "candidates": [{"item_id": "1"}, {"item_id": "2"}]}


def click(number: int, **more: Any) -> dict[str, Any]:
    return {"event_id": f"e{number}", "kind": "click", "user_id": "u", "query": "orange", "item_id": "2", **more}


def send(client: TestClient, **body: Any) -> dict[str, int]:
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_click_changes_the_next_answer(client: TestClient) -> None:
    before = client.post("/v1/rank", json=SEARCH).json()
    assert before["order"] == [0, 1]
    assert send(client, events=[click(0), click(1), click(2)]) == {"new": 3, "repeated": 0, "ignored": 0}
    after = client.post("/v1/rank", json=SEARCH).json()
    assert after["order"] == [1, 0] and after["p_click"][0] == before["p_click"][0]


def test_an_event_counts_once(client: TestClient, live: FakeLive) -> None:
    assert send(client, events=[click(0), click(0)]) == {"new": 1, "repeated": 1, "ignored": 0}
    assert send(client, events=[click(0)])["repeated"] == 1 and len(live.events) == 1
    found = client.post("/v1/search", json={"query": "orange"}).json()
    assert sum(each["clicked"] for each in found["results"]) == 1


def test_what_was_shown_bought_and_clicked_is_told_apart(client: TestClient, live: FakeLive) -> None:
    shown = click(0, kind="impression", page_id=4, timestamp=5)
    bought = {"event_id": "b", "kind": "purchase", "item_id": "3", "timestamp": 6.9}
    send(client, events=[shown, bought, click(1)])
    first, second, third = live.events.values()
    assert (first.kind, first.clicked, first.page_id, first.timestamp) == ("impression", False, 4, 5)
    assert (second.kind, second.clicked, second.query, second.timestamp) == ("purchase", True, None, 6)
    assert (third.kind, third.clicked) == ("click", True) and third.timestamp > 1_700_000_000


def test_ubi(client: TestClient, live: FakeLive) -> None:
    query = {
        "query_id": "q1", "user_query": "juice", "client_id": "c", "timestamp": "2017-11-20T10:00:00Z",
        "query_response_hit_ids": ["1", "2", "gone"], "application": "shop",
    }  # fmt: skip
    about = {"object": {"object_id": "1", "object_id_field": "sku"}, "position": {"ordinal": 1}}
    events = [
        {"action_name": "click", "query_id": "q1", "timestamp": 1511172001, "event_attributes": about},
        {"action_name": "scroll", "query_id": "q1"},
        {"action_name": "click", "query_id": "unknown", "event_attributes": about},
        {"action_name": "purchase", "client_id": "c", "timestamp": 9, "event_attributes": about},
    ]
    assert send(client, ubi_queries=[query]) == {"new": 2, "repeated": 0, "ignored": 1}
    assert send(client, ubi_events=events) == {"new": 2, "repeated": 0, "ignored": 2}
    assert send(client, ubi_queries=[query], ubi_events=events)["repeated"] == 4
    shown, _, clicked, bought = live.events.values()
    assert shown.user_id == clicked.user_id == "c" and clicked.query == "juice" and clicked.clicked
    assert shown.page_id == clicked.page_id and not shown.clicked and bought.kind == "purchase"


def test_ubi_events_of_a_query_that_another_process_was_told_of(client: TestClient, live: FakeLive) -> None:
    query = {"query_id": "elsewhere", "user_query": "juice", "client_id": "c", "query_response_hit_ids": ["1", "2"]}
    other = UbiReader()
    shown, _ = other.read(EventsBody(ubi_queries=[query]), now=5)
    live.add_events(shown)  # as the journal tells it
    about = {"object": {"object_id": "1"}}
    event = {"action_name": "click", "query_id": "elsewhere", "event_attributes": about}
    assert send(client, ubi_events=[event]) == {"new": 1, "repeated": 0, "ignored": 0}
    clicked = list(live.events.values())[-1]
    assert (clicked.query, clicked.user_id, clicked.page_id) == ("juice", "c", shown[0].page_id)


def test_a_user_is_forgotten(client: TestClient, live: FakeLive) -> None:
    send(client, events=[click(0)])
    assert client.delete("/v1/users/u", headers=ADMIN).json() == {"status": "erased"}
    assert live.erased == ["u"] and not live.events
    for user in ("secret-7", "secret-8"):
        client.delete(f"/v1/users/{user}", headers=ADMIN)
    assert client.get("/v1/shoppers").json() == []


def test_a_new_item_is_found_and_ranked(client: TestClient) -> None:
    item = {"item_id": "9", "text": "mango lassi", "category": "drinks", "attributes": {"num_price": 3}}
    assert client.put("/v1/items", json={"items": [item]}, headers=ADMIN).status_code == 200
    assert client.post("/v1/search", json={"query": "mango"}).json()["results"][0]["item_id"] == "9"
    client.put("/v1/items", json={"items": [{**item, "text": "cherry lassi"}]}, headers=ADMIN)
    assert client.post("/v1/search", json={"query": "mango"}).json()["results"] == []
    assert client.post("/v1/search", json={"query": "cherry"}).json()["results"][0]["text"] == "cherry lassi"
