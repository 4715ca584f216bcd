"""Whatever is sent, the answer is one sentence that says what to send instead, and never a 500."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.rank.service.conftest import ADMIN, SETTINGS

ONE = [{"item_id": "1"}]
LONG = "x" * (SETTINGS.most_characters + 1)
JSON = {"content-type": "application/json"}


def rank(**more: Any) -> tuple[str, Any]:
    return "/v1/rank", {"query": "juice", "candidates": ONE} | more


def candidate(**more: Any) -> tuple[str, Any]:
    return rank(candidates=[{"item_id": "1"} | more])


def event(**more: Any) -> tuple[str, Any]:
    return "/v1/events", {"events": [{"event_id": "e", "kind": "click", "query": "q", "item_id": "1"} | more]}


WRONG = {
    "no query": ("/v1/rank", {"candidates": ONE}),
    "no candidates": ("/v1/rank", {"query": "q"}),
    "an empty page": rank(candidates=[]),
    "an empty query": rank(query=""),
    "a blank query": rank(query=" \n"),
    "a number for a query": rank(query=5),
    "a list for a body": ("/v1/rank", [1]),
    "null for a body": ("/v1/rank", None),
    "a text for a candidate": rank(candidates=["1"]),
    "a candidate with nothing": rank(candidates=[{}]),
    "a blank text": rank(candidates=[{"text": " "}]),
    "an unknown item": rank(candidates=[{"item_id": "nobody's"}]),
    "an item twice": rank(candidates=ONE * 2),
    "a misspelt field": rank(flor=0.5),
    "a misspelt field of a candidate": candidate(titel="x"),
    "a floor above 1": rank(floor=1.5),
    "a floor below 0": rank(floor=-1),
    "a floor that is text": rank(floor="high"),
    "a level there is not": rank(floor_level=4),
    "a level that is true": rank(floor_level=True),
    "too few level values": rank(level_values=[1, 2]),
    "level values that are text": rank(level_values=["a", "b", "c", "d"]),
    "level values beyond float": rank(level_values=[1e300, 0, 0, 0]),
    "a time that is no time": rank(timestamp="yesterday"),
    "a time before all time": rank(timestamp=-1),
    "a time after all time": rank(timestamp=1e18),
    "a time of year 1": rank(timestamp="0001-01-01T00:00:00+14:00"),
    "a time that is true": rank(timestamp=True),
    "a time that is a list": rank(timestamp=[]),
    "a user that is empty": rank(user_id=""),
    "a page that is text": rank(page_id="one"),
    "a page that is negative": rank(page_id=-1),
    "a page beyond 2^53": rank(page_id=2**60),
    "an attribute without a prefix": candidate(attributes={"price": 3}),
    "a number that is text": candidate(attributes={"num_price": "cheap"}),
    "a number beyond float32": candidate(attributes={"num_price": 1e39}),
    "attributes in attributes": candidate(attributes={"cat_a": {"b": 1}}),
    "a list of attributes": candidate(attributes=["cat_a"]),
    "context without a prefix": rank(context={"store": "5"}),
    "half of a surrogate pair": rank(query="\ud83d"),
    "half of a surrogate pair as a name": candidate(attributes={"\ud83d": 1}),
    "no size": ("/v1/search", {"query": "q", "size": 0}),
    "a size of half": ("/v1/search", {"query": "q", "size": 0.5}),
    "a search for nothing": ("/v1/search", {}),
    "too much explained": ("/v1/explain", {"query": "q", "candidates": ONE, "top_events": 1000}),
    "no events": ("/v1/events", {}),
    "empty events": ("/v1/events", {"events": []}),
    "an event without an id": ("/v1/events", {"events": [{"kind": "click", "query": "q", "item_id": "1"}]}),
    "an event of another kind": event(kind="look"),
    "a click without a query": event(query=None),
    "an event about an unknown item": event(item_id="9"),
    "an event at no time": event(timestamp="noon"),
    "UBI without an action": ("/v1/events", {"ubi_events": [{"query_id": "q"}]}),
    "UBI whose hits are one text": (
        "/v1/events", {"ubi_queries": [{"query_id": "q", "user_query": "a", "query_response_hit_ids": "1"}]}),
    "nothing to rerank": ("/v1/rerank", {"query": "q"}),
    "documents and texts": ("/v1/rerank", {"query": "q", "documents": ["a"], "texts": ["a"]}),
    "an empty document": ("/v1/rerank", {"query": "q", "documents": [""]}),
    "a document without a text": ("/v1/rerank", {"query": "q", "documents": [{"title": "a"}]}),
    "top none": ("/v1/rerank", {"query": "q", "documents": ["a"], "top_n": 0}),
    "a score there is not": ("/v1/rerank", {"query": "q", "documents": ["a"], "score": "beauty"}),
}  # fmt: skip
TOO_MUCH = {
    "candidates": rank(candidates=[{"text": str(number)} for number in range(SETTINGS.most_candidates + 1)]),
    "query": rank(query=LONG),
    "text": candidate(text=LONG),
    "attribute": candidate(attributes={"cat_a": LONG}),
    "attribute's name": candidate(attributes={f"cat_{LONG}": "a"}),
    "attributes": candidate(attributes={f"cat_{number}": "a" for number in range(300)}),
    "user": rank(user_id=LONG),
    "size": ("/v1/search", {"query": "q", "size": SETTINGS.most_candidates + 1}),
    "events": ("/v1/events", {"events": event()[1]["events"] * (SETTINGS.most_events + 1)}),
    "shown": (
        "/v1/events", {"ubi_queries": [{"query_id": "q", "user_query": "a", "query_response_hit_ids": ["1"] * 11}]}),
    "document": ("/v1/rerank", {"query": "q", "documents": [LONG]}),
    "body": rank(query="q" * SETTINGS.most_bytes),
}  # fmt: skip
NOT_JSON = {
    "nothing": b"",
    "half": b'{"query": "a", ',
    "bytes": b"\xff\xfe\x00",
    "NaN": b'{"query": "q", "candidates": [{"item_id": "1"}], "floor": NaN}',
    "infinity": b'{"query": "q", "candidates": [{"item_id": "1", "attributes": {"num_a": Infinity}}]}',
    "a number of 5,000 digits": b'{"query": "q", "candidates": [{"item_id": "1"}], "floor_level": '
    + b"9" * 5000
    + b"}",
    "10,000 lists": b'{"query": "q", "candidates": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "8,000 objects": b'{"a":' * 8_000 + b"1" + b"}" * 8_000,
}


def check(answer: Any, *statuses: int) -> str:
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    sentence = answer.json()["error"]
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 250, sentence
    assert "Traceback" not in sentence and "/tmp" not in sentence
    return sentence


def send(client: TestClient, path: str, body: Any) -> Any:
    return client.post(path, content=json.dumps(body), headers=JSON)  # httpx would not send a lone surrogate


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(client: TestClient, name: str) -> None:
    check(send(client, *WRONG[name]), 422)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_said_with_the_limit(client: TestClient, name: str) -> None:
    assert "at most" in (sentence := check(send(client, *TOO_MUCH[name]), 413)) or "longer than" in sentence


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("path", ["/v1/rank", "/v1/events"])
def test_what_is_not_json_is_refused(client: TestClient, path: str, name: str) -> None:
    check(client.post(path, content=NOT_JSON[name], headers=JSON), 400, 422)


def test_only_json_is_read(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        check(client.post("/v1/rank", content=b"{}", headers={"content-type": kind}), 415)


def test_other_addresses_and_methods(client: TestClient) -> None:
    check(client.get("/v1/nothing"), 404)
    check(client.get("/page/../app.py"), 404)
    check(client.get("/page/%2e%2e%2fapp.py"), 404)
    check(client.get("/v1/rank"), 405)
    check(client.delete("/v1/items", headers=ADMIN), 405)


@pytest.mark.parametrize(
    "item",
    [
        {}, {"item_id": "9"}, {"item_id": "", "text": "a"}, {"item_id": "9", "text": " "},
        {"item_id": "9", "text": "a", "attributes": {"ctx_num_price": 1}}, {"item_id": "9", "text": "a", "price": 1},
    ],
)  # fmt: skip
def test_items_that_are_none(client: TestClient, item: Any) -> None:
    check(client.put("/v1/items", json={"items": [item]}, headers=ADMIN), 422)


def test_an_address_in_a_sentence_stays_whole(client: TestClient) -> None:
    assert "send it to /v1/items first" in check(send(client, *WRONG["an event about an unknown item"]), 422)


def test_the_service_lives_on(client: TestClient) -> None:
    for path, body in WRONG.values():
        send(client, path, body)
    assert send(client, *rank()).status_code == 200
