"""Who labels. Teaching can make a judge worse, and a costly judge can know less than a cheap one: the taught teacher is
set beside its members, beside what they were before, beside likeness trees, the cosine they read and the student's own
MaxSim, all on the same validation pairs, and the best of them labels. Likeness trees also join the taught teacher as
one member more. What several judges say together labels unless one judge is better by more than chance: some hundred
pairs often prefer a part by luck, where on queries nobody has seen the whole was better [O, measured: EXPERIMENTS.md].
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prectr.distill.choosing.cosine import CosineTeacher
from prectr.distill.choosing.likeness import LIKENESS, grow_likeness, pairs_of_rivals
from prectr.distill.choosing.maxsim import MaxSimTeacher
from prectr.distill.pairs import Pairs
from prectr.distill.sheet import order_of, read_said
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.calibration import CalibratedTeacher, Calibration
from prectr.distill.teachers.dtype import reads_bf16
from prectr.distill.teachers.ensemble import EnsembleTeacher, fit_weights, pooled, read_weights, save_weights
from prectr.distill.teachers.panel import (
    SAID,
    TAUGHT,
    WEIGHTS,
    Panel,
    learnt,
    open_member,
    open_teacher,
    open_untaught_member,
    sheet_of,
)
from prectr.distill.teachers.similarity import SimilarityTeacher
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.schema import member, read_json

CHOICE = "choice.json"
MAXSIM, COSINE = "MaxSim of untrained vectors", "cosine of untrained vectors"
TOGETHER = "the taught teacher with likeness trees"
FOLDERS = {LIKENESS: "likeness", MAXSIM: "maxsim"}

Start = Callable[[Path], LevelEncoder]
"""Makes the student as it starts, in a work folder."""


def choose(
    panel: Panel, taught: Path, train: Pairs, validation: Pairs, likeness: str, start: Start, seed: int, work: Path
) -> dict[str, Any]:
    """Compares the judges and leaves the choice, and what it takes to open it, in `work`; `open_labeller` reads it.

    Args:
        taught: what `teach` left.
        likeness: sentence encoder of the cosine and the trees, folder or hub id; empty: neither.
        start: makes the untrained student.

    Returns:
        The figures of every judge, by its name; of one that gives a number its levels are fitted on gold. Empty where
        nothing is compared: without validation pairs, or with `labeller: teacher`.
    """
    sheet = sheet_of(panel, train, validation, seed)
    if panel.arguments.labeller == "teacher" or not len(sheet):
        _save(work, TAUGHT)
        return {}
    said = read_said(taught / SAID)
    gold = pairs_of_rivals(panel, train, seed)
    if trees := grow_likeness(panel, gold, validation, likeness, seed, work / FOLDERS[LIKENESS]):
        said[LIKENESS] = trees.score(sheet.asked).log_odds
        taught_members = [TAUGHT] if len(panel.sources) == 1 else [f"taught {name}" for name in panel.names]
        members = [said[name] for name in (*taught_members, LIKENESS)]
        weights = fit_weights([found[: len(sheet)] for found in members], sheet.graded.level)
        said[TOGETHER] = pooled(members, weights)
    numbers: dict[str, Teacher] = {MAXSIM: MaxSimTeacher(untrained := start(work))}
    if likeness:
        numbers[COSINE] = CosineTeacher(likeness, bf16=reads_bf16(panel.arguments))
    said |= {name: judge.score(sheet.asked).log_odds for name, judge in numbers.items()}
    sample = gold.sample(max(panel.arguments.teacher_calibration_pairs, panel.num_levels), seed, "calibration")

    def calibration(name: str) -> Calibration:
        judge = numbers.get(name) or _open_bare(panel, name, taught, work, likeness, "")
        found = judge.score(list(zip(sample.query, sample.item_text, strict=True))).log_odds
        return Calibration.fit(found, sample.level, panel.num_levels)

    levels = {name: calibration(name) for name, found in said.items() if found.shape[1] == 1}
    figures = {name: sheet.figures(found, levels.get(name)) for name, found in said.items()}
    rivals = list(said)
    whole = TOGETHER if TOGETHER in said else TAUGHT
    if whole == TOGETHER or len(panel.sources) > 1:
        rivals = [whole, *(name for name in said if sheet.leads(said[name], said[whole], seed))]
    # The first of equals: the teacher that was asked for.
    chosen = max(rivals, key=lambda name: order_of(figures[name]))
    if chosen == MAXSIM:
        untrained.save_pretrained(work / FOLDERS[MAXSIM])
    if chosen == TOGETHER:
        save_weights(work / WEIGHTS, [*panel.names, LIKENESS], weights)
    elif chosen != LIKENESS:
        shutil.rmtree(work / FOLDERS[LIKENESS], ignore_errors=True)
    _save(work, chosen)
    if chosen in levels or chosen.startswith("untaught "):
        (levels.get(chosen) or calibration(chosen)).save(work / "calibration.json")
    return figures


def open_labeller(panel: Panel, taught: Path, choice: Path, likeness: str) -> Teacher:
    """The judge that `choose` left in `choice`, known by what it learnt."""
    chosen = chosen_in(choice)
    if chosen == TAUGHT:
        return open_teacher(panel, taught, learnt(taught))
    judge = _open_bare(panel, chosen, taught, choice, likeness, learnt(choice))
    if (choice / "calibration.json").is_file():
        return CalibratedTeacher(judge, Calibration.load(choice / "calibration.json"))
    return judge


def sentence(figures: dict[str, Any], chosen: str) -> str:
    """Who labels, and how the others did, as one line of the log."""
    told = ", ".join(
        f"{name} {_told(found['within_query_spearman'])} / {_told(found['auc_relevant_random'])}"
        for name, found in figures.items()
        if found["order"] is not None
    )
    return f"{chosen} labels: on validation, Spearman within the query / AUC of relevant against random: {told}."


def chosen_in(choice: Path) -> str:
    """The name of who labels."""
    return member(read_json(choice / CHOICE), "labeller", choice / CHOICE, str)


def _open_bare(panel: Panel, chosen: str, taught: Path, choice: Path, likeness: str, identity: str) -> Teacher:
    if chosen in (LIKENESS, TOGETHER):
        folder = choice / FOLDERS[LIKENESS]
        trees = SimilarityTeacher(folder, likeness, bf16=reads_bf16(panel.arguments), identity=identity)
        if chosen == LIKENESS:
            return trees
        members = [open_member(panel, number, taught, learnt(taught)) for number in range(len(panel.sources))]
        return EnsembleTeacher([*members, trees], read_weights(choice / WEIGHTS))
    if chosen == COSINE:
        return CosineTeacher(likeness, bf16=reads_bf16(panel.arguments), identity=identity)
    if chosen == MAXSIM:
        return MaxSimTeacher.open(choice / FOLDERS[MAXSIM], identity)
    state, _, name = chosen.partition(" ")
    number = panel.names.index(name)
    if state == "taught":
        return open_member(panel, number, taught, learnt(taught))
    judge = open_untaught_member(panel, number)
    assert judge is not None, "it was asked before it was chosen"
    return judge


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _save(work: Path, chosen: str) -> None:
    (work / CHOICE).write_text(json.dumps({"labeller": chosen}, indent=2) + "\n", encoding="utf-8")
