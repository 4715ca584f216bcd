"""The labelling job as a step: who asks, who only helps, and when a finished job is asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prectr.distill.config import LabelArguments
from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, read_rejected, write_labels
from prectr.distill.labelling.strategies import Chosen
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Teacher
from prectr.shared.engine.job import Engine
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.launch import is_first
from prectr.shared.run.steps import StepRecord, is_being_built, require_whole, run_step


def run_job(
    name: str,
    folder: Path,
    particular: Mapping[str, Any],
    arguments: LabelArguments,
    choose: Callable[[], Chosen],
    open_judge: Callable[[], Teacher],
    sources: Sequence[str],
    open_engine: Callable[[], Engine] = lambda: PLAIN,
) -> StepRecord:
    """A judge's labels of the job's pairs, in `folder`; all that any judge ever said is kept in `label_cache/` beside
    it.

    A process beside another that is building the folder helps to label. A finished job whose judge rejected pairs
    asks for them again, and is built anew only if that gains a label. Where the code that chooses or judges pairs has
    changed, the table is built anew, but from what the cache holds: a label is known by its teacher, prompt and pair,
    whatever code asked, since it may have cost a night. To have pairs judged by new code, remove `label_cache/`.

    Args:
        name: of the step.
        particular: the inputs that decide the labels, beside `arguments`.
        choose: finds the pairs.
        open_judge: opens the teacher or its assistant; called only if there is something to ask.
        sources: the modules that do the work, see `run_step`.
        open_engine: finds who asks the judge; called after `open_judge`.
    """
    inputs = {**particular, **asdict(arguments), "gains": 0}
    del inputs["label_max_rejected"]

    def ask_for(pairs: Pairs, max_rejected: float) -> LabelCache:
        teacher = open_judge()
        cache = LabelCache(folder.parent / "label_cache", teacher.fingerprint)
        # A judge that is asked in batches is handed one at a time.
        shard_size = getattr(teacher, "shard_size", arguments.label_batch_size * arguments.label_shard_batches)
        label(teacher, pairs, cache, shard_size, max_rejected, open_engine(), open_judge)
        return cache

    def build(work: Path) -> None:
        chosen = choose()
        cache = ask_for(chosen.pairs, arguments.label_max_rejected)
        write_labels(work, cache, chosen.pairs, chosen.strategy)

    def ask_again() -> bool:
        rejected = read_rejected(folder)
        try:
            return bool(len(rejected)) and len(ask_for(rejected, 1.0).collect(rejected)[0]) > 0
        except PrectrError as error:
            # A server may be gone by now; the finished job stands without these pairs.
            line = f"… {name}: {len(rejected)} rejected pairs could not be asked for again: {error}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
            return False

    built: dict[str, Any] = {}
    with suppress(PrectrError):  # not there, or damaged: then the step makes it anew
        built = require_whole(folder).inputs
    if {**built, "gains": 0} == inputs:
        inputs["gains"] = built["gains"] + ask_again()
    elif not is_first() or is_being_built(folder):
        ask_for(choose().pairs, arguments.label_max_rejected)
    return run_step(name, folder, inputs, build, sources=sources)
