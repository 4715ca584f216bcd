"""Keys, hosts, full queues, errors nobody foresaw, and an orderly end."""

import logging
import threading
import time

import numpy as np
import pytest
from starlette.testclient import TestClient

from prectr.rank.service.app import create_app
from prectr.rank.service.interface import Ranked
from prectr.rank.service.settings import Settings, keys_of
from prectr.shared.errors import PrectrError
from tests.rank.service.conftest import ADMIN
from tests.rank.service.fake_live import FakeLive, catalogue, opened, window

PAGE = {"query": "juice", "candidates": [{"item_id": "1"}]}
ADMINISTRATION = [("PUT", "/v1/items"), ("DELETE", "/v1/users/u"), ("POST", "/v1/reload")]


def caller(live: FakeLive, **settings: object) -> TestClient:
    app = create_app(live, Settings(**settings), catalogue(), window(), opener=opened)  # type: ignore[arg-type]
    return TestClient(app, raise_server_exceptions=False)


def test_readers_need_a_key_where_there_are_any(live: FakeLive) -> None:
    with caller(live, read_keys=("one", "two"), admin_keys=("root",)) as client:
        for path in ("/v1/rank", "/v1/search", "/v1/events", "/v1/explain", "/v1/rerank", "/rerank"):
            refused = client.post(path, json=PAGE)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/shoppers", "/v1/suggestions"):
            assert client.get(path).status_code == 401
        for wrong in ("Bearer three", "Bearer ", "Bearer one two", "Basic one", "one", "Bearer \xfc"):
            headers = {"authorization": wrong.encode("latin-1")}
            assert client.post("/v1/rank", json=PAGE, headers=headers).status_code == 401
        for right in ({"authorization": "Bearer one"}, {"x-api-key": "two"}, {"authorization": "bearer root"}):
            assert client.post("/v1/rank", json=PAGE, headers=right).status_code == 200
        assert client.get("/healthz").status_code == client.get("/").status_code == 200


@pytest.mark.parametrize(("method", "path"), ADMINISTRATION)
def test_an_administrator_is_apart_from_readers(live: FakeLive, method: str, path: str) -> None:
    body = {"json": {"items": [{"item_id": "9", "text": "a"}]}} if method == "PUT" else {}
    with caller(live, read_keys=("one",), admin_keys=("root",)) as client:
        assert client.request(method, path, headers={"authorization": "Bearer one"}, **body).status_code == 401
        assert client.request(method, path, headers=ADMIN, **body).status_code == 200
    with caller(FakeLive()) as client:
        refused = client.request(method, path, headers=ADMIN, **body)
        assert refused.status_code == 403 and "PRECTR_ADMIN_KEYS" in refused.json()["error"]


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECTR_API_KEYS", " a, b,,")
    assert keys_of("PRECTR_API_KEYS") == ("a", "b") and keys_of("PRECTR_NOTHING") == ()
    assert "secret" not in repr(Settings(read_keys=("secret",), admin_keys=("secret",)))


def test_another_name_for_this_host_is_refused(live: FakeLive) -> None:
    with caller(live, hosts=("testserver", "::1")) as client:
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 421
        for name in ("testserver:80", "[::1]:80", "[::1]"):
            assert client.get("/healthz", headers={"host": name}).status_code == 200


def test_a_full_queue_says_when_to_come_back(live: FakeLive) -> None:
    live.gate.clear()
    with caller(live, most_waiting=1, retry_after=3) as client:
        answers: list[int] = []
        ask = list[threading.Thread]()
        for _ in range(2):  # one at work, one waiting
            ask.append(threading.Thread(target=lambda: answers.append(client.post("/v1/rank", json=PAGE).status_code)))
            ask[-1].start()
        queue = client.app.state.service.ranking  # type: ignore[attr-defined]
        until = time.monotonic() + 10
        while len(queue._inside) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        refused = client.post("/v1/rank", json=PAGE)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "3"
        assert client.get("/healthz").status_code == 200  # the rest still answers
        live.gate.set()
        for thread in ask:
            thread.join()
        assert answers == [200, 200]
        assert client.post("/v1/rank", json=PAGE).status_code == 200
        assert 'prectr_refused_total{queue="rank"} 1.0' in client.get("/metrics").text


def test_an_error_nobody_foresaw_tells_nothing(
    client: TestClient, live: FakeLive, caplog: pytest.LogCaptureFixture
) -> None:
    live.error = RuntimeError("/home/somebody/secret-7 is broken")
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/v1/rank", json=PAGE | {"user_id": "secret-7"})
    assert answer.status_code == 500
    number = answer.json()["error"].split()[-1].rstrip(".")
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("prectr"))
    assert number in logged and "RuntimeError" in logged
    for told in (answer.text, logged):
        assert "secret" not in told and "home" not in told and "Traceback" not in told
    live.error = None
    assert client.post("/v1/rank", json=PAGE).status_code == 200


def test_an_error_that_can_be_mended_names_no_folder(client: TestClient, live: FakeLive) -> None:
    live.error = PrectrError("/home/me/shop/items.parquet: column 'num_price' is missing: add it.")
    answer = client.post("/v1/rank", json=PAGE)
    assert answer.status_code == 422
    assert answer.json() == {"error": "items.parquet: column 'num_price' is missing: add it."}


def test_scores_that_are_no_numbers_are_refused(
    client: TestClient, live: FakeLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = np.full(1, np.nan), np.full((1, 4), 0.25)
    monkeypatch.setattr(live, "rank", lambda request: Ranked(["1"], one, two, two, one, np.zeros(1, int)))
    assert client.post("/v1/rank", json=PAGE).status_code == 422
    assert client.post("/v1/rerank", json={"query": "q", "documents": ["a"]}).status_code == 422


def test_a_new_ranker_takes_over(live: FakeLive) -> None:
    with caller(live, admin_keys=("root",)) as client:
        client.post("/v1/rank", json=PAGE)
        assert client.post("/v1/reload", headers=ADMIN).json() == {"status": "reloaded"}
        assert live.closed and client.post("/v1/rank", json=PAGE).status_code == 200 and len(live.requests) == 1


def test_what_is_not_a_ranker_does_not_take_over(live: FakeLive) -> None:
    def missing() -> FakeLive:
        raise PrectrError("/srv/shop/ranker is not there.")

    app = create_app(live, Settings(admin_keys=("root",)), catalogue(), window(), opener=missing)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/v1/reload", headers=ADMIN).json() == {"error": "ranker is not there."}
        assert client.post("/v1/rank", json=PAGE).status_code == 200 and not live.closed


def test_it_ends_in_order(live: FakeLive) -> None:
    with caller(live) as client:
        client.post("/v1/rank", json=PAGE)
        assert not live.closed
    assert live.closed and client.get("/readyz").status_code == 503


def test_metrics(client: TestClient) -> None:
    page = client.post("/v1/rank", json=PAGE | {"user_id": "secret-7"}).json()
    client.post("/v1/rank", json=PAGE)
    for kind in ("impression", "click", "click"):
        event = {"event_id": kind, "kind": kind, "query": "juice", "item_id": "1", "page_id": page["page_id"]}
        client.post("/v1/events", json={"events": [event]})
    client.delete("/v1/users/secret-7", headers=ADMIN)
    text = client.get("/metrics").text
    for line in (
        'prectr_requests_total{route="/v1/rank",status="200"} 2.0',
        'prectr_phase_seconds_count{phase="rank"} 2.0',
        'prectr_phase_seconds_count{phase="events"} 3.0',
        'prectr_query_cache_total{outcome="hit"} 1.0',
        'prectr_events_total{outcome="repeated"} 1.0',
        "prectr_candidates_sum 2.0",
        "prectr_live_impressions 1.0",
        f"prectr_live_pcoc {page['p_click'][0]}",
    ):
        assert line in text, line
    assert "secret" not in text


def test_readiness(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    client.app.state.service.ready = False  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == 503
