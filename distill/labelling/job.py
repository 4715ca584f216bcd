"""The labelling job: which pairs the teacher is still to judge, cut into shards that any number of processes work off.

A job first subtracts what the label cache holds. The rest is cut into shards, and this plan is on disk before the first
pair is scored: a shard is the unit of work and of commit, pairs of one padded length that are scored together whoever
scores them, and whenever. So neither a kill nor the number of processes changes any value. Processes share nothing but
files: each takes the next shard that nobody has, and a shard whose process died is taken by another. What failed is
never a label: it is counted, listed, and tried again in the next run.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from prectr.distill.labelling.cache import (
    PLANNING,
    LabelCache,
    damaged,
    judgement_of,
    pairs_of,
    read_parquet,
    write_parquet,
)
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.shared.atomic import atomic_write
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress_bar, table
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.training.device import GPUS_OF_A_PART

NAME = re.compile("[0-9a-f]{32}")
LABELS, REJECTED = "labels.parquet", "rejected.jsonl"

HOPELESS_SHARDS = 2
"""A teacher that cannot judge one pair of the first shards it is given is not asked further."""

SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Shard:
    """Pairs scored and committed together; `name` is its file's in the cache."""

    name: str
    pairs: list[Pair]


def label(
    teacher: Teacher,
    pairs: Pairs,
    cache: LabelCache,
    shard_size: int,
    max_rejected: float = 0.01,
    engine: Engine = PLAIN,
    reopen: Callable[[], Teacher] | None = None,
) -> None:
    """Has the teacher judge those of `pairs` that are not in the cache; returns when each is judged or rejected.

    Several processes may do this with the same arguments at the same time; each returns when the whole job is done.
    Where the engine has processes of its own, each of them opens the teacher with `reopen`, which is picklable.

    Args:
        pairs: the job, n distinct pairs.
        cache: of this teacher.
        shard_size: pairs per shard.
        max_rejected: share of the job, rounded up to whole pairs, that may remain without a label.
        engine: who scores; without `reopen` it is this process.

    Raises:
        PrectrError: more than `max_rejected` remained without a label; no pair of the first shards could be judged; a
            file of the cache is damaged; or what the teacher raises. All labels got so far are in the cache.
    """
    job = list(zip(pairs.query, pairs.item_text, strict=True))
    plan = cache.folder / "plans" / f"{_job_key(job, shard_size)}.parquet"
    tolerated = math.ceil(max_rejected * len(job))
    with cache.claim(PLANNING, wait=True):
        shards = _plan(teacher, job, cache, shard_size, plan)
    if not shards:
        return
    try:
        if engine.elsewhere and reopen is not None:
            _give_out(engine, reopen, shards, cache, tolerated)
        else:
            _work_off(teacher, shards, cache, tolerated)
    except PrectrError:
        # The next run plans anew, so that it asks again for what the teacher left out before it gave up.
        _drop(plan, cache)
        raise
    labelled = cache.labelled()
    _drop(plan, cache)
    cache.forget_claims([shard.name for shard in shards])
    _tolerate([pair for pair in job if pair not in labelled], tolerated, cache)


def cut(teacher: Teacher, pairs: Iterable[Pair], shard_size: int) -> list[list[Pair]]:
    """Shards of equal padded length, `shard_size` pairs at a time.

    Pairs of one query stand beside each other, since a teacher may read a query once for all its items; queries stay in
    the order they first come in, so that what a job has done at any time is a sample of it.
    """
    by_length: dict[int, dict[str, list[Pair]]] = {}
    for pair in pairs:
        by_length.setdefault(teacher.padded_length(pair), {}).setdefault(pair[0], []).append(pair)
    shards = []
    for _, by_query in sorted(by_length.items()):
        rows = [pair for found in by_query.values() for pair in found]
        shards += [rows[start : start + shard_size] for start in range(0, len(rows), shard_size)]
    return shards


def write_labels(folder: Path, cache: LabelCache, pairs: Pairs, strategy: np.ndarray) -> None:
    """The table of a finished job, in the order of `pairs`, and what was rejected; prints how many of each strategy.

    labels.parquet: query, item_text, strategy, log_odds float32[K], and, where the teacher gives them, state float16[H]
    (unit length) and censored bool[K].
    rejected.jsonl: {"query", "item_text"} of the pairs without a label; there only if there are some.

    Raises:
        PrectrError: no pair has a label.
    """
    row, labels = cache.collect(pairs)
    if not len(row):
        raise PrectrError(
            f"{folder}: none of the {len(pairs)} pairs to label has a label; choose others or raise them."
        )
    labels = labels.add_column(2, "strategy", pa.array(strategy[row], pa.string()))
    write_parquet(labels, folder / LABELS)
    is_rejected = np.ones(len(pairs), bool)
    is_rejected[row] = False
    rejected = pairs.take(np.flatnonzero(is_rejected))
    (folder / REJECTED).unlink(missing_ok=True)
    if len(rejected):
        _write_rejected(folder / REJECTED, zip(rejected.query, rejected.item_text, strict=True))
    names = list(dict.fromkeys(strategy))
    counts = [(name, (strategy == name).sum(), (strategy[row] == name).sum()) for name in names]
    table(
        "Labels",
        ["strategy", "pairs", "labelled", "rejected"],
        [(name, asked, labelled, asked - labelled) for name, asked, labelled in counts],
        caption=_first(list(zip(rejected.query, rejected.item_text, strict=True))) if len(rejected) else None,
    )


def read_labels(folder: Path) -> tuple[Pairs, Judgement]:
    """All labels of a finished job, in an order that does not depend on how it was run.

    Raises:
        PrectrError: there are none, or the file is damaged.
    """
    if not (folder / LABELS).is_file():
        raise PrectrError(f"{folder} holds no labels; run `make distill`.")
    labels = read_parquet(folder / LABELS, ("query", "item_text", "log_odds"))
    query, text = (np.array(labels[name].to_pylist(), dtype=object) for name in ("query", "item_text"))
    return Pairs(query, text, np.full(len(query), -1)), judgement_of(labels)


def labels_fingerprint(folder: Path) -> str:
    """sha256 of a finished job's labels: found again, or in shards of another size, they teach the same."""
    return file_fingerprint(folder / LABELS)


def read_rejected(folder: Path) -> Pairs:
    """The pairs of a finished job that have no label."""
    path = folder / REJECTED
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    query, text = (np.array([row[name] for row in rows], dtype=object) for name in ("query", "item_text"))
    return Pairs(query, text, np.full(len(rows), -1))


def _plan(teacher: Teacher, job: Sequence[Pair], cache: LabelCache, shard_size: int, path: Path) -> list[Shard]:
    """The plan that a killed run or another process left at `path`, or a new one of what the cache lacks."""
    cache.remove_leftovers()
    labelled = cache.labelled()
    if path.exists():
        shards = _read_plan(path)
        unfinished = [shard for shard in shards if not cache.has(shard.name)]
        # Another job may have labelled some of it since; then it would be judged twice.
        if not any(pair in labelled for shard in unfinished for pair in shard.pairs):
            return shards
        path.unlink()
    parts = cut(teacher, (pair for pair in job if pair not in labelled), shard_size)
    if not parts:
        return []
    query, text = zip(*(pair for part in parts for pair in part), strict=True)
    shard = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    planned = pa.table({"query": query, "item_text": text, "shard": shard})
    # A name of its own: the same pairs may be planned again if the teacher rejected them.
    write_parquet(planned.replace_schema_metadata({"plan": uuid.uuid4().hex}), path)
    return _read_plan(path)


def _drop(plan: Path, cache: LabelCache) -> None:
    # Not while another process plans: it may have read the cache as it was before this plan was worked off.
    with cache.claim(PLANNING, wait=True):
        plan.unlink(missing_ok=True)


def _read_plan(path: Path) -> list[Shard]:
    planned = read_parquet(path, ("query", "item_text", "shard"))
    name = (planned.schema.metadata or {}).get(b"plan", b"").decode(errors="replace")
    if not NAME.fullmatch(name):
        raise damaged(path, "it has no name")
    pairs, shard = pairs_of(planned), planned["shard"].to_numpy()
    ends = [*np.flatnonzero(np.diff(shard)) + 1, len(shard)]
    return [
        Shard(f"{name}-{number:05d}", pairs[start:end])
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ]


def _work_off(teacher: Teacher, shards: Sequence[Shard], cache: LabelCache, tolerated: int) -> None:
    """Scores shard after shard that no other process holds, until all are written."""
    pending = [shard for shard in shards if not cache.has(shard.name)]
    size = sum(len(shard.pairs) for shard in shards)
    count = _Count(cache, size, tolerated)
    with progress_bar("labelling", total=size, unit="pairs") as advance:
        advance(size - sum(len(shard.pairs) for shard in pending))
        while pending:
            held = []
            for shard in pending:
                with cache.claim(shard.name) as mine:
                    if mine and not cache.has(shard.name):
                        count.add(shard, cache.write(shard.name, shard.pairs, teacher.score(shard.pairs)))
                if cache.has(shard.name):
                    advance(len(shard.pairs))
                else:
                    held.append(shard)
            if len(held) == len(pending):
                time.sleep(SECONDS_BETWEEN_LOOKS)
            pending = held


def _give_out(
    engine: Engine,
    reopen: Callable[[], Teacher],
    shards: Sequence[Shard],
    cache: LabelCache,
    tolerated: int,
) -> None:
    """As `_work_off`, by the engine's processes; what they rejected is counted in the order of the shards."""
    pending = [shard for shard in shards if not cache.has(shard.name)]
    if not pending:
        return
    count = _Count(cache, sum(len(shard.pairs) for shard in shards), tolerated)
    job = Job("labelling", reopen, partial(_scored, cache), _num_pairs, "pairs", gpus=GPUS_OF_A_PART)
    total = sum(len(shard.pairs) for shard in pending)
    # Nothing else is kept: what is labelled is in the cache, and a command that goes on has fewer shards to give out.
    with closing(engine.map(job, pending, total)) as results:
        for shard, found in zip(pending, results, strict=True):
            count.add(shard, found["rejected"])


def _scored(cache: LabelCache, teacher: Teacher, shard: Shard) -> Arrays:
    """Writes a shard unless another process has; which of its pairs have no label: bool [n]."""
    with cache.claim(shard.name, wait=True):
        if cache.has(shard.name):
            return {"rejected": np.zeros(len(shard.pairs), bool)}
        return {"rejected": cache.write(shard.name, shard.pairs, teacher.score(shard.pairs))}


def _num_pairs(shard: Shard) -> int:
    return len(shard.pairs)


class _Count:
    """What was asked and rejected so far, and when that is enough.

    Args:
        size: pairs of the whole job. tolerated: how many of them may be rejected.
    """

    def __init__(self, cache: LabelCache, size: int, tolerated: int) -> None:
        self._cache, self._size, self._tolerated = cache, size, tolerated
        self._asked = self._judged = 0
        self._rejected: list[Pair] = []

    def add(self, shard: Shard, is_rejected: np.ndarray) -> None:
        """Raises `PrectrError` if too many are rejected, or the teacher judged nothing of its first shards."""
        # Of the shards before: a teacher that gave up midway says why when it is asked once more.
        _tolerate(self._rejected, self._tolerated, self._cache)
        self._rejected += [shard.pairs[row] for row in np.flatnonzero(is_rejected)]
        self._asked, self._judged = self._asked + 1, self._judged + int((~is_rejected).sum())
        if self._asked == HOPELESS_SHARDS and not self._judged and self._size > self._tolerated:
            _tolerate(self._rejected, 0, self._cache)


def _tolerate(rejected: Sequence[Pair], tolerated: int, cache: LabelCache) -> None:
    if len(rejected) <= tolerated:
        return
    path = cache.folder / REJECTED
    _write_rejected(path, rejected)
    raise PrectrError(
        f"the teacher could not judge {len(rejected):,} pairs (no answer, or log-odds that are not finite), more than "
        f"label_max_rejected allows; {_first(rejected)}; all are in {path}: find out why (for a local model try "
        "--teacher_dtype float32) and run the command again, which keeps every label and asks only for the others."
    )


def _write_rejected(path: Path, rejected: Iterable[Pair]) -> None:
    with atomic_write(path) as temporary:
        lines = [json.dumps({"query": query, "item_text": text}) for query, text in rejected]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _first(rejected: Sequence[Pair], most: int = 3, width: int = 60) -> str:
    shown = [f"query {query[:width]!r} with item {text[:width]!r}" for query, text in rejected[:most]]
    return f"the first {len(shown)} rejected: {', '.join(shown)}" if len(shown) > 1 else f"rejected: {shown[0]}"


def _job_key(job: Sequence[Pair], shard_size: int) -> str:
    digest = hashlib.sha256(str(shard_size).encode())
    for query, text in job:
        digest.update(f"{len(query)}:{query}{len(text)}:{text}".encode())
    return digest.hexdigest()[:32]
