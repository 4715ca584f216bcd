"""The verb, and the service before the real ranker of a toy run."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import uvicorn
from starlette.testclient import TestClient

from prectr.data.contract import read_table
from prectr.rank.history.event import Event
from prectr.rank.service.app import create_app
from prectr.rank.service.config import ServeArguments
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.serve import ends_in_order, listen, seconds_ahead, settings_of, window_of
from prectr.rank.service.settings import Settings
from prectr.rank.serving.journal import Journal
from prectr.rank.serving.live import LiveRanker
from prectr.shared.errors import PrectrError
from tests.rank.service.conftest import ADMIN
from tests.rank.service.fake_live import FakeLive


def open_app(home: Path, journal: Path) -> TestClient:
    live = LiveRanker.open(home / "ranker", home / "data", journal)
    catalogue, window = Catalogue.of_table(live.scorer.items), window_of(home / "data")
    settings = Settings(admin_keys=("root",), ahead=seconds_ahead(home / "data", journal))
    return TestClient(create_app(live, settings, catalogue, window))


@pytest.fixture(scope="module")
def shop(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with open_app(home, tmp_path_factory.mktemp("journal") / "journal.sqlite") as client:
        yield client


def searched(home: Path) -> str:
    return read_table(home / "data", "impressions")["query"][0].as_py()


def test_a_search_an_event_and_the_next_search(shop: TestClient, home: Path) -> None:
    body = {"query": searched(home), "user_id": "somebody"}
    first = shop.post("/v1/search", json=body).json()
    assert first["results"] and sorted(first["orders"]["prectr"]) == list(range(len(first["results"])))
    last = first["results"][first["orders"]["prectr"][-1]]
    event = {"kind": "click", "item_id": last["item_id"], "page_id": first["page_id"], **body}
    for number in range(3):
        answer = shop.post("/v1/events", json={"events": [{"event_id": f"e{number}", **event}]})
        assert answer.json() == {"new": 1, "repeated": 0, "ignored": 0}
    second = shop.post("/v1/search", json=body).json()
    again = next(each for each in second["results"] if each["item_id"] == last["item_id"])
    assert again["p_click"] != last["p_click"] and again["clicked"] == last["clicked"] + 3
    assert shop.delete("/v1/users/somebody", headers=ADMIN).status_code == 200
    third = shop.post("/v1/search", json=body).json()
    erased = next(each for each in third["results"] if each["item_id"] == last["item_id"])
    assert erased["p_click"] == pytest.approx(last["p_click"], abs=1e-4)


def test_an_explanation(shop: TestClient, home: Path) -> None:
    ids = read_table(home / "data", "items")["item_id"].to_pylist()[:3]
    body = {"query": searched(home), "candidates": [{"item_id": each} for each in ids]}
    found = shop.post("/v1/explain", json=body).json()
    assert {each["item_id"] for each in found["candidates"]} == set(ids) and found["candidates"][0]["occlusion"]


def test_an_item_that_nobody_knew(shop: TestClient) -> None:
    body = {"query": "red shoe", "candidates": [{"text": "a red shoe"}, {"item_id": "mine", "text": "a blue one"}]}
    assert len(shop.post("/v1/rank", json=body).json()["order"]) == 2
    assert len(shop.post("/rerank", json={"query": "red shoe", "texts": ["red", "shoe"]}).json()) == 2
    item = {"item_id": "brand-new", "text": "zebra shoe"}
    answer = shop.put("/v1/items", json={"items": [item]}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    assert shop.post("/v1/search", json={"query": "zebra"}).json()["results"][0]["item_id"] == "brand-new"


def test_what_was_taken_in_is_there_after_a_restart(home: Path, tmp_path: Path) -> None:
    item_id = read_table(home / "data", "items")["item_id"][0].as_py()
    event = {"event_id": "e", "kind": "click", "query": "a new query", "item_id": item_id}
    for expected in ({"new": 1, "repeated": 0}, {"new": 0, "repeated": 1}):
        with open_app(home, tmp_path / "journal.sqlite") as client:
            assert client.post("/v1/events", json={"events": [event]}).json() == expected | {"ignored": 0}
            assert "a new query" in client.get("/v1/suggestions", params={"q": "a new"}).json()


def test_the_present_is_after_the_last_event_of_tables_and_journal(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    latest = pc.max(read_table(home / "data", "behaviours", ["timestamp"])["timestamp"].cast(pa.int64())).as_py()
    assert abs(seconds_ahead(home / "data", path) + time.time() - latest) < 10
    with Journal(path) as journal:
        journal.append([Event("e", "purchase", "u", None, None, "i", None, latest + 1_000)])
    assert abs(seconds_ahead(home / "data", path) + time.time() - latest - 1_000) < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_servers_loop_is_not_lost(number: signal.Signals) -> None:
    config = uvicorn.Config(create_app(FakeLive()), log_config=None)
    server = uvicorn.Server(config)
    before = signal.getsignal(number)

    def stop() -> None:
        server.should_exit = True

    with ends_in_order(stop):
        os.kill(os.getpid(), number)
        server.run(sockets=[listen("127.0.0.1", 0)])  # ends at once
    assert signal.getsignal(number) is before


def test_it_listens_to_this_machine_only_unless_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRECTR_API_KEYS", raising=False)
    assert settings_of(ServeArguments()).hosts == ("127.0.0.1", "localhost", "::1")
    with pytest.raises(PrectrError, match="PRECTR_API_KEYS is not set"):
        settings_of(ServeArguments(host="0.0.0.0"))
    monkeypatch.setenv("PRECTR_API_KEYS", "a")
    assert settings_of(ServeArguments(host="0.0.0.0")).read_keys == ("a",)


def test_a_taken_port_is_said() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(PrectrError, match="name another with --port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_answer_does_not_wait_for_the_receipt_of_its_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("wrong", [{"port": 70_000}, {"most_candidates": 0}, {"most_waiting": -1}])
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(PrectrError, match=next(iter(wrong))):
        ServeArguments(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/rank", {"candidates": [{"text": "a", "attributes": {"num_price": 3.4e38, "ctx_num_price": -3.4e38}}]}),
        ("/v1/rank", {"candidates": [{"text": "a"}], "timestamp": 0}),
        ("/v1/rank", {"candidates": [{"text": "a"}], "timestamp": 2**33 - 1}),
        ("/v1/rank", {"candidates": [{"text": "\0"}], "user_id": "\0"}),
        ("/v1/rank", {"candidates": [{"text": "a", "item_id": "text:1"}], "query_category": "none such"}),
        ("/v1/rank", {"candidates": [{"text": "字" * 2000}], "context": {"ctx_cat_none": "x", "ctx_num_none": 1}}),
        ("/v1/explain", {"candidates": [{"text": "a"}], "top_events": 0, "top_features": 0}),
        ("/v1/events", {"events": [{"event_id": "f", "kind": "click", "query": "\0", "timestamp": 2**33 - 1}]}),
        ("/v1/events", {"events": [{"event_id": "g", "kind": "impression", "query": "q", "timestamp": 0}]}),
        ("/v1/events", {"events": [{"event_id": "h", "kind": "purchase", "user_id": "\0", "timestamp": 1}]}),
    ],
)
def test_extremes_are_answered(shop: TestClient, home: Path, path: str, body: dict[str, Any]) -> None:
    item_id = read_table(home / "data", "items")["item_id"][0].as_py()
    if "events" in body:
        body = {"events": [each | {"item_id": item_id} for each in body["events"]]}
    else:
        body = {"query": "\0 q", **body}
    assert shop.post(path, json=body).status_code in (200, 422)
    assert shop.post("/v1/search", json={"query": searched(home), "user_id": "\0"}).status_code == 200
