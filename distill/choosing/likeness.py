"""Likeness trees beside teachers nobody taught to be trees: they cost nothing but a minute."""

from __future__ import annotations

from pathlib import Path

from prectr.distill.pairs import Pairs
from prectr.distill.teachers.dtype import reads_bf16
from prectr.distill.teachers.panel import Panel
from prectr.distill.teachers.similarity import SimilarityTeacher, teach_similarity
from prectr.distill.unrelated import with_unrelated

LIKENESS = "likeness trees"

RIVAL_PAIRS = 8000
"""Pairs that they learn from at most, unrelated ones among them: what nobody asked for must not cost much."""


def pairs_of_rivals(panel: Panel, train: Pairs, seed: int) -> Pairs:
    """Gold pairs of `train` and unrelated ones that judges are fitted on which no teacher is."""
    gold = train.sample(len(train), seed, "teacher")
    return with_unrelated(gold, panel.unrelated(), panel.arguments.unrelated_share, RIVAL_PAIRS)


def grow_likeness(
    panel: Panel, pairs: Pairs, validation: Pairs, likeness: str, seed: int, folder: Path
) -> SimilarityTeacher | None:
    """Trees grown on `pairs` with the cosines of the encoder `likeness`, in `folder`.

    Returns:
        None where there are none to be beside the teacher: it is or has such trees already, or there is no encoder.
    """
    if not likeness or any(source.role == "similarity" for source in panel.sources):
        return None
    bf16 = reads_bf16(panel.arguments)
    folder.mkdir(exist_ok=True)
    teach_similarity(likeness, panel.texts, pairs, validation, panel.num_levels, bf16=bf16, seed=seed, work=folder)
    return SimilarityTeacher(folder, likeness, bf16=bf16)
