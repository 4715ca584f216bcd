"""What a ranker's run has stored, and whether it still holds.

A folder of artifacts goes on changing behind a ranker: a new encoder judges the log anew, a catalogue gets other texts
under old ids. The steps' records say what each was made of; what no longer agrees is refused, or judged anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import has_table, read_table
from prectr.rank.history.codes import encode
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import RECORD, fingerprint_of_tables, read_record, require_whole

LEVEL_PROB = "level_prob"
SERVING = "serving"
"""In a ranker's folder: what is made of it to serve, and can be made again."""
SORTED = "pairs"
READ = (LEVEL_PROB, SORTED, "behaviours", "text_vectors")
"""What is read of a run while scoring."""

CHAIN = (
    ("ranker", "trained"),
    ("trained", "behaviours"),
    ("behaviours", LEVEL_PROB),
    ("trained", "features"),
    ("features", "text_vectors"),
)
"""Each step and one that it was made of, from the ranker to what stage one said of the log."""


def run_of(ranker: str | Path) -> Path | None:
    """The folder above a ranker's; None: the ranker is on a hub."""
    return Path(os.path.abspath(ranker)).parent if Path(ranker).is_dir() else None


def require_same_run(ranker: Path, run: Path) -> None:
    """Raises `PrectrError` where a folder of `run` is no longer the one that the ranker in `ranker` was made of, or one
    that scoring reads is damaged.
    """
    for name in READ:
        if (run / name / RECORD).is_file():
            require_whole(run / name)
    for made, of in CHAIN:
        folder = ranker if made == "ranker" else run / made
        if not ((folder / RECORD).is_file() and (run / of / RECORD).is_file()):
            continue
        was = read_record(folder).inputs.get(of)
        if was is not None and read_record(run / of).fingerprint != was:
            raise PrectrError(
                f"{run / of} is no longer what {ranker} was made of: run `python -m rank run` again, which trains a "
                "ranker on what is there now."
            )


class StoredPairs:
    """What stage one said of pairs, each once; read when it is first asked for.

    Args:
        read: gives the table. sorted_: where the same pairs lie sorted, if they do.
    """

    def __init__(self, read: Callable[[], pa.Table], sorted_: Path | None = None) -> None:
        self._read, self._sorted = read, sorted_

    @cached_property
    def table(self) -> pa.Table:
        """query, item_id and level_prob of each pair."""
        return self._read()

    @cached_property
    def pairs(self) -> LevelProb | None:
        """The same by query and item; memory-mapped where they lie sorted. None: there are none."""
        if self._sorted is not None:
            return LevelProb.open(self._sorted)
        return LevelProb(self.table) if self.table.num_rows else None


def stored_level_prob(run: Path, data: Path, items: pa.Table) -> StoredPairs | None:
    """What the run's encoder said of (query, item) pairs, as far as the items' texts are still those that it read; None
    where nothing is stored.

    Args:
        data: the folder that `items` is read from; it need not be the run's own.
    """
    path = run / LEVEL_PROB / "level_prob.parquet"
    if not path.exists():
        return None

    def read() -> pa.Table:
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise PrectrError(f"{path} is damaged: run `python -m rank run` again.") from error

    own = run / "data"
    is_judged = own.is_dir() and is_as_judged(run, own)
    if is_judged and own.resolve() == data.resolve():
        return StoredPairs(read, _sorted(run))
    if not is_judged or not has_table(own, "items"):
        return StoredPairs(lambda: read().slice(0, 0))
    same = _same_text(items, read_table(own, "items", ["item_id", "text"]))
    return StoredPairs(lambda: (stored := read()).filter(pc.is_in(stored["item_id"], same)))


def _sorted(run: Path) -> Path | None:
    """Where the run's pairs lie sorted, if those that lie there are what is stored now."""
    folder, stored = run / SORTED, run / LEVEL_PROB
    if not ((folder / RECORD).is_file() and (stored / RECORD).is_file()):
        return None
    return folder if read_record(folder).inputs.get(LEVEL_PROB) == read_record(stored).fingerprint else None


def is_as_judged(run: Path, data: Path) -> bool:
    """Whether tables are those that the run's encoder judged."""
    level_prob = run / LEVEL_PROB
    if not (level_prob / RECORD).is_file():
        return True
    return bool(read_record(level_prob).inputs.get("data") == fingerprint_of_tables(data))


def _same_text(items: pa.Table, judged: pa.Table) -> pa.Array:
    """Ids of the items that have the same text in both tables."""
    row = encode(items["item_id"], judged["item_id"].combine_chunks())
    known = np.flatnonzero(row >= 0)
    texts = items["text"].take(pa.array(known))
    same = pc.equal(texts, judged["text"].take(pa.array(row[known].astype(np.int64))))
    return items["item_id"].take(pa.array(known)).filter(same).combine_chunks()
