"""The label cache: what the teacher said, in Parquet shards that neither a kill nor a rerun can spoil.

The job is cut into shards before finished work is subtracted. A shard is the unit of work and of commit: pairs of one
padded length, scored in passes of one fixed shape, written under a temporary name and renamed. Its file name is the
hash of teacher, prompt and pairs, so a shard is either there, whole and right, or not there. What failed is never a
label: a NaN or an infinity stops the job before anything of its shard is written.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distill.pairs import Pairs
from distill.teacher import Judgement, Pair, Teacher
from shared.config import PrectrError
from shared.console import progress_bar
from shared.steps import atomic_write

SHARDS = "shards"


@dataclass(frozen=True)
class Shard:
    """Pairs scored and committed together; `key` names the file."""

    key: str
    pairs: list[Pair]


def plan_shards(teacher: Teacher, pairs: Pairs, shard_size: int) -> list[Shard]:
    """Cuts the job: pairs of equal padded length, in the order given, `shard_size` at a time.

    Appending pairs changes at most the last shard of each length, so a larger job keeps a smaller one's labels.
    """
    by_length: dict[int, list[Pair]] = {}
    for pair in zip(pairs.query, pairs.item_text, strict=True):
        by_length.setdefault(teacher.padded_length(pair), []).append(pair)
    shards = []
    for length in sorted(by_length):
        rows = by_length[length]
        for start in range(0, len(rows), shard_size):
            shards.append(_shard(teacher, rows[start : start + shard_size]))
    return shards


def _shard(teacher: Teacher, pairs: Sequence[Pair]) -> Shard:
    digest = hashlib.sha256(teacher.fingerprint.encode())
    for query, text in pairs:
        digest.update(f"{len(query)}:{query}{len(text)}:{text}".encode())
    return Shard(digest.hexdigest()[:32], list(pairs))


def label(teacher: Teacher, pairs: Pairs, folder: Path, shard_size: int, earlier: Path | None = None) -> None:
    """Scores `pairs` into `folder/shards/`; shards that are there already are not scored again.

    Args:
        earlier: a previous job's folder; its shards are taken over where they are the same.

    Raises:
        PrectrError: the teacher returned a value that is not a finite number.
    """
    shards = plan_shards(teacher, pairs, shard_size)
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    if earlier is not None:
        _take_over(earlier, folder, shards)
    missing = [shard for shard in shards if not _path(folder, shard).exists()]
    with progress_bar("labelling", total=sum(len(shard.pairs) for shard in shards), unit="pairs") as advance:
        advance(sum(len(shard.pairs) for shard in shards) - sum(len(shard.pairs) for shard in missing))
        for shard in missing:
            judgement = teacher.score(shard.pairs)
            _reject_unfinite(shard, judgement)
            _commit(folder, shard, teacher, judgement)
            advance(len(shard.pairs))


def read_labels(folder: Path) -> tuple[Pairs, Judgement]:
    """All labels of a finished job, in an order that does not depend on how it was run."""
    files = sorted((folder / SHARDS).glob("*.parquet"))
    if not files:
        raise PrectrError(f"{folder} holds no labels; run `make distill`.")
    table = pa.concat_tables([pq.read_table(file) for file in files])
    query, text = (np.array(table[name].to_pylist(), dtype=object) for name in ("query", "item_text"))
    log_odds = _matrix(table["log_odds"]).astype(np.float32)
    state = _matrix(table["state"]).astype(np.float32) if "state" in table.column_names else None
    return Pairs(query, text, np.full(len(query), -1)), Judgement(log_odds, state)


def _path(folder: Path, shard: Shard) -> Path:
    return folder / SHARDS / f"{shard.key}.parquet"


def _take_over(earlier: Path, folder: Path, shards: Sequence[Shard]) -> None:
    for shard in shards:
        source, target = _path(earlier, shard), _path(folder, shard)
        if source.exists() and not target.exists():
            shutil.copyfile(source, target)


def _reject_unfinite(shard: Shard, judgement: Judgement) -> None:
    finite = np.isfinite(judgement.log_odds).all(1)
    if judgement.state is not None:
        finite &= np.isfinite(judgement.state).all(1)
    if not finite.all():
        query, text = shard.pairs[int(np.argmin(finite))]
        raise PrectrError(
            f"teacher: the judgement of query {query!r} and item {text!r} is not a finite number; nothing of its shard "
            "was stored. Try --teacher_bf16 false."
        )


def _commit(folder: Path, shard: Shard, teacher: Teacher, judgement: Judgement) -> None:
    query, text = (pa.array(part, pa.string()) for part in zip(*shard.pairs, strict=True))
    columns = {"query": query, "item_text": text, "log_odds": _lists(judgement.log_odds)}
    if judgement.state is not None:
        # Only the direction enters the loss; at unit length every state fits half precision.
        norm = np.maximum(np.linalg.norm(judgement.state, axis=1, keepdims=True), 1e-12)
        columns["state"] = _lists((judgement.state / norm).astype(np.float16))
    table = pa.table(columns).replace_schema_metadata({"teacher": teacher.fingerprint})
    with atomic_write(_path(folder, shard)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _lists(matrix: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
