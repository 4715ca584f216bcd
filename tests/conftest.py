"""Every test runs offline, on one thread, and with the same examples each time."""

import os

# Before anything imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.shared.made_once import made_once

settings.register_profile("prectr", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("prectr")

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


def _refuse_remote(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if not (host is None or name in ("", "localhost", "::1") or name.startswith("127.")):
        raise RuntimeError(f"a test tried to reach {name}; tests run offline")


def _is_local_family(sock: socket.socket) -> bool:
    return sock.family not in (socket.AF_INET, socket.AF_INET6)


def _guarded_connect(self: socket.socket, address: Any) -> None:
    if not _is_local_family(self):
        _refuse_remote(address[0])
    return _connect(self, address)


def _guarded_connect_ex(self: socket.socket, address: Any) -> int:
    if not _is_local_family(self):
        _refuse_remote(address[0])
    return _connect_ex(self, address)


def _guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    _refuse_remote(host)
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect = _guarded_connect  # type: ignore[assignment, method-assign]
socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[assignment, method-assign]
socket.getaddrinfo = _guarded_getaddrinfo


LONGEST = ("test_end_to_end.py", "test_partial_data.py", "test_assistant.py", "test_encoder.py", "test_bad_input.py")
"""Files that take longest: they come first, so that no process ends with one of them while the others wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def one_commit() -> Iterator[None]:
    """The commit of this checkout is asked for once: every step would start two processes of git."""
    from prectr.shared.run import steps

    commit = steps.git_commit()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "git_commit", lambda: commit)
        yield


@pytest.fixture(scope="session")
def smoke_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with the toy shop's tables, as `python -m data build --profile smoke` leaves them; read only."""
    from prectr.data.__main__ import main

    def make(folder: Path) -> None:
        main(["build", "--profile", "smoke", "--artifacts", str(folder)])

    return made_once(tmp_path_factory, "smoke", make)


@pytest.fixture(scope="module")
def few_users() -> Iterator[None]:
    """Intervals of a handful of users, which can be worked out by hand; a run has none of fewer than `LEAST_USERS`."""
    from prectr.shared import metrics

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(metrics, "LEAST_USERS", 1)
        yield
