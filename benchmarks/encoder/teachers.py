"""Every kind of teacher before and after it was taught, as `distill run` compared them on validation to choose who
labels.

    python -m benchmarks.encoder.teachers --name homedepot

It reads the figures that the step `choose` left in artifacts/<name>/labeller/; nothing is asked again.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.encoder.cells import RESULTS
from benchmarks.provenance import provenance
from prectr.distill.choosing.choice import COSINE, MAXSIM, chosen_in
from prectr.distill.choosing.likeness import LIKENESS
from prectr.distill.config import CONFIGS, LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.models.sources import Source
from prectr.distill.teachers.panel import TAUGHT
from prectr.distill.workspace import LABELLER, Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import print_line, table
from prectr.shared.run.schema import read_json
from prectr.shared.run.settings import parse_arguments

MEASURES = ("within_query_spearman", "auc_random", "qwk")
ROLES = {
    "causal": "language model",
    "cross_encoder": "cross-encoder",
    "similarity": "likeness trees",
    "endpoint": "endpoint",
}

Figures = dict[str, float | None]


def main(argv: list[str]) -> None:
    """The command.

    Raises:
        PrectrError: no run of the data set has compared judges.
    """
    groups = (RunArguments, TeacherArguments, LabelArguments, StudentArguments)
    run, teaching, labelling, training = parse_arguments(
        groups, CONFIGS, argv, program="python -m benchmarks.encoder.teachers"
    )
    workspace = Workspace(run, teaching, labelling, training)
    choice = workspace.folder / LABELLER
    judges = read_json(choice / "metrics.json").get("judges") if (choice / "metrics.json").is_file() else None
    if not judges:
        raise PrectrError(
            f"{choice} has no figures of judges: run `make distill DATA={run.name}` with `labeller: best` first."
        )
    result = {
        **provenance("benchmarks.encoder.teachers", argv),
        "data": run.name,
        "pairs": judges[TAUGHT]["n"],
        "labeller": chosen_in(choice),
        "kinds": kinds(judges, workspace.teacher_sources, workspace.likeness_encoder),
    }
    path = RESULTS / f"teachers_{run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)
    print_line(f"Figures: {path}")


def kinds(judges: dict[str, Any], sources: list[Source], likeness: str) -> dict[str, dict[str, Any]]:
    """Of each teacher its `role`, and its figures `before` and `after` teaching; None where there are none. What a
    cross-encoder was before, if it had no outputs for levels, is the cosine of the encoder it was made of.
    """
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        after = judges.get(f"taught {source.name}", judges[TAUGHT] if len(sources) == 1 else None)
        before = judges.get(f"untaught {source.name}")
        if before is None and source.role == "cross_encoder" and source.location == likeness:
            before = judges.get(COSINE)
        found[source.name] = {"role": ROLES[source.role], "before": before, "after": after}
    if len(sources) > 1:
        found["all together"] = {"role": "ensemble", "before": None, "after": judges[TAUGHT]}
    if LIKENESS in judges:
        found[LIKENESS] = {"role": ROLES["similarity"], "before": None, "after": judges[LIKENESS]}
    for name, role in ((COSINE, "sentence encoder"), (MAXSIM, "the student's start")):
        if name in judges:
            found[name] = {"role": role, "before": judges[name], "after": None}
    return {
        name: {"role": one["role"], "before": _measured(one["before"]), "after": _measured(one["after"])}
        for name, one in found.items()
    }


def show(result: dict[str, Any]) -> None:
    """A row for each teacher."""
    rows = [
        [name, one["role"], *(_told(one["before"])), *(_told(one["after"]))] for name, one in result["kinds"].items()
    ]
    names = ("within query", "against random", "QWK")
    table(
        f"{result['data']}, {result['pairs']:,} validation pairs: {result['labeller']} labels",
        ["teacher", "kind", *(f"before: {name}" for name in names), *(f"after: {name}" for name in names)],
        rows,
        "Spearman within the query, AUC of graded against random pairs, QWK of the levels.",
    )


def _measured(found: dict[str, Any] | None) -> Figures | None:
    return None if found is None else {measure: found.get(measure) for measure in MEASURES}


def _told(found: Figures | None) -> list[str | None]:
    values = [None] * len(MEASURES) if found is None else [found[measure] for measure in MEASURES]
    return [None if value is None else f"{value:.3f}" for value in values]


if __name__ == "__main__":
    run_main(main)
