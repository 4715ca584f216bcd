"""One size, measured in a process of its own: preparation, slices of the indices, training.

Rates are per second that the process had of a core (all of it runs on one at a time), so that they mean the same on a
machine with other work; what the clock said stands beside them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.scale.log import Log
from benchmarks.scale.memory import PeakMemory
from benchmarks.scale.preparation import PHASES, prepare_log
from benchmarks.scale.training import train_with_text, train_without_text
from prectr.data.contract import levels
from prectr.rank.config import HistoryArguments
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.slices import cross_slices, user_slices
from prectr.shared.run.console import console
from prectr.shared.seeds import generator

SLICED_PAGES, SLICED_AT_ONCE = 50_000, 2_000


def measure(log: Log, work: Path, seed: int) -> dict[str, Any]:
    """Prepare and train on `log`, leaving everything in `work`; the figures by name."""
    torch.set_num_threads(1)
    history = HistoryArguments()
    with PeakMemory() as memory:
        shop, prepared, feature_map, cuts = prepare_log(log, work, history, seed, phase=memory.phase)
        with memory.phase("slices"):
            slices_per_s = slice_rate(shop, prepared, cuts, history, seed)
        with memory.phase("steps"):
            names = levels(log.data)
            steps = train_with_text(shop, prepared, feature_map, names, seed, work / "training")
        with memory.phase("epoch"):
            epoch = train_without_text(shop, prepared, feature_map, len(names), seed)
    rows = len(prepared)
    prepare_seconds = sum(memory.cpu_seconds[name] for name in PHASES)
    slicing = steps["gather_seconds"] + 2 * steps["pages"] / slices_per_s
    return {
        "peak_mb": max(memory.anonymous.values()),
        "prepare_rows_per_s": rows / prepare_seconds,
        "train_rows_per_s": epoch["rows"] / epoch["seconds"],
        "slices_per_s": slices_per_s,
        "slicing_share": slicing / (steps["seconds"] + slicing - steps["gather_seconds"]),
        "peak_rss_mb": max(memory.resident.values()),
        "peak_mb_of": memory.anonymous,
        "peak_rss_mb_of": memory.resident,
        "seconds_of": memory.cpu_seconds,
        "clock_seconds_of": memory.seconds,
        "step_rows_per_s": steps["rows"] / steps["seconds"],
        "batch_share": steps["batch_seconds"] / steps["seconds"],
        "gather_share_text_off": epoch["gather_seconds"] / epoch["seconds"],
        "batch_share_text_off": epoch["batch_seconds"] / epoch["seconds"],
        "loss": {"steps": steps["loss"], "epoch": epoch["loss"]},
        "rows": rows,
        "events": len(shop.log),
        "users": len(shop.log.users),
        "queries": len(shop.query_texts),
        "pairs": shop.level_prob.num_pairs,
        "disk_mb": {
            name: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
            for name, folder in {
                "tables": log.folder, "pairs": work / "pairs", "behaviours": work / "behaviours",
                "train": work / "train",
            }.items()
        },
    }  # fmt: skip


def slice_rate(shop: Shop, prepared: PreparedSet, cuts: np.ndarray, history: HistoryArguments, seed: int) -> float:
    """Slices of the indices per second: of pages drawn at random from the whole file, the user's own past and that of
    other users, two of each page."""
    log = shop.log
    drawn = generator(seed, "scale", "slices").integers(0, prepared.num_pages, SLICED_PAGES)
    users, queries, categories = prepared.user[drawn], prepared.query[drawn], prepared.category[drawn]
    before = log.rows_before(prepared.seconds[drawn])
    started = time.process_time()
    for start in range(0, SLICED_PAGES, SLICED_AT_ONCE):
        part = slice(start, start + SLICED_AT_ONCE)
        since = log.cut_since(users[part], before[part], cuts[drawn[part]])
        user_slices(log, users[part], categories[part], since, before[part],
                    history.history_in_category, history.history_overall)  # fmt: skip
        cross_slices(log, users[part], queries[part], categories[part], before[part], history.cross_history)
    seconds = time.process_time() - started
    console.print(f"slices: {2 * SLICED_PAGES / seconds:,.0f} a second", highlight=False)
    return 2 * SLICED_PAGES / seconds
