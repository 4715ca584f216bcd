"""What a server does when more is asked of it than it can answer: requests come at a rate, whoever waits for what."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from threading import local
from typing import Any, NamedTuple

import numpy as np

from benchmarks.serving.server import Caller, Server

USUAL_CALLERS = 16
MANY_CALLERS = 200  # more than the server lets wait
BELOW, ABOVE = 0.8, 2.0  # of what the server can answer
PARTS = 3  # of a run, whose latencies are compared


class Answer(NamedTuple):
    """An answer: when its request was due, in seconds from the first, its status, and how long after that it came."""

    due: float
    status: int
    milliseconds: float


def under_load(server: Server, bodies: Sequence[bytes], capacity: float, seconds: float) -> dict[str, Any]:
    """Below, above and again below `capacity`, in requests per second; the last a third as long as each of the
    others."""
    phases = {
        "below": (BELOW, USUAL_CALLERS, seconds),
        "above": (ABOVE, MANY_CALLERS, seconds),
        "after": (BELOW, USUAL_CALLERS, seconds / PARTS),
    }
    found: dict[str, Any] = {"capacity_per_s": capacity}
    for name, (share, callers, duration) in phases.items():
        found[name] = summary(asked(server, bodies, share * capacity, duration, callers), duration)
    return found


def asked(server: Server, bodies: Sequence[bytes], rate: float, seconds: float, callers: int) -> list[Answer]:
    """Send a page every 1 / `rate` seconds by whichever of the callers is free; waiting for one is waiting for the
    server, so that it counts."""
    mine, opened, started = local(), list[Caller](), time.perf_counter()

    def ask(due: float, body: bytes) -> Answer:
        if not hasattr(mine, "caller"):
            mine.caller = server.caller()
            opened.append(mine.caller)
        status, _ = mine.caller.ask("/v1/rank", body)
        return Answer(due, status, 1000 * (time.perf_counter() - started - due))

    with ThreadPoolExecutor(callers) as threads:
        answers = []
        for number, body in zip(range(max(int(rate * seconds), 1)), cycle(bodies), strict=False):
            due = number / rate
            time.sleep(max(started + due - time.perf_counter(), 0))
            answers.append(threads.submit(ask, due, body))
        found = [answer.result() for answer in answers]
    for caller in opened:
        caller.close()
    return found


def summary(answers: Sequence[Answer], seconds: float) -> dict[str, Any]:
    """`answers` by status, and the 99th percentile of the milliseconds of those that are 200, by third of the time."""
    due, took = (np.array([each[place] for each in answers if each.status == 200]) for place in (0, 2))
    third = np.minimum((due / seconds * PARTS).astype(int), PARTS - 1)
    parts = [took[third == part] for part in range(PARTS)]
    return {
        "answers": {str(status): count for status, count in sorted(Counter(each.status for each in answers).items())},
        "p99_ms_by_third": [round(float(np.percentile(part, 99)), 1) if len(part) else None for part in parts],
    }
