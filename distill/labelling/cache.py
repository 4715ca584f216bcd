"""The label cache: every judgement a teacher ever gave for a data set, whatever job asked for it.

`artifacts/<name>/label_cache/<hash of the teacher's fingerprint>/shards/` holds Parquet files that are written once,
under a temporary name, renamed, and never changed. A label is found again by its teacher and the two whole texts. Other
teachers, prompts and adapters have folders of their own, so nothing is lost by trying one. The code that asked is no
part of what a label is known by: labels are dear, and most changes of code change none. The folder may be deleted: it
only costs the labelling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError

PLANNING = "plan"
"""The lock under which plans are made and removed."""

VECTORS = {"query": pa.string(), "item_text": pa.string(), "strategy": pa.string(), "shard": pa.int64()}
MATRICES = {"log_odds": pa.float32(), "state": pa.float16(), "censored": pa.bool_()}
"""Columns of the files: [n], and [n, m] as lists of length m."""


class LabelCache:
    """One teacher's labels.

    Args:
        root: `artifacts/<name>/label_cache`.
        teacher: the teacher's fingerprint.
    """

    def __init__(self, root: Path, teacher: str) -> None:
        self.teacher = teacher
        self.folder = Path(root) / hashlib.sha256(teacher.encode()).hexdigest()[:32]

    def has(self, shard: str) -> bool:
        return self._path(shard).exists()

    @contextmanager
    def claim(self, name: str, wait: bool = False) -> Iterator[bool]:
        """Yields whether `name` is now this process's alone: a shard to score, or `PLANNING`.

        The system frees the claim when the process ends, however it ends.
        """
        lock = FileLock(self.folder / "locks" / f"{name}.lock")
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            lock.acquire(timeout=-1 if wait else 0)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def write(self, shard: str, pairs: Sequence[Pair], judgement: Judgement) -> np.ndarray:
        """Stores the labels of a shard that is claimed, and returns which pairs have none: [n] bool.

        A pair whose log-odds or state are not all finite has no label: nothing of it is stored.
        """
        is_label = np.isfinite(judgement.log_odds).all(1)
        columns = {"log_odds": _lists(judgement.log_odds.astype(np.float32))}
        if judgement.state is not None:
            is_label &= np.isfinite(judgement.state).all(1)
            columns["state"] = _lists(_directions(judgement.state))
        if judgement.censored is not None:
            columns["censored"] = _lists(judgement.censored.astype(bool))
        query, text = (pa.array(part, pa.string()) for part in zip(*pairs, strict=True))
        table = pa.table({"query": query, "item_text": text, **columns}).filter(pa.array(is_label))
        write_parquet(table.replace_schema_metadata({"teacher": self.teacher}), self._path(shard))
        return ~is_label

    def labelled(self) -> set[Pair]:
        """Every pair this teacher has labelled.

        Raises:
            PrectrError: a shard is damaged.
        """
        return {pair for table in self._tables() for pair in pairs_of(table)}

    def collect(self, pairs: Pairs) -> tuple[np.ndarray, pa.Table]:
        """The labels of those of `pairs` (all distinct) that have one, in the order of `pairs`.

        Returns:
            which rows of `pairs` they are [m], and m rows: query, item_text, log_odds, and state and censored where the
            teacher gives them.

        Raises:
            PrectrError: a shard is damaged.
        """
        row_of = {pair: row for row, pair in enumerate(zip(pairs.query, pairs.item_text, strict=True))}
        rows, tables = [], []
        for table in self._tables():
            # A pair is popped when found: two jobs at the same time may both have labelled it.
            found = np.array([row_of.pop(pair, -1) for pair in pairs_of(table)], np.int64)
            rows.append(found[found >= 0])
            tables.append(table.filter(pa.array(found >= 0)))
        if not rows:
            return np.array([], np.int64), pa.table({})
        row = np.concatenate(rows)
        order = np.argsort(row)
        return row[order], pa.concat_tables(_same_columns(tables)).combine_chunks().take(pa.array(order))

    def remove_leftovers(self) -> None:
        """Removes the temporary files of processes that were killed while they wrote; `PLANNING` must be claimed."""
        for file in self.folder.glob("plans/.*.part.parquet"):
            file.unlink(missing_ok=True)
        for file in self.folder.glob("shards/.*.part.parquet"):
            with self.claim(file.name.split(".")[1]) as mine:
                if mine:
                    file.unlink(missing_ok=True)

    def forget_claims(self, shards: Sequence[str]) -> None:
        """Removes the lock files of shards that are written."""
        for shard in shards:
            (self.folder / "locks" / f"{shard}.lock").unlink(missing_ok=True)

    def _path(self, shard: str) -> Path:
        return self.folder / "shards" / f"{shard}.parquet"

    def _tables(self) -> Iterator[pa.Table]:
        first: tuple[Path, list[pa.Field]] | None = None
        for path in sorted(self.folder.glob("shards/[!.]*.parquet")):
            table = read_parquet(path, ("query", "item_text", "log_odds"))
            if (table.schema.metadata or {}).get(b"teacher") != self.teacher.encode():
                raise damaged(path, "it names another teacher")
            if not _all_finite(table):
                raise damaged(path, "it holds a value that is not a finite number")
            fields = [field for field in table.schema if field.name != "censored"]
            first = first or (path, fields)
            if fields != first[1]:
                raise damaged(path, f"its columns are not those of {first[0].name}")
            yield table.replace_schema_metadata(None)


def read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    """A file of the cache, every page checked against its checksum; raises `PrectrError` if it is damaged."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            # The files are small: handing them to threads would take longer than reading them.
            table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(path, str(error).strip().splitlines()[0]) from error
    for field in table.schema:
        is_matrix = pa.types.is_fixed_size_list(field.type)
        found, known = (field.type.value_type, MATRICES) if is_matrix else (field.type, VECTORS)
        if found != known.get(field.name):
            raise damaged(path, f"column {field.name!r} of type {field.type} does not belong there")
    if missing := [column for column in columns if column not in table.column_names]:
        raise damaged(path, f"column {missing[0]!r} is missing")
    return table


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a file whole or not at all; raises `PrectrError` if the disk does not take it."""
    try:
        with atomic_write(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    except OSError as error:
        raise PrectrError(
            f"{path} cannot be written ({error}): make room there and run the command again, which keeps what it has."
        ) from error


def pairs_of(table: pa.Table) -> list[Pair]:
    return list(zip(table["query"].to_pylist(), table["item_text"].to_pylist(), strict=True))


def judgement_of(table: pa.Table) -> Judgement:
    """The columns log_odds, state and censored as arrays; a state is a direction, of unit length."""
    matrices = {name: _matrix(table[name]) for name in ("log_odds", "state", "censored") if name in table.column_names}
    state = matrices.get("state")
    return Judgement(
        matrices["log_odds"], None if state is None else state.astype(np.float32), matrices.get("censored")
    )


def damaged(path: Path, found: str) -> PrectrError:
    return PrectrError(
        f"{path} is damaged ({found.rstrip('.')}): delete that file, and the same command labels its pairs again."
    )


def _directions(state: np.ndarray) -> np.ndarray:
    """Only the direction enters the loss; at unit length every state fits half precision."""
    state = state.astype(np.float32)
    with np.errstate(invalid="ignore"):
        return (state / np.maximum(np.linalg.norm(state, axis=1, keepdims=True), 1e-12)).astype(np.float16)


def _same_columns(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """A teacher may say nothing of censoring where nothing was censored: then no log-odds is."""
    if not any("censored" in table.column_names for table in tables):
        return list(tables)
    filled = []
    for table in tables:
        if "censored" not in table.column_names:
            nothing = np.zeros((len(table), table.schema.field("log_odds").type.list_size), bool)
            table = table.append_column("censored", _lists(nothing))
        filled.append(table)
    return filled


def _all_finite(table: pa.Table) -> bool:
    matrices = [table[name].combine_chunks().flatten() for name in ("log_odds", "state") if name in table.column_names]
    return all(pc.all(pc.is_finite(values), min_count=0, skip_nulls=False).as_py() for values in matrices)


def _lists(matrix: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
