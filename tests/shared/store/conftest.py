"""What tests of object storage share: a server, and a machine whose cache is empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prectr.shared.store.fetched import CACHE, fetched
from tests.shared.store.server import store


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with store() as environment:
        yield environment


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a machine that has fetched nothing yet."""
    return other_machine(tmp_path / "one", monkeypatch)


def other_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if the process began on another machine."""
    monkeypatch.setenv(CACHE, str(cache))
    fetched.cache_clear()
    return cache
