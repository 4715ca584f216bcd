"""What all steps of stage one share: the settings, the folders, the pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from prectr.data.contract import PAIR_SPLITS, levels, read_table
from prectr.distill.config import LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.labelling.strategies import WITHOUT_A_LOG, Chosen, choose_pairs
from prectr.distill.models.convert import convert_teacher, made_in
from prectr.distill.models.output_names import output_names, output_order
from prectr.distill.models.random_models import random_bert_config
from prectr.distill.models.sources import Source, check_head, find_adapter, find_assistant, find_encoder, find_teachers
from prectr.distill.pairs import Pairs, read_pairs, remarks, require_training_pairs
from prectr.distill.student.recipe import Recipe
from prectr.distill.teachers.panel import Panel
from prectr.distill.teachers.prompt import read_prompt
from prectr.distill.unrelated import draw_unrelated, how_many
from prectr.shared.encoder.reading import check_length
from prectr.shared.engine.choice import open_engine
from prectr.shared.engine.job import Engine
from prectr.shared.pretrained import open_config
from prectr.shared.run.contents import remark_on_tables
from prectr.shared.run.finished import settings_of
from prectr.shared.run.steps import StepRecord, fingerprint_of_tables

TEST_SPLITS = ("test", "test_types")
LABELS, ASSISTANT_LABELS, LABELLER = "labels", "assistant_labels", "labeller"


@dataclass
class Workspace:
    """Everything the steps share: settings, folders, the pairs. Reading it checks all that can be checked
    beforehand.
    """

    run: RunArguments
    teaching: TeacherArguments
    labelling: LabelArguments
    training: StudentArguments
    command: str = "python -m distill run"

    def __post_init__(self) -> None:
        self.asked = settings_of((self.run, self.teaching, self.labelling, self.training))
        self.folder = Path(self.run.artifacts) / self.run.name
        self.data = self.folder / "data"
        self.teacher_sources = find_teachers(self.teaching.teacher)
        if self.teaching.teacher_adapter:
            find_adapter(self.teaching.teacher_adapter)
        self.encoder_source = find_encoder(self.training.init_from)
        self.data_fingerprint = fingerprint_of_tables(self.data)
        self.level_names = levels(self.data)
        is_read = any(source.role in ("causal", "endpoint") for source in self.teacher_sources)
        self.prompt = read_prompt(self.teaching.prompt, len(self.level_names) if is_read else None)
        self.pairs = read_pairs(self.data)
        require_training_pairs(self.pairs, self.data)
        self.remarks = remarks(self.pairs, self.data, self.level_names)
        if changed := remark_on_tables(self.data):
            self.remarks.insert(0, changed)
        nothing = next(iter(self.pairs.values())).take(np.array([], int))
        for split in PAIR_SPLITS:
            self.pairs.setdefault(split, nothing)
        self.has_gold = len(self.pairs["train"]) > 0
        if not self.has_gold:
            self.teaching = replace(self.teaching, teacher_pairs=0, teacher_calibration_pairs=0)
        for source in self.teacher_sources:
            check_head(source, len(self.level_names), self.teaching, self.has_gold)
            self.remarks += self._order_outputs(source)
        name = self.teaching.assistant
        self.assistant = find_assistant(name, self.has_gold) if name else None
        self._check_lengths()
        self.student_labels = self.folder / (ASSISTANT_LABELS if self.assistant else LABELS)

    def _order_outputs(self, source: Source) -> list[str]:
        """What is to be said of a judge whose outputs are in another order than the levels."""
        if self.teaching.teacher_pairs:
            return []
        order = output_order(source, self.level_names, self.teaching.level_names)
        if order is None:
            return []
        names = output_names(source.labels) or ()
        matched = ", ".join(
            f"{names[output]} is {level}" for output, level in zip(order, self.level_names, strict=True)
        )
        return [f"teacher {source.name}: its outputs are matched to the levels by name: {matched}."]

    def _check_lengths(self) -> None:
        """Not only when a model's turn comes, after others have worked for hours."""
        judges = [*self.teacher_sources, *([self.assistant] if self.assistant else [])]
        for judge in judges:
            if judge.role == "cross_encoder":
                self._check_length(f"cross-encoder {judge.name}", judge.location, "cross_encoder_length", self.teaching)
        for setting in ("query_length", "item_length"):
            self._check_length(f"init_from {self.training.init_from}", self.encoder_source, setting, self.training)

    def _check_length(self, name: str, location: str, setting: str, settings: Any) -> None:
        if location == "scratch":
            return  # made as long as it has to be
        is_random = location in ("random", "random-cross-encoder")
        config = random_bert_config(0) if is_random else open_config(location)
        check_length(name, config, getattr(settings, setting), setting)

    @cached_property
    def engine(self) -> Engine:
        """Where parts of steps are worked on; a cluster is looked for when the first step is built."""
        return open_engine(self.run.engine)

    def together(self, build: Callable[[Path], None], work: Path) -> None:
        """A training's `build(work)`, in the engine's processes."""
        self.engine.together(build, work)

    @cached_property
    def item_texts(self) -> list[str]:
        return read_table(self.data, "items", ["text"])["text"].to_pylist()

    @cached_property
    def recipe(self) -> Recipe:
        texts = sorted({*self.item_texts, *self.pairs["train"].query, *self.pairs["unlabelled"].query})
        gold, validation = self.pairs["train"], self.pairs["validation"]
        names, seed = self.level_names, self.run.seed
        share = self.teaching.unrelated_share
        start = (self.encoder_source, self.training, names, texts)
        return Recipe(*start, gold, validation, seed, self.data, lambda: self.unrelated, share)

    @cached_property
    def unrelated(self) -> Pairs:
        """What teachers and SFT see beside gold: `unrelated_share` of both together."""
        gold, share = self.pairs["train"], self.teaching.unrelated_share
        return draw_unrelated(gold, how_many(len(gold), share), len(self.level_names), self.run.seed)

    @property
    def likeness_encoder(self) -> str:
        """Whose cosines the likeness trees read that every teacher is compared with; empty where there is none."""
        return "" if self.encoder_source in ("random", "scratch") else self.encoder_source

    def choose(self) -> Chosen:
        """The pairs of the labelling job: `label_pairs` of them, or fewer where the strategies find no more."""
        strategies, size = self.labelling.label_strategies, self.labelling.label_pairs
        if not len(self.pairs["unlabelled"]):
            others = [name for name in strategies if name.split(":")[0] != "logged"]
            # Random pairs beside `logged` are but its complement; where `random` alone was asked for it stays.
            more = {name.split(":")[0] for name in others} - {"random"}
            strategies = others if more or len(others) == len(strategies) else WITHOUT_A_LOG
        return choose_pairs(self.pairs, self.item_texts, strategies, size, self.run.seed, self.encoder_source)

    def convert_teachers(self) -> list[tuple[str, StepRecord | None]]:
        """For each teacher where to open it from, and what making it so cost."""
        return [self.convert(source) for source in self.teacher_sources]

    def convert(self, source: Source) -> tuple[str, StepRecord | None]:
        """Where to open a judge from, and what making it so cost."""
        return convert_teacher(source, Path(self.run.artifacts), self._words, self.run.seed)

    def made_in(self, source: Source) -> Path | None:
        """The folder of a judge that has to be made; None: it is opened from where it is."""
        return made_in(source, Path(self.run.artifacts), self._words, self.run.seed)

    @cached_property
    def _words(self) -> list[str]:
        """All that a random judge is asked."""
        words = [*self.item_texts, *self.pairs["train"].query, *self.pairs["unlabelled"].query]
        return [*words, self.prompt.before, self.prompt.between, self.prompt.after, *self.prompt.words]

    def teaching_inputs(self, panel: Panel) -> dict[str, Any]:
        """What decides `teacher/`."""
        return {"data": self.data_fingerprint, "seed": self.run.seed, **panel.inputs}

    def panel(self, locations: Sequence[str]) -> Panel:
        """The teacher, its members to be opened from `locations`."""
        sources, batch_size = self.teacher_sources, self.labelling.label_batch_size
        asked = (sources, locations, self.prompt, self.level_names, self.teaching, batch_size)
        return Panel(*asked, self.recipe.texts, lambda: self.unrelated, self.folder / "batches")
