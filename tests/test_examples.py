"""The examples as a shop runs them: between a search engine that answers as Elasticsearch does and the service."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prectr.rank.service.app import create_app
from prectr.rank.service.settings import Settings
from tests.rank.service.fake_live import FakeLive, catalogue, opened, window
from tests.rank.service.served import served

EXAMPLES = Path(__file__).parent.parent / "examples"
FOUND = [("3", "dog food"), ("2", "orange soda 2 liter"), ("1", "orange juice 1 liter")]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def live() -> FakeLive:
    return FakeLive()


@pytest.fixture
def ranker(live: FakeLive) -> Iterator[str]:
    app = create_app(live, Settings(), catalogue(), window(), opener=opened)
    with served(app) as address:
        yield address


@pytest.fixture
def engine() -> Iterator[str]:
    """Finds the same three whatever is asked; nothing for the query `nothing`."""

    class Engine(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            hits = [] if asked["query"]["match"]["title"] == "nothing" else FOUND
            rows = [{"_id": name, "_score": 1.0, "_source": {"title": text}} for name, text in hits]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"hits": {"hits": rows}}).encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/products/_search"
    server.shutdown()
    thread.join()


def test_what_elasticsearch_finds_is_ordered_and_told_back(
    live: FakeLive, ranker: str, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("rerank_elasticsearch")
    example.main([engine, "title", "orange juice", "--ranker", ranker, "--user", "7"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1 1 orange juice 1 liter", "2 2 orange soda 2 liter", "3 3 dog food"]
    assert live.requests[0].user_id == "7" and len(live.requests[0].candidates) == 3
    assert {event.item_id for event in live.events.values()} <= {name for name, _ in FOUND}
    assert {event.query for event in live.events.values()} == {"orange juice"}
    example.tell(ranker, "click", 5, "orange juice", "7", ["1"])
    assert sum(event.clicked for event in live.events.values()) == 1


def test_nothing_found_is_nothing_asked(live: FakeLive, ranker: str, engine: str) -> None:
    assert load("rerank_elasticsearch").search(engine, "title", ranker, "nothing") == []
    assert not live.requests
