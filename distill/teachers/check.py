"""A check of a teacher before it labels: ten pairs, what it says of them, and what the whole job would take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from prectr.distill.pairs import Pairs, concatenate
from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.shared.run.console import console, table

SHOWN = 10


def example_pairs(gold: Pairs, unlabelled: Pairs, seed: int) -> Pairs:
    """Ten pairs: five of `gold`, as even over the levels as they come, the others of `unlabelled`."""
    drawn = gold.sample(len(gold), seed, "check")
    seen: dict[int, int] = {}
    turn = np.empty(len(drawn), np.int64)  # how many of its level stand before it
    for row, level in enumerate(drawn.level):
        turn[row] = seen[level] = seen.get(level, -1) + 1
    even = drawn.take(np.argsort(turn, kind="stable")[: SHOWN // 2])
    return concatenate([even, unlabelled.sample(SHOWN - len(even), seed, "check")])


def check_teacher(teacher: Teacher, pairs: Pairs, level_names: Sequence[str], job_size: int, price: float) -> None:
    """Prints what `teacher` says of `pairs`, tokens and time per pair, and what `job_size` pairs would take and cost.

    The pairs are judged twice: the first time may pay for loading, so the second one is timed.

    Args:
        teacher: may also have `tokens(pair)`, what it reads of a pair; `workload(pairs)`, tokens computed without and
            with padding; and `batch_size`, which its passes are filled up to.
        pairs: a few; `level` is -1 where nobody labelled the pair.
        level_names: lowest level first.
        job_size: pairs of the whole labelling job.
        price: of a million tokens.
    """
    asked = list(zip(pairs.query, pairs.item_text, strict=True))
    judgement = teacher.score(asked)
    show_judgement(pairs, judgement, level_names)
    show_costs(teacher, asked, job_size, price)


def show_judgement(pairs: Pairs, judgement: Judgement, level_names: Sequence[str]) -> None:
    """A row per pair: its texts, its gold level if it has one, P(level)."""
    rows = []
    with np.errstate(invalid="ignore"):  # a pair that could not be judged
        level_prob = judgement.level_prob
    for row, (query, text) in enumerate(zip(pairs.query, pairs.item_text, strict=True)):
        gold = level_names[pairs.level[row]] if pairs.level[row] >= 0 else None
        shares = [None if np.isnan(share) else f"{share:.3f}" for share in level_prob[row]]
        rows.append([query, text, gold, *shares])
    failed = int(np.isnan(judgement.log_odds).any(1).sum())
    bounded = 0 if judgement.censored is None else int(judgement.censored.any(1).sum())
    notes = [f"{failed} of {len(rows)} pairs could not be judged." if failed else ""]
    notes += [f"{bounded} of {len(rows)} have a level of which only a bound is known." if bounded else ""]
    table("What the teacher says", ["query", "item", "gold", *level_names], rows, " ".join(filter(None, notes)) or None)


def show_costs(teacher: Teacher, asked: Sequence[Pair], job_size: int, price: float) -> None:
    """Tokens, padding and time per pair, and what follows for the whole job."""
    seconds, (share, promised) = seconds_per_pair(teacher, asked), terms(teacher, job_size)
    price *= share
    tokens, padded_share = tokens_per_pair(teacher, asked)
    rows: list[list[str | None]] = [
        ["tokens per pair", None if tokens is None else f"{tokens:,.1f}"],
        ["padded share", None if padded_share is None else f"{padded_share:.0%}"],
        ["pairs/s", f"{1 / seconds:,.1f}"],
        [f"time for {job_size:,} pairs", job_time(seconds * job_size, promised)],
    ]
    if price:
        rows.append(
            [f"cost of {job_size:,} pairs", None if tokens is None else f"{tokens * job_size * price / 1e6:,.2f}"]
        )
    table("What the whole job takes", ["", "estimate"], rows, f"From {len(asked)} pairs.")
    if price and tokens is None:
        console.print("This teacher does not count its tokens, so its cost is not known.")


def seconds_per_pair(teacher: Teacher, asked: Sequence[Pair]) -> float:
    """Mean over the pairs, as if every pass were full: a pass of one padded length is filled up to the teacher's
    `batch_size` whatever it is given.
    """
    lengths = np.array([teacher.padded_length(pair) for pair in asked])
    batch_size = getattr(teacher, "batch_size", 1)
    total = 0.0
    for length in np.unique(lengths):
        group = [pair for pair, its_length in zip(asked, lengths, strict=True) if its_length == length]
        started = time.perf_counter()
        teacher.score(group)
        scored = -(-len(group) // batch_size) * batch_size
        total += (time.perf_counter() - started) * len(group) / scored
    return total / len(asked)


def tokens_per_pair(teacher: Teacher, asked: Sequence[Pair]) -> tuple[float | None, float | None]:
    """Mean tokens of a pair, and the share of padding in what is computed; None where the teacher does not say."""
    if hasattr(teacher, "workload"):
        tokens, padded = teacher.workload(asked)
    elif hasattr(teacher, "tokens"):
        tokens = sum(teacher.tokens(pair) for pair in asked)
        padded = sum(teacher.padded_length(pair) for pair in asked)
    else:
        return None, None
    return tokens / len(asked), 1 - tokens / padded if padded >= tokens else None


def terms(teacher: Teacher, job_size: int) -> tuple[float, float | None]:
    """The share of its price that a teacher asks for a job of so many pairs, and the seconds within which it promises
    an answer; None: it begins at once (`prectr.distill.teachers.batch`).
    """
    is_batch = job_size > getattr(teacher, "live_pairs", job_size)
    return (teacher.price_share, teacher.promised_seconds) if is_batch else (1.0, None)  # type: ignore[attr-defined]


def job_time(seconds: float, promised: float | None) -> str:
    """How long a job takes, or within what time it is done."""
    return duration(seconds) if promised is None else f"within {duration(promised)}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:,.1f} h"
