"""`python -m rank compare --journal FILE`: which of two rankers people's clicks speak for, and how sure that is. [O]

Of interleaved pages, one is won by whose items were clicked more often; the advantage is Δ = (wins + ties / 2) / pages
with a click − 1/2 (Chapelle et al., Large-scale validation and analysis of interleaved search evaluation, TOIS 2012).
Of pages that fell to one ranker by their shopper, what they differ in is how many had a click, and how far above it
stood. Intervals are 95 % percentiles of a bootstrap over shoppers, as everywhere.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.history.event import SHOWINGS, Event
from prectr.rank.serving.config import CompareArguments
from prectr.rank.serving.journal import Journal
from prectr.rank.serving.traffic.served import CHALLENGER, CHAMPION, INTERLEAVED, Served
from prectr.shared import metrics
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console

MEASURES = {"clicked_pages": "pages with a click", "reciprocal_rank": "1 / place of the first click"}


def compare(arguments: CompareArguments) -> None:
    """The verb: print what the journal says of champion and challenger.

    Raises:
        PrectrError: there is no such journal, or no page of it was ranked by a challenger.
    """
    path = Path(arguments.journal)
    if not path.exists():
        raise PrectrError(f"{path} is not there: name the file that `python -m rank serve` keeps events in.")
    with Journal(path) as journal:
        found = compared(journal.pages(), journal.read().events, arguments.resamples)
    if not found:
        raise PrectrError(f"{path}: no challenger ranked a page of it: serve with --challenger FOLDER for a while.")
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for line in _told(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def compared(served: Iterable[Served], events: Iterable[Event], resamples: int = 1000) -> dict[str, Any]:
    """What is known of each kind of contest: `interleaved`, `shared`; empty where there was none.

    Only pages count of which something was told: that it was shown, or clicked.
    """
    clicked, told = dict[int, set[str]](), set[int]()
    for event in events:
        if event.kind in SHOWINGS and isinstance(event.page_id, int) and event.item_id is not None:
            told.add(event.page_id)
            if event.is_clicked:
                clicked.setdefault(event.page_id, set()).add(event.item_id)
    pages = [page for page in served if page.page_id in told]
    found = {}
    if both := [page for page in pages if page.ranker == INTERLEAVED]:
        found["interleaved"] = _interleaved(both, clicked, resamples)
    if any(page.ranker == CHALLENGER for page in pages):
        found["shared"] = _shared([page for page in pages if page.ranker != INTERLEAVED], clicked, resamples)
    return found


def _interleaved(pages: list[Served], clicked: Mapping[int, set[str]], resamples: int) -> dict[str, Any]:
    outcomes, users = [], []
    for page in pages:
        of_page = clicked.get(page.page_id, set())
        if not of_page:
            continue  # it speaks for nobody
        clicks = Counter(item.team for item in page.items if item.item_id in of_page)
        outcomes.append(float(np.sign(clicks[CHALLENGER] - clicks[CHAMPION])))
        users.append(_shopper(page))
    won = np.array(outcomes)

    def advantage(drawn: np.ndarray) -> float | None:
        return float((drawn * won).sum() / drawn.sum() / 2) if drawn.sum() else None

    return {
        "pages": len(pages),
        "clicked_pages": len(won),
        "challenger_wins": int((won > 0).sum()),
        "champion_wins": int((won < 0).sum()),
        "ties": int((won == 0).sum()),
        "advantage": _with_interval(advantage, users, resamples),
    }


def _shared(pages: list[Served], clicked: Mapping[int, set[str]], resamples: int) -> dict[str, Any]:
    theirs = np.array([page.ranker == CHALLENGER for page in pages])
    rank = np.zeros(len(pages))
    for number, page in enumerate(pages):
        of_page = clicked.get(page.page_id, set())
        places = [place for place, item in enumerate(page.items, 1) if item.item_id in of_page]
        rank[number] = 1 / places[0] if places else 0.0
    values = {"clicked_pages": (rank > 0).astype(float), "reciprocal_rank": rank}
    users = [_shopper(page) for page in pages]
    found: dict[str, Any] = {"challenger_pages": int(theirs.sum()), "champion_pages": int((~theirs).sum())}
    for name, value in values.items():

        def mean(drawn: np.ndarray, rows: np.ndarray, value: np.ndarray = value) -> float | None:
            weight = drawn * rows
            return float((weight * value).sum() / weight.sum()) if weight.sum() else None

        def gap(drawn: np.ndarray, mean: Any = mean) -> float | None:
            one, other = mean(drawn, theirs), mean(drawn, ~theirs)
            return None if one is None or other is None else one - other

        every = np.ones(len(pages))
        found[name] = {"challenger": mean(every, theirs), "champion": mean(every, ~theirs)}
        found[name] |= _with_interval(gap, users, resamples)
    return found


def _with_interval(gap: Any, users: list[str], resamples: int) -> dict[str, Any]:
    if not users:
        return {"gap": None, "ci95": None}
    interval = metrics.user_bootstrap(users, gap, resamples=resamples)
    return {"gap": gap(np.ones(len(users))), "ci95": None if interval is None else list(interval)}


def _shopper(page: Served) -> str:
    return f"page {page.page_id}" if page.user_id is None else f"user {page.user_id}"


def _told(found: Mapping[str, Any]) -> Iterable[str]:
    if (both := found.get("interleaved")) is not None:
        yield (
            f"Interleaved: of {both['pages']:,} pages {both['clicked_pages']:,} had a click; the challenger won "
            f"{both['challenger_wins']:,}, the champion {both['champion_wins']:,}, {both['ties']:,} tied."
        )
        yield f"  advantage of the challenger {_figure(both['advantage'])}"
    if (shared := found.get("shared")) is not None:
        ours, theirs = shared["champion_pages"], shared["challenger_pages"]
        yield f"By shopper: {theirs:,} pages by the challenger, {ours:,} by the champion."
        for name, what in MEASURES.items():
            yield f"  {what}: challenger − champion {_figure(shared[name])}"


def _figure(found: Mapping[str, Any]) -> str:
    """A gap, its interval and who won."""
    gap, interval = found["gap"], found["ci95"]
    if gap is None or interval is None:
        return "is not known yet: fewer than ten shoppers clicked." if gap is None else f"{gap:+.3f} (too few shoppers)"
    low, high = interval
    winner = "the challenger wins" if low > 0 else "the champion wins" if high < 0 else "no difference is shown"
    return f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]: {winner}"
