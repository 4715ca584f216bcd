"""Real searches of the test weeks: one before and after, and the queries that gain and lose most against LightGBM.

Chosen by rule, so that nobody picked the page that looks best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prectr.rank.reports.data import Scored
from prectr.rank.reports.figures import OURS, RIVAL, Table, told
from prectr.shared.metrics import ndcg_by_group

RELEVANCE = "Relevance alone"
SHOWN, LEAST_CANDIDATES = 10, 4
"""Candidates of a page that are listed, and how many a page needs for its order to be worth a look."""

QUERIES, LEAST_PAGES = 5, 2
"""Queries at either end, and pages with a click that a query needs to stand there."""


@dataclass(frozen=True)
class Placed:
    """A candidate in an order: its text, whether it was clicked, and how many places higher than by relevance alone."""

    text: str
    clicked: bool
    rises: int


@dataclass(frozen=True)
class Search:
    """One page, ordered by each system. `rule` says how it was chosen, `command` takes it apart."""

    query: str
    rule: str
    command: str
    orders: Mapping[str, Sequence[Placed]]
    ndcg: Mapping[str, str]


def one_search(shown: Scored, texts: Mapping[str, str], explain: str) -> Search | None:
    """The page whose gain over relevance alone is the median; None without a page of a click and some candidates.

    Args:
        texts: by item_id. explain: the command that explains a page, but for its number.
    """
    relevance = shown.level_prob @ np.arange(shown.level_prob.shape[1])
    scores = {RELEVANCE: relevance, RIVAL: shown.rival, OURS: shown.ours}
    pages, sizes = np.unique(shown.page, return_counts=True)
    ndcg = {name: ndcg_by_group(shown.page, score, shown.clicked)[0] for name, score in scores.items()}
    clicked = ndcg_by_group(shown.page, relevance, shown.clicked)[1]
    eligible = np.flatnonzero(clicked & (sizes >= LEAST_CANDIDATES))
    if not len(eligible):
        return None
    text = np.array([texts.get(item, item) for item in shown.item.tolist()], dtype=object)
    told_apart = _all_differ(shown.page, text)[eligible]
    eligible = eligible[told_apart] if told_apart.any() else eligible
    gain = (ndcg[OURS] - ndcg[RELEVANCE])[eligible]
    chosen = eligible[np.argsort(gain, kind="stable")[(len(gain) - 1) // 2]]
    rows = np.flatnonzero(shown.page == pages[chosen])
    order = {name: rows[np.argsort(-score[rows], kind="stable")] for name, score in scores.items()}
    before = {row: place for place, row in enumerate(order[RELEVANCE].tolist())}
    return Search(
        str(shown.query[rows[0]]),
        f"Of the {len(eligible):,} test pages with a click and at least {LEAST_CANDIDATES} candidates"
        f"{', no two of which read the same' if told_apart.any() else ''}, the one whose "
        f"gain in NDCG@10 over relevance alone is the median ({np.median(gain):+.3f}): half of them gain more.",
        f"{explain} {pages[chosen]}",
        {
            name: [
                Placed(str(text[row]), bool(shown.clicked[row]), before[row] - place)
                for place, row in enumerate(rows.tolist()[:SHOWN])
            ]
            for name, rows in order.items()
        },
        {name: f"{values[chosen]:.3f}" for name, values in ndcg.items()},
    )


def _all_differ(page: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Whether no two candidates of a page have the same text [m], by page ascending; `page`, `text` [n]."""
    _, code = np.unique(text.astype(str), return_inverse=True)
    pages, place, sizes = np.unique(page, return_inverse=True, return_counts=True)
    distinct = np.unique(place.astype(np.int64) * (code.max() + 1) + code) // (code.max() + 1)
    found: np.ndarray = np.bincount(distinct, minlength=len(pages)) == sizes
    return found


def gaining_and_losing(shown: Scored, explain: str) -> list[Table]:
    """The queries whose pages gain most NDCG@10 against LightGBM, and those that lose most; a table each."""
    ours, clicked = ndcg_by_group(shown.page, shown.ours, shown.clicked)
    theirs, _ = ndcg_by_group(shown.page, shown.rival, shown.clicked)
    pages, first = np.unique(shown.page, return_index=True)
    queries, code, count = np.unique(shown.query[first][clicked].astype(str), return_inverse=True, return_counts=True)
    least = LEAST_PAGES if (count >= LEAST_PAGES).sum() >= 2 * QUERIES else 1
    pages, ours, theirs = (values[clicked] for values in (pages, ours, theirs))
    gap = ours - theirs
    mean = {name: np.bincount(code, values, len(queries)) / np.maximum(count, 1)
            for name, values in ((OURS, ours), (RIVAL, theirs), ("gap", gap))}  # fmt: skip
    ranked = [query for query in np.argsort(-mean["gap"], kind="stable").tolist() if count[query] >= least]
    found = []
    for title, sign, chosen in (
        ("Queries that gain most", 1, ranked[:QUERIES]), ("Queries that lose most", -1, ranked[::-1][:QUERIES])
    ):  # fmt: skip
        rows = []
        for query in chosen:
            if mean["gap"][query] * sign <= 0:
                continue
            own = np.flatnonzero(code == query)
            page = pages[own[np.argmax(sign * gap[own])]]
            figures = [told(float(mean[name][query])) for name in (OURS, RIVAL)]
            rows.append(
                [str(queries[query]), f"{mean['gap'][query]:+.4f}", f"{count[query]:,}", *figures, f"{explain} {page}"]
            )
        if rows:
            columns = [
                "query",
                "gap",
                "pages",
                f"ndcg@10, {OURS}",
                f"ndcg@10, {RIVAL}",
                "its page with the largest gap",
            ]
            note = (
                f"Mean NDCG@10 over a query's test pages with a click; of {len(ranked):,} queries with at least "
                f"{least}. The ends of so many queries are in part chance."
            )
            found.append(Table(title, columns, rows, note))
    return found
