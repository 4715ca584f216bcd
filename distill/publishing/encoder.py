"""The step that ends in `encoder/`: the student calibrated, set beside every other judge, and made ready to publish."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prectr.data.contract import reconstructed
from prectr.distill.choosing.choice import chosen_in
from prectr.distill.evaluation.comparison import agreement, judge_all
from prectr.distill.labelling.job import read_labels
from prectr.distill.publishing.model_card import write_card
from prectr.distill.workspace import LABELLER, Workspace
from prectr.shared import strict_json
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.hub import source_names
from prectr.shared.run.provenance import git_commit, shareable
from prectr.shared.run.steps import StepRecord, fingerprint_of, run_step


def evaluate_and_publish(
    workspace: Workspace, steps: Mapping[str, StepRecord], seconds: Mapping[str, float | None]
) -> StepRecord:
    """`encoder/`: the student with its temperature folded in, its model card, and every judge's figures.

    Args:
        steps: of the students: `sft`, or without gold `distill`.
        seconds: of every step before this one, for `seconds.json`; of `convert` None where no teacher had to be made.
    """
    inputs: dict[str, Any] = {
        "teacher": fingerprint_of(workspace.folder / "teacher"),
        "labeller": fingerprint_of(workspace.folder / LABELLER),
    }
    if workspace.assistant:
        inputs |= {
            "assistant": fingerprint_of(workspace.folder / "assistant"),
            "judged": workspace.teaching.teacher_test_pairs,
        }
    inputs["student"] = steps["sft" if workspace.has_gold else "distill"].fingerprint
    folder, recipe = workspace.folder / "student", workspace.recipe

    def build(work: Path) -> None:
        student = LevelEncoder.from_pretrained(folder / ("sft" if workspace.has_gold else "distilled"))
        temperature = recipe.calibrate(student)
        figures: dict[str, Any] = dict(judge_all(workspace, student, recipe.start(work), temperature))
        if not workspace.has_gold:
            figures["agreement"] = agreement(workspace, student)
        student.save_pretrained(work)
        content = strict_json.dumps({**figures, **_facts(workspace, temperature)}, indent=2) + "\n"
        (work / "metrics.json").write_text(content, encoding="utf-8")
        (work / "seconds.json").write_text(strict_json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
        write_card(work, workspace.level_names)

    sources = ["prectr.distill.evaluation.judge", "prectr.distill.student.recipe"]
    if workspace.assistant:
        sources.append("prectr.distill.teachers.assistant")
    return run_step("evaluate_encoder", workspace.folder / "encoder", inputs, build, sources=sources)


def _facts(workspace: Workspace, temperature: float) -> dict[str, Any]:
    """How the encoder came to be."""
    return {
        "data": workspace.run.name,
        "reconstructed": reconstructed(workspace.data),
        "labelled_by": chosen_in(workspace.folder / LABELLER),
        "teacher_source": ",".join(source_names(workspace.teaching.teacher)),
        "assistant_source": shareable(workspace.teaching.assistant),
        "init_from": shareable(workspace.training.init_from),
        "num_layers": workspace.training.num_layers,
        "seed": workspace.run.seed,
        "temperature": temperature,
        "pairs": {split: len(found) for split, found in sorted(workspace.pairs.items())},
        "labelled_pairs": len(read_labels(workspace.student_labels)[0]),
        "command": workspace.command,
        "commit": git_commit() or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }
