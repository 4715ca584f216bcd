"""Several teachers before any label is paid for: how each judges the same validation pairs, and what each would take
for the whole job.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prectr.distill.sheet import Sheet, order_of
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.check import job_time, terms, tokens_per_pair
from prectr.distill.teachers.ensemble import fit_weights, pooled
from prectr.shared.run.console import table

TOGETHER = "all together"


@dataclass(frozen=True)
class Candidate:
    """A teacher and what was found of it.

    Args:
        figures: of `Sheet.figures`.
        seconds: it takes for a pair, as measured. tokens: it reads of a pair; None: not told.
        price: of a million tokens; 0 where nothing is paid. promised: seconds within which the job is done, where a
            server promises that; None: it begins at once.
    """

    name: str
    figures: Mapping[str, float | int | None]
    seconds: float
    tokens: float | None
    price: float = 0.0
    promised: float | None = None

    def takes(self, job_size: int) -> str:
        """How long so many pairs take."""
        return job_time(self.seconds * job_size, self.promised)

    @property
    def cost(self) -> float | None:
        """Of one pair, in the currency of `price`; None where the tokens are not told."""
        return 0.0 if not self.price else None if self.tokens is None else self.tokens * self.price / 1e6

    @property
    def order(self) -> float:
        """What teachers are chosen by (`prectr.distill.order`); one that judged nothing is last."""
        return order_of(self.figures)


def ask_all(
    teachers: Mapping[str, Teacher], sheet: Sheet, prices: Mapping[str, float], job_size: int
) -> list[Candidate]:
    """Asks every teacher for the whole sheet, and reckons several of them as one ensemble too, weighed on the sheet as
    `prectr.distill.choosing.choice` weighs them.

    Args:
        prices: of a million tokens, for those that are paid.
        job_size: pairs that are to be labelled.
    """
    found, said = [], []
    for name, teacher in teachers.items():
        started = time.perf_counter()
        said.append(teacher.score(sheet.asked).log_odds)
        seconds = (time.perf_counter() - started) / len(sheet.asked)
        tokens, _ = tokens_per_pair(teacher, sheet.asked)
        share, promised = terms(teacher, job_size)
        price = prices.get(name, 0.0) * share
        found.append(Candidate(name, sheet.figures(said[-1]), seconds, tokens, price, promised))
    graded = len(sheet)
    if len(found) < 2 or not np.isfinite(np.stack(said)[:, :graded]).all((0, 2)).any():
        return found
    weights = fit_weights([one[:graded] for one in said], sheet.graded.level)
    together = sheet.figures(pooled(said, weights))
    members = [one for one, weight in zip(found, weights, strict=True) if weight > 0]
    costs = [one.cost for one in members]
    known = [cost for cost in costs if cost is not None]
    tokens, price = (None, 1.0) if len(known) < len(costs) else (sum(known), 1e6)
    promised = max((one.promised for one in members if one.promised is not None), default=None)
    return [*found, Candidate(TOGETHER, together, sum(one.seconds for one in members), tokens, price, promised)]


def show_candidates(candidates: Sequence[Candidate], sheet: Sheet, job_size: int) -> None:
    """A row for each: how it judges, and what `job_size` pairs would take."""
    paid = any(one.price for one in candidates)
    rows = [
        [
            one.name,
            *(_told(one.figures.get(name)) for name in ("within_query_spearman", "auc_relevant_random", "qwk")),
            f"{1 / one.seconds:,.1f}",
            one.takes(job_size),
            *([None if one.cost is None else f"{one.cost * job_size:,.2f}"] if paid else []),
        ]
        for one in candidates
    ]
    costs = [f"cost of {job_size:,} pairs"] if paid else []
    table(
        "Teachers side by side",
        ["teacher", "within query", "against random", "QWK", "pairs/s", f"time for {job_size:,} pairs", *costs],
        rows,
        f"On {len(sheet):,} validation pairs of {len(np.unique(sheet.graded.query)):,} queries: Spearman within the "
        f"query, AUC of relevant against {len(sheet.random):,} random pairs.",
    )


def recommendation(candidates: Sequence[Candidate], job_size: int) -> str:
    """Whom to take, and why, in one sentence: the best by order, and of equals the cheapest, then the fastest."""
    known = [one for one in candidates if np.isfinite(one.order)]
    if not known:
        return "None of them could judge a single validation pair, so none is recommended."
    best = max(known, key=lambda one: (one.order, -(one.cost or 0.0), -one.seconds))
    within, random = (_told(best.figures[name]) or "–" for name in ("within_query_spearman", "auc_relevant_random"))
    takes = f"{job_size:,} pairs take {best.takes(job_size)}"
    if best.price:
        takes += " and cost what it does not tell" if best.cost is None else f" and cost {best.cost * job_size:,.2f}"
    return (
        f"Recommended: {best.name}, whose Spearman within the query and AUC against random ({within} and {random}) "
        f"are together the highest; {takes}."
    )


def _told(value: float | int | None) -> str | None:
    return None if value is None else f"{value:.3f}"
