"""Two processes at one address, over the real ranker of a toy run: what one is told the other knows; a dead one is
replaced; all of it ends in order."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from prectr.data.contract import read_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc"),
]
PATIENCE = 300.0
ADMIN = {"authorization": "Bearer root"}
IDS = 6


class Workers:
    """`rank serve --workers 2` of a finished run."""

    def __init__(self, home: Path, journal: Path) -> None:
        command = [sys.executable, "-m", "prectr", "rank", "serve", "--workers", "2", "--port", "0"]
        command += ["--artifacts", str(home.parent), "--name", home.name, "--journal", str(journal), "--log_time"]
        environment = os.environ | {"PRECTR_ADMIN_KEYS": "root", "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
        self._journal = journal
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if "http://127.0.0.1:" in line), "")
        assert line, "it ended before it answered"
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0])

    def children(self) -> list[int]:
        pid = self.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Beside the workers there is multiprocessing's own resource tracker.
        return [int(each) for each in found if b"resource_tracker" not in Path(f"/proc/{each}/cmdline").read_bytes()]

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """On a connection of its own, which either may take."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if path != "/metrics" else content.decode()

    def _may_write(self) -> bool:
        """Whether nobody stands still with the journal in hand."""
        connection = sqlite3.connect(self._journal, timeout=0.2, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()
        return True

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Within, the others stand still."""
        others = [child for child in self.children() if child != worker]
        while True:
            for child in others:
                os.kill(child, signal.SIGSTOP)
            if self._may_write():
                break
            for child in others:  # it was about to write
                os.kill(child, signal.SIGCONT)
            time.sleep(0.01)
        try:
            yield
        finally:
            for child in others:
                os.kill(child, signal.SIGCONT)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "journal.sqlite"


@pytest.fixture(scope="module")
def workers(home: Path, journal: Path) -> Iterator[Workers]:
    running = Workers(home, journal)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def page(home: Path) -> dict[str, Any]:
    query = read_table(home / "data", "impressions")["query"][0].as_py()
    ids = read_table(home / "data", "items")["item_id"].to_pylist()[:IDS]
    return {"query": query, "user_id": "somebody", "candidates": [{"item_id": each} for each in ids]}


def event(page: dict[str, Any], name: str, place: int = 0) -> dict[str, Any]:
    item = page["candidates"][place]["item_id"]
    return {"event_id": name, "kind": "click", "query": page["query"], "user_id": page["user_id"], "item_id": item}


def scores(workers: Workers, page: dict[str, Any], by: int) -> list[float]:
    with workers.only(by):
        status, found = workers.ask("POST", "/v1/rank", page)
    assert status == 200, found
    return found["p_click"]


def test_what_one_was_told_the_other_knows(workers: Workers, page: dict[str, Any]) -> None:
    one, other = workers.children()
    before = scores(workers, page, other)
    with workers.only(one):
        for number in range(3):
            told = workers.ask("POST", "/v1/events", {"events": [event(page, f"e{number}")]})
            assert told == (200, {"new": 1, "repeated": 0, "ignored": 0})
        mine = workers.ask("POST", "/v1/rank", page)[1]["p_click"]
    theirs = scores(workers, page, other)
    assert theirs != before and theirs == pytest.approx(mine, abs=1e-6)
    with workers.only(other):  # an event counts once, whoever is told it
        assert workers.ask("POST", "/v1/events", {"events": [event(page, "e0")]})[1]["repeated"] == 1
        found = workers.ask("POST", "/v1/search", {"query": page["query"]})[1]["results"]
    clicked = {each["item_id"]: each["clicked"] for each in found}
    with workers.only(one):
        again = workers.ask("POST", "/v1/search", {"query": page["query"]})[1]["results"]
    assert clicked == {each["item_id"]: each["clicked"] for each in again}
    # Forgotten by one, forgotten by both.
    with workers.only(one):
        assert workers.ask("DELETE", "/v1/users/somebody", headers=ADMIN)[0] == 200
    assert scores(workers, page, other) == pytest.approx(before, abs=1e-4)


def test_an_item_that_one_was_told_of_can_be_named_to_the_other(workers: Workers, page: dict[str, Any]) -> None:
    one, other = workers.children()
    with workers.only(one):
        item = {"item_id": "brand-new", "text": "zebra scarf"}
        assert workers.ask("PUT", "/v1/items", {"items": [item]}, ADMIN)[0] == 200
    with workers.only(other):
        named = {**page, "candidates": [{"item_id": "brand-new"}]}
        assert workers.ask("POST", "/v1/rank", named)[0] == 200
        told = {**event(page, "about the new"), "item_id": "brand-new"}
        assert workers.ask("POST", "/v1/events", {"events": [told]})[1]["new"] == 1
        assert workers.ask("POST", "/v1/search", {"query": "zebra"})[1]["results"][0]["item_id"] == "brand-new"


def test_counters_are_of_both(workers: Workers, page: dict[str, Any]) -> None:
    def ranked() -> float:
        text = workers.ask("GET", "/metrics")[1]
        lines = (line for line in text.splitlines() if line.startswith('prectr_pages_total{ranker="champion"}'))
        return float(next(lines, "0 0").split()[1])

    before = ranked()
    for worker in workers.children():
        scores(workers, page, worker)
    assert ranked() == before + 2 and "prectr_live_pcoc" in workers.ask("GET", "/metrics")[1]


def test_both_reload_while_they_answer(workers: Workers, page: dict[str, Any]) -> None:
    children = workers.children()
    assert workers.ask("POST", "/v1/reload", headers=ADMIN) == (200, {"status": "reloaded"})
    assert workers.children() == children
    assert len({tuple(round(p, 5) for p in scores(workers, page, worker)) for worker in children}) == 1


def test_a_dead_worker_is_replaced_and_nothing_is_lost(workers: Workers, page: dict[str, Any], journal: Path) -> None:
    acknowledged = []
    dead = workers.children()[0]
    for number in range(40):
        if number == 20:
            os.kill(dead, signal.SIGKILL)
        with suppress(OSError, http.client.HTTPException):
            if workers.ask("POST", "/v1/events", {"events": [event(page, f"k{number}", number % IDS)]})[0] == 200:
                acknowledged.append(f"k{number}")
    assert len(acknowledged) > 30
    until(lambda: len(workers.children()) == 2 and dead not in workers.children())
    survivor, new = workers.children()[0], workers.children()[1]
    expected = scores(workers, page, survivor)
    assert scores(workers, page, new) == pytest.approx(expected, abs=1e-6)  # as soon as it answers, it knows all
    with sqlite3.connect(journal) as connection:
        ids = [row[0] for row in connection.execute("SELECT event_id FROM events WHERE event_id LIKE 'k%'")]
    connection.close()
    assert len(ids) == len(set(ids)) and set(acknowledged) <= set(ids)


def test_it_ends_in_order(workers: Workers) -> None:
    children = workers.children()
    workers.process.terminate()
    output, _ = workers.process.communicate(timeout=PATIENCE)
    assert workers.process.returncode == 0 and "Stopped" in output
    for child in children:
        assert not Path(f"/proc/{child}").exists()


def test_workers_whose_parent_is_killed_end(home: Path, tmp_path: Path) -> None:
    running = Workers(home, tmp_path / "journal.sqlite")
    children = running.children()
    running.process.kill()
    running.process.communicate()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
