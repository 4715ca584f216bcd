"""How long an answer takes through HTTP, and how many there are in a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.pages import Larger, Page
from benchmarks.serving.server import Caller, Server, encoded
from prectr.data.contract import read_table
from prectr.shared.seeds import generator

SIZES = (25, 100, 200, 300)
USUAL = 100  # candidates of a page
CLIENTS = 4
NEW_WORDS = 12  # of a text that nobody has seen


def latencies(server: Server, pages: Sequence[Page], larger: Larger, requests: int) -> dict[str, Any]:
    """`p50_ms` and `p99_ms` by number of candidates: of pages at random, queries as new or known as they come, one
    caller. As many as a tenth of them are asked first and not counted."""
    found: dict[str, dict[str, float]] = {"p50_ms": {}, "p99_ms": {}}
    caller = server.caller()
    for size in SIZES:
        draws = generator(0, "serving", str(size))
        bodies = (
            encoded(larger.of(pages[place], size, draws))
            for place in draws.integers(0, len(pages), requests + requests // 10)
        )
        milliseconds = [_timed(caller, body) for body in bodies][requests // 10 :]
        for share in (50, 99):
            found[f"p{share}_ms"][str(size)] = round(float(np.percentile(milliseconds, share)), 2)
    caller.close()
    return found


def cold(server: Server, run: Path, pages: Sequence[Page], requests: int) -> float:
    """Milliseconds, the median, of a page of 100 candidates whose texts nobody has seen, such as the catalogue's words
    make."""
    draws, caller = generator(0, "serving", "cold"), server.caller()
    words = sorted(
        {word for text in read_table(run / "data", "items", ["text"])["text"].to_pylist() for word in text.split()}
    )
    milliseconds = []
    for number in range(requests):
        texts = [" ".join(draws.choice(words, NEW_WORDS)) for _ in range(USUAL)]
        page = pages[int(draws.integers(len(pages)))]
        context = page.candidates[0]["attributes"]
        candidates = [
            {"item_id": f"new {number} {place}", "text": text, "attributes": context}
            for place, text in enumerate(texts)
        ]
        milliseconds.append(_timed(caller, encoded({**page.body, "candidates": candidates})))
    caller.close()
    return round(float(np.median(milliseconds)), 2)


def usual_bodies(pages: Sequence[Page], larger: Larger) -> list[bytes]:
    """200 pages of 100 candidates."""
    draws = generator(0, "serving", "rate")
    return [encoded(larger.of(pages[place], USUAL, draws)) for place in draws.integers(0, len(pages), 200)]


def requests_per_second(server: Server, bodies: Sequence[bytes], seconds: float) -> float:
    """Answers while `CLIENTS` callers each ask as soon as they have been answered."""
    number, started = count(), time.perf_counter()

    def ask(_: int) -> int:
        caller, answered = server.caller(), 0
        while time.perf_counter() < started + seconds:
            caller.send("/v1/rank", bodies[next(number) % len(bodies)])
            answered += 1
        caller.close()
        return answered

    with ThreadPoolExecutor(CLIENTS) as threads:
        answered = sum(threads.map(ask, range(CLIENTS)))
    return round(answered / (time.perf_counter() - started), 1)


def _timed(caller: Caller, body: bytes) -> float:
    """Milliseconds from sending a page to having its answer."""
    started = time.perf_counter()
    caller.send("/v1/rank", body)
    return 1000 * (time.perf_counter() - started)
