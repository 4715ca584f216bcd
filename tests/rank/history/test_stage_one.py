"""The table of scored pairs is worked on in the same parts on every machine: kept ones are found by their number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.rank.history.score_log import with_level_prob
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.engine.plain import PlainEngine


class Noting(PlainEngine):
    """Notes how many rows every part has."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def map(self, job: Any, parts: Any, total: int | None = None, kept: Path | None = None) -> Any:
        def noted() -> Iterator[Any]:
            for part in parts:
                self.sizes.append(job.size(part))
                yield part

        return super().map(job, noted(), total, kept)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_parts_do_not_hang_on_the_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr("prectr.rank.history.stage_one.PAIRS_AT_ONCE", 100_000)
    monkeypatch.setattr("prectr.shared.storage.duckdb.threads", lambda: threads)
    pairs = np.random.default_rng(0).permutation(130_000)
    table = {"query": [f"q{n // 10:05}" for n in pairs], "item_id": [f"i{n % 10}" for n in pairs]}
    pq.write_table(with_level_prob(pa.table(table), np.stack([pairs, -pairs], 1)), tmp_path / "level_prob.parquet")
    engine = Noting()
    found = LevelProb.build(tmp_path / "level_prob.parquet", tmp_path / "pairs", engine)
    assert engine.sizes == [100_000, 30_000]
    assert (found.values[:, 0] == np.arange(130_000)).all()
