"""What else scores a page of 100 in the same run: LightGBM on the ranker's own columns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import SETTINGS, Rows, fit_lightgbm, num_threads
from prectr.shared.errors import PrectrError

ROWS = 100


def lightgbm_milliseconds(run: Path, repeats: int) -> float:
    """Of predicting 100 rows of the test weeks whose features are ready, the median; one thread.

    The trees are fitted here, with the settings that the run chose for its own: a run keeps what they predict alone.

    Raises:
        PrectrError: the run has no features of a split that it takes.
    """
    sets = {}
    for split in ("train", "validation", "test"):
        folder = run / "features" / split
        if not folder.is_dir():
            raise PrectrError(f"{folder} is not there: run `python -m rank run` on this data set.")
        sets[split] = Rows.of(PreparedSet.open(folder), 1.0)
    chosen = run / "lightgbm" / "rival.json"
    settings = json.loads(chosen.read_text())["settings"] if chosen.exists() else SETTINGS[0]
    threads = num_threads(len(sets["train"].clicked))
    trees = fit_lightgbm(sets["train"], sets["validation"], 0, threads, (settings,))
    rows = Rows(*(part[:ROWS] for part in sets["test"][:3])).read_by(settings).matrix()
    return _median(lambda: trees.booster.predict(rows, num_threads=1), repeats)


def _median(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    milliseconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return round(float(np.median(milliseconds)), 3)
