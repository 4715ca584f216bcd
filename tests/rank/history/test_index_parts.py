"""An index that is written by ranges stays whole where two processes are given the same part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.rank.history.index import BehaviourIndex, Part
from prectr.rank.history.index_parts import write_indices
from prectr.rank.history.index_writer import IndexFiles
from prectr.shared.engine.plain import PlainEngine

CODES = np.random.default_rng(0).integers(0, 40, 2000)


class Log:
    def __len__(self) -> int:
        return len(CODES)

    def parts(self, name: str, rows_at_once: int, first: int = 0, end: int | None = None) -> Iterator[Part]:
        rows = np.arange(len(CODES))[first:end]
        yield Part([CODES[rows]], rows)

    def sizes(self, name: str) -> list[int]:
        return [40]


class Elsewhere(PlainEngine):
    """Gives the part that joins an index to a process which is killed after another has done the same."""

    elsewhere = True

    def map(self, job: Any, parts: Any, total: int | None = None, kept: Path | None = None) -> Any:
        if not job.name.endswith("join"):
            return super().map(job, parts, total, kept)
        found = []

        def killed(files: IndexFiles, *lists: Any) -> None:
            patch.undo()
            found.extend(super(Elsewhere, self).map(job, parts))
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            for name in ("append", "append_lists"):
                patch.setattr(IndexFiles, name, killed)
            job.work(job.open(), parts[0])
        return iter(found)


def test_what_joins_an_index_may_be_killed_while_another_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prectr.rank.history.index_parts.ROWS_OF_AN_INDEX", 100)
    write_indices(Log(), {"i": "all"}, tmp_path, 10, Elsewhere())
    written, whole = (
        BehaviourIndex.open(tmp_path, "index_i", [40]),
        BehaviourIndex.build([CODES], [40], np.arange(2000)),
    )
    for name in ("keys", "offsets", "rows"):
        assert getattr(written, name).tobytes() == getattr(whole, name).tobytes()
    assert not list(tmp_path.glob(".*"))
