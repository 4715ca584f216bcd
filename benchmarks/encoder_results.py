"""What the comparison of judges found: the figures of every finished cell, and the same as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.provenance import provenance
from data.contract import reconstructed
from distill.stage import TEST_SPLITS
from shared.config import PrectrError
from shared.console import console, table
from shared.steps import read_record

if TYPE_CHECKING:
    from benchmarks.encoder import Bench

SYSTEMS = {
    "tfidf": "char-n-gram TF-IDF",
    "teacher": "teacher",
    "assistant": "the teacher's assistant",
    "student": "student: the teacher's labels, then gold",
    "student_gold_only": "the same student, gold only: no teacher, no text states",
    "student_states_gold": "the same student, text states, then gold: no teacher's labels",
    "student_all_gold": "the same student, gold levels for all logged pairs the teacher labels",
    "minilm_cosine": "MiniLM-L6, cosine, untrained",
    "minilm_finetuned": "MiniLM-L6 cross-encoder, gold only",
    "minilm_finetuned_kd": "MiniLM-L6 cross-encoder: the teacher's labels, then gold",
}
METRICS = ("spearman", "auc", "qwk")


def collect(bench: Bench, argv: Sequence[str]) -> dict[str, Any]:
    """The figures of every system that is finished, with how they came to be."""
    systems = {system: found for system in SYSTEMS if (found := bench.figures(system)) is not None}
    stage = bench.stage
    records = {
        system: [read_record(bench.cell(system, seed)) for seed in bench.finished_seeds(system)] for system in systems
    }
    return {
        **provenance("benchmarks.encoder", argv),
        "data": stage.run.name,
        "reconstructed": reconstructed(stage.data),
        "pairs": {split: len(found) for split, found in sorted(stage.pairs.items())},
        "seeds": {system: bench.finished_seeds(system) for system in systems},
        "taught_by": {system: found for system, found in bench.taught_by.items() if system in systems},
        "spearman_with": "the graders' mean" if (stage.data / "ratings.parquet").is_file() else "the level",
        "systems": systems,
        "trained": {
            system: [{"commit": record.git_commit, "date": record.finished[:10]} for record in found]
            for system, found in records.items()
        },
        "seconds": {
            bench.cell(system, seed).name: record.seconds
            for system, found in records.items()
            for seed, record in zip(bench.finished_seeds(system), found, strict=True)
        }
        | bench.step_seconds,
    }


_OF_EVERY_SYSTEM = ("systems", "seeds", "trained", "taught_by")


def keep_others(result: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """`result` with the systems that only an earlier one has, in the order of `SYSTEMS`; their teacher may have been
    another one, which `taught_by` tells.

    Raises:
        PrectrError: the earlier one is of other pairs, so that figures cannot stand side by side.
    """
    for what in ("data", "pairs", "spearman_with"):
        if result[what] != earlier[what]:
            raise PrectrError(
                f"the result file compares something else ({what}: {earlier[what]!r}, here {result[what]!r}): "
                "run without --keep."
            )
    merged = dict(result)
    for part in _OF_EVERY_SYSTEM:
        found = {**earlier[part], **result[part]}
        merged[part] = {system: found[system] for system in SYSTEMS if system in found}
    kept = {f"{system}-seed{seed}" for system in merged["systems"] for seed in merged["seeds"][system]}
    seconds = {**earlier["seconds"], **result["seconds"]}
    return merged | {"seconds": {what: time for what, time in seconds.items() if what in kept or "-seed" not in what}}


def show(result: dict[str, Any], path: Path) -> None:
    """One table a split: mean ± standard deviation over seeds."""
    splits = ["test", *(split for split in TEST_SPLITS if split in next(iter(result["systems"].values())))]
    for split in splits:
        rows = []
        for system, found in result["systems"].items():
            part = found if split == "test" else found[split]
            rows.append([name_of(system, result), len(part["spearman"]), *(spread(part[metric]) for metric in METRICS)])
        table(
            f"{result['data']}, {split}: {result['pairs'][split]:,} pairs",
            ["judge", "seeds", *METRICS],
            rows,
            f"Spearman with {result['spearman_with']}. {result['reconstructed']}",
        )
    console.print(f"figures of every seed: {path}", highlight=False, soft_wrap=True)


def name_of(system: str, result: dict[str, Any]) -> str:
    """What a system is; with its teacher's name where there was more than one."""
    several = len(set(result["taught_by"].values())) > 1
    teacher = f" ({result['taught_by'][system]})" if several and system in result["taught_by"] else ""
    return SYSTEMS[system] + teacher


def spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    return f"{np.mean(known):.4f} ± {np.std(known, ddof=1):.4f}" if len(known) > 1 else f"{known[0]:.4f}"
