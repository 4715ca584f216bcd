"""A service and somebody who calls it."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from prectr.rank.service.app import create_app
from prectr.rank.service.settings import Settings
from tests.rank.service.fake_live import FakeLive, catalogue, opened, window

ADMIN = {"authorization": "Bearer root"}
SETTINGS = Settings(
    admin_keys=("root", "second"),
    most_bytes=50_000,
    most_candidates=20,
    most_characters=200,
    most_events=10,
    most_waiting=2,
    hosts=("testserver",),
)


@pytest.fixture
def live() -> FakeLive:
    return FakeLive()


@pytest.fixture
def client(live: FakeLive) -> Iterator[TestClient]:
    app = create_app(live, SETTINGS, catalogue(), window(), opener=opened)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
