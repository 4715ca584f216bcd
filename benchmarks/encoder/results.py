"""What the comparison of judges found: the figures of every finished cell, and the same as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prectr.distill.workspace import TEST_SPLITS
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console, table

if TYPE_CHECKING:
    pass

SYSTEMS = {
    "tfidf": "char-n-gram TF-IDF",
    "teacher": "teacher",
    "assistant": "the teacher's assistant",
    "student": "student: the teacher's labels, then gold",
    "student_gold_only": "the same student, gold only: no teacher, no hidden-state distillation",
    "student_states_gold": "the same student, hidden-state distillation, then gold: no teacher's labels",
    "student_all_gold": "the same student, gold levels for all logged pairs the teacher labels",
    "minilm_cosine": "MiniLM-L6, cosine, untrained",
    "minilm_finetuned": "MiniLM-L6 cross-encoder, gold only",
    "minilm_finetuned_kd": "MiniLM-L6 cross-encoder: the teacher's labels, then gold",
}
METRICS = ("spearman", "auc", "qwk")


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
