"""Which parts the indices of a log are written in: an index each, or of a log that is longer than one process should
sort, a range of an index's keys each.

Such an index is dealt and sorted as `index_writer` does it, by other hands: a sample of the keys says where ranges end;
every block of the log's rows is put in the order of the ranges, in a file of its own; every range is read out of all
those files and sorted; and what is sorted is joined in the order of the keys. The bytes are the same. [O]
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from prectr.rank.history.index import Part, known_rows, lists_of, row_type
from prectr.rank.history.index_writer import (
    SAMPLED,
    IndexFiles,
    dealt,
    has_one_key,
    move_whole,
    range_begins,
    write_index,
)
from prectr.shared.atomic import atomic_write, own_folder
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.storage.npy import open_array

ROWS_OF_AN_INDEX = 1 << 26
"""A log of no more rows has a part per index: there are thirty of them, and nothing is written twice."""
MOST_RANGES = 1 << 12


class Rows(Protocol):
    """What of a log is indexed; see `prectr.rank.history.log.BehaviourLog`."""

    def __len__(self) -> int: ...

    def parts(self, name: str, rows_at_once: int, first: int = 0, end: int | None = None) -> Iterator[Part]:
        """The rows of an index with their codes and values, of the log's rows `first` to `end`; at least one part."""
        ...

    def sizes(self, name: str) -> list[int]:
        """The number of codes of each part of the key."""
        ...


def write_indices(log: Rows, names: Mapping[str, str], folder: Path, rows_at_once: int, engine: Engine) -> None:
    """Write every index into `folder`; those that are there are left.

    Args:
        names: of the indices, and which rows each holds: "repeated" is read off other indices, when they are there.
        rows_at_once: of a part of the log; a range of keys has sixteen times as many rows, about.
    """
    at_last = [name for name, rows in names.items() if rows == "repeated"]
    first = [name for name in names if name not in at_last]
    if engine.elsewhere and len(log) > ROWS_OF_AN_INDEX:
        for name in first:
            _write_by_ranges(log, name, folder, rows_at_once, engine)
    else:
        _write_each(log, first, folder, rows_at_once, engine)
    _write_each(log, at_last, folder, rows_at_once, engine)


def _write_each(log: Rows, names: list[str], folder: Path, rows_at_once: int, engine: Engine) -> None:
    job = Job("behaviour indices", lambda: log, partial(_write_whole, folder, rows_at_once), unit="indices")
    for _ in engine.map(job, names, len(names)):
        pass  # it is in its files


def _write_whole(folder: Path, rows_at_once: int, log: Rows, name: str) -> Arrays:
    parts = partial(log.parts, name, rows_at_once)
    write_index(folder, f"index_{name}", parts, log.sizes(name), len(log), 16 * rows_at_once)
    return {}


class _Plan(NamedTuple):
    """An index that is written by ranges. `begins` [R - 1]: the first key of every range but the first."""

    log: Rows
    name: str
    spill: Path
    rows_at_once: int
    begins: np.ndarray

    def parts(self, block: tuple[int, int]) -> Iterator[Part]:
        return self.log.parts(self.name, self.rows_at_once, *block)

    def of_block(self, first: int) -> Path:
        return self.spill / f"block-{first}.npy"

    def of_range(self, number: int) -> Path:
        return self.spill / f"range-{number}.npz"


@dataclass(frozen=True)
class _Range:
    """A range of keys, and which records of every block are its own: the block's first row, begin, end."""

    number: int
    pieces: list[tuple[int, int, int]]

    def __len__(self) -> int:
        return sum(end - begin for _, begin, end in self.pieces)

    def records(self, plan: _Plan) -> Iterator[np.ndarray]:
        """Of every block that has some; of a range without any the first block's none."""
        held = [piece for piece in self.pieces if piece[2] > piece[1]] or self.pieces[:1]
        for first, begin, end in held:
            yield np.array(open_array(plan.of_block(first))[begin:end])


def _write_by_ranges(log: Rows, name: str, folder: Path, rows_at_once: int, engine: Engine) -> None:
    if (folder / f"index_{name}.offsets.npy").exists():
        return
    spill = folder / f".index_{name}.part"
    spill.mkdir(exist_ok=True)  # what a killed run left in it is gone on with
    rows_in_memory = max(16 * rows_at_once, len(log) // MOST_RANGES)
    plan = _Plan(log, name, spill, rows_at_once, np.zeros(0, np.int64))
    blocks = [(first, min(first + rows_in_memory, len(log))) for first in range(0, len(log), rows_in_memory)]
    found = engine.map(_job(plan, "sample", _sample, _length), blocks, len(log), spill / "sample")
    plan = plan._replace(begins=range_begins(np.concatenate([each["keys"] for each in found]), rows_in_memory))
    found = engine.map(_job(plan, "deal", _deal, _length), blocks, len(log), spill / "deal")
    ends = np.stack([np.append(0, each["ends"]) for each in found])  # [blocks, R + 1]
    ranges = [
        _Range(
            number, [(first, *end[number : number + 2].tolist()) for (first, _), end in zip(blocks, ends, strict=True)]
        )
        for number in range(len(plan.begins) + 1)
    ]
    sorted_apart = [each for each in ranges if not has_one_key(plan.begins, each.number)]
    for _ in engine.map(_job(plan, "sort", _sort, len), sorted_apart, sum(map(len, sorted_apart)), spill / "sort"):
        pass  # it is in its files
    for _ in engine.map(_job(plan, "join", _join, len), [ranges]):
        pass
    move_whole(spill, f"index_{name}", folder)
    shutil.rmtree(spill, ignore_errors=True)  # a part that was worked on twice may still write into it


def _job(plan: _Plan, what: str, work: Callable[[_Plan, Any], Arrays], size: Callable[[Any], int]) -> Job[_Plan, Any]:
    return Job(f"index {plan.name}: {what}", lambda: plan, work, size, "rows")


def _length(block: tuple[int, int]) -> int:
    return block[1] - block[0]


def _sample(plan: _Plan, block: tuple[int, int]) -> Arrays:
    sizes = plan.log.sizes(plan.name)
    return {"keys": np.concatenate([known_rows(part, sizes)[0][::SAMPLED] for part in plan.parts(block)])}


def _deal(plan: _Plan, block: tuple[int, int]) -> Arrays:
    """Writes a block's records in the order of the ranges; where each range's end."""
    parts = list(plan.parts(block))
    summed = [part.values for part in parts if part.values is not None]
    values = np.concatenate(summed) if summed else None
    codes = [np.concatenate(codes) for codes in zip(*(part.codes for part in parts), strict=True)]
    whole = Part(codes, np.concatenate([part.rows for part in parts]), values)
    records, ends = dealt(whole, plan.log.sizes(plan.name), plan.begins, row_type(len(plan.log)))
    with atomic_write(plan.of_block(block[0])) as temporary:
        np.save(temporary, records)
    return {"ends": ends}


def _sort(plan: _Plan, range_: _Range) -> Arrays:
    """Writes the lists of a range."""
    records = np.concatenate(list(range_.records(plan)))
    values = records["values"] if "values" in (records.dtype.names or ()) else None
    keys, begins, rows, totals = lists_of(records["key"], records["row"], values)
    lists = {"keys": keys, "begins": begins, "rows": rows} | ({} if totals is None else {"totals": totals})
    with atomic_write(plan.of_range(range_.number)) as temporary:
        np.savez(temporary, **lists)  # type: ignore[arg-type]
    return {}


def _join(plan: _Plan, ranges: list[_Range]) -> Arrays:
    """Writes the files of the index, range after range; they appear in `plan.spill` when they are whole."""
    record, name = np.load(plan.of_block(0), mmap_mode="r").dtype, f"index_{plan.name}"
    with own_folder(plan.spill, "join") as joined:
        joined.mkdir()
        with IndexFiles(joined, name, record) as files:
            for each in ranges:
                if has_one_key(plan.begins, each.number):
                    for records in each.records(plan):
                        files.append(records)
                elif len(each):
                    with np.load(plan.of_range(each.number)) as lists:
                        totals = lists["totals"] if "totals" in lists.files else None
                        files.append_lists(lists["keys"], lists["begins"], lists["rows"], totals)
        move_whole(joined, name, plan.spill)
    return {}
