"""Whether a server says what the run was judged by: of each page at its own time, and while it learns the weeks as they
go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.serving.pages import Page, requests_of
from benchmarks.serving.server import Caller, Server
from prectr.shared.seeds import generator


class Parity(NamedTuple):
    """The largest difference of P(click), and the AUC of what the server said; None: the pages have one class only."""

    delta: float
    auc: float | None


def some_of(pages: Sequence[Page], most: int) -> list[Page]:
    """Pages at random, in the order of time."""
    places = generator(0, "serving", "parity").permutation(len(pages))[:most]
    return [pages[place] for place in np.sort(places)]


def parity(server: Server, pages: Sequence[Page]) -> Parity:
    """Each page at its own time, asked of a server that knows the whole log."""
    caller = server.caller()
    found = _compared(pages, [_p_click(caller, page) for page in pages])
    caller.close()
    return found


def live_parity(server: Server, pages: Sequence[Page], seconds: Sequence[list[dict[str, Any]]]) -> Parity:
    """Each page, in the order of time, after every event strictly before it and before its own: asked of a server
    whose log ends where the events begin, and which is told them over HTTP."""
    caller, found = server.caller(), []
    for page, events in zip(pages, _between(pages, seconds), strict=True):
        for body in requests_of(events):
            caller.post("/v1/events", body)
        found.append(_p_click(caller, page))
    caller.close()
    return _compared(pages, found)


def _between(
    pages: Sequence[Page], seconds: Sequence[list[dict[str, Any]]]
) -> Iterator[Sequence[list[dict[str, Any]]]]:
    """For each page the seconds with events that lie before it and not before the page ahead of it."""
    times = np.array([events[0]["timestamp"] for events in seconds], np.int64)
    done = 0
    for end in np.searchsorted(times, [page.second for page in pages], "left").tolist():
        yield seconds[done:end]
        done = end


def _p_click(caller: Caller, page: Page) -> np.ndarray:
    return np.array(caller.post("/v1/rank", page.body)["p_click"])


def _compared(pages: Sequence[Page], found: Sequence[np.ndarray]) -> Parity:
    delta = max(float(np.abs(p - page.p_click).max()) for p, page in zip(found, pages, strict=True))
    clicked = np.concatenate([page.clicked for page in pages])
    if len(np.unique(clicked)) < 2:
        return Parity(delta, None)
    return Parity(delta, float(roc_auc_score(clicked, np.concatenate(found))))
