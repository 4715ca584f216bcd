"""Load by the clock: what is late counts from when it was due."""

import time
from threading import Lock
from types import SimpleNamespace
from typing import Any

from benchmarks.serving.load import Answer, asked, summary


def server_of(seconds: float, most: int) -> Any:
    """It answers one request at a time, and 503 where `most` wait already."""
    one, inside = Lock(), [0]

    def ask(path: str, body: bytes) -> tuple[int, bytes]:
        inside[0] += 1
        try:
            if inside[0] > most:
                return 503, b""
            with one:
                time.sleep(seconds)
            return 200, b""
        finally:
            inside[0] -= 1

    return SimpleNamespace(caller=lambda: SimpleNamespace(ask=ask, close=lambda: None))


def test_below_its_capacity_all_is_answered_and_above_it_some_is_refused() -> None:
    below = asked(server_of(0.01, 4), [b"page"], 20, 0.5, callers=8)
    above = asked(server_of(0.05, 4), [b"page"], 100, 0.5, callers=40)
    assert [each.status for each in below] == [200] * 10
    assert {each.status for each in above} == {200, 503}


def test_what_waits_for_a_free_caller_is_late() -> None:
    answers = asked(server_of(0.05, 100), [b"page"], 100, 0.1, callers=1)
    assert answers[-1].milliseconds > 10 * 50 - 100 - 1  # ten in a row, the last due after 90 ms


def test_summary_by_hand() -> None:
    answers = [Answer(0.0, 200, 1.0), Answer(1.0, 200, 2.0), Answer(1.5, 503, 900.0), Answer(2.9, 200, 3.0)]
    assert summary(answers, 3.0) == {"answers": {"200": 3, "503": 1}, "p99_ms_by_third": [1.0, 2.0, 3.0]}
    assert summary(answers[2:3], 3.0)["p99_ms_by_third"] == [None, None, None]
