"""Which pairs are worth labelling: each strategy alone, as many pairs of each, and the student they make.

    python -m benchmarks.encoder.strategies --profile homedepot

The teacher, its label cache and the student's start are those of
`benchmarks.encoder.cells`. Each strategy's student sees
the teacher's labels of `pairs` pairs once and no gold, so what differs is the pairs alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from benchmarks.encoder.cells import CONFIGS, RESULTS, Bench, BenchArguments
from benchmarks.encoder.results import METRICS, spread
from benchmarks.provenance import provenance
from prectr.distill.config import LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, read_labels, write_labels
from prectr.distill.labelling.strategies import STRATEGIES, choose_pairs
from prectr.distill.pipeline import SOURCES, teach
from prectr.distill.teachers.panel import learnt, open_teacher
from prectr.distill.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, table
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import fingerprint_of, run_step


@dataclass
class StrategyArguments:
    """How much of each."""

    pairs: int = field(default=4000, metadata={"help": "pairs of each strategy"})


ARGUMENTS = (RunArguments, TeacherArguments, LabelArguments, StudentArguments, BenchArguments, StrategyArguments)


def run_strategy(bench: Bench, name: str, size: int) -> list[dict[str, Any]]:
    """Labels `size` pairs of the strategy and trains a student of each seed on them; its figures on `test`."""
    workspace, folder = bench.workspace, bench.folder.parent / f"{bench.workspace.run.name}-strategies"
    taught, batch_size = workspace.folder / "teacher", workspace.labelling.label_batch_size
    inputs = {"teacher": fingerprint_of(taught), "strategy": name, "pairs": size, "batch": batch_size}

    def build_labels(work: Path) -> None:
        seed = workspace.run.seed
        chosen = choose_pairs(workspace.pairs, workspace.item_texts, [name], size, seed, workspace.encoder_source)
        teacher = open_teacher(bench.panel, taught, learnt(taught))
        cache = LabelCache(workspace.folder / "label_cache", teacher.fingerprint)
        label(teacher, chosen.pairs, cache, batch_size * workspace.labelling.label_shard_batches)
        write_labels(work, cache, chosen.pairs, chosen.strategy)

    labels = folder / f"labels-{name}"
    run_step(f"label {name}", labels, inputs, build_labels, sources=SOURCES["label"])
    figures = []
    for seed in bench.arguments.seeds:
        recipe = replace(workspace.recipe, seed=seed, arguments=replace(workspace.training, distill_epochs=1.0))

        def build(work: Path, recipe: Any = recipe) -> None:
            encoder = bench.with_states(recipe)
            recipe.distil(encoder, *read_labels(labels), work)
            bench.save_student(recipe, work)

        cell = folder / f"{name}-seed{seed}"
        inputs = {"labels": fingerprint_of(labels), **recipe.distilling_inputs}
        run_step(f"{name} seed {seed}", cell, inputs, build, sources=SOURCES["student"])
        figures.append(bench.judged(cell)["test"])
    return figures


def main(argv: list[str]) -> None:
    run, teaching, labelling, training, arguments, size = parse_arguments(
        ARGUMENTS, CONFIGS, argv, program="python -m benchmarks.encoder.strategies"
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    bench = Bench(Workspace(run, teaching, labelling, training), arguments)
    bench.open_panel()
    teach(bench.workspace, bench.panel)
    found = {name: run_strategy(bench, name, size.pairs) for name in STRATEGIES}
    systems = {name: {m: [one[m] for one in figures] for m in METRICS} for name, figures in found.items()}
    result = {
        **provenance("benchmarks.encoder.strategies", argv),
        "data": run.name,
        "teacher": teaching.teacher,
        "pairs": size.pairs,
        "seeds": arguments.seeds,
        "strategies": systems,
    }
    path = RESULTS / f"strategies_{run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = [[name, *(spread(part[metric]) for metric in METRICS)] for name, part in systems.items()]
    table(f"{run.name}: students of {size.pairs:,} labelled pairs, one pass, no gold", ["strategy", *METRICS], rows)
    best = max(systems, key=lambda name: float(np.mean(systems[name]["spearman"])))
    console.print(f"best by Spearman: {best}\nfigures of every seed: {path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main)
