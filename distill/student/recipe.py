"""How a student is made: a warm start, the hidden states of all layers, the teacher's labels, then gold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from prectr.distill.config import StudentArguments
from prectr.distill.models.common_words import without_rare_words
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.models.scratch import scratch_encoder
from prectr.distill.models.sources import folder_identity
from prectr.distill.order import order
from prectr.distill.pairs import Pairs, concatenate, no_pairs, with_random_items
from prectr.distill.student.hidden_states import StateSchedule, distil_states
from prectr.distill.student.model import PairDataset, SoftTarget, StudentModel
from prectr.distill.student.train import GoldOrder, Schedule, say_not_taken, train_student
from prectr.distill.teachers.base import Judgement
from prectr.distill.teachers.calibration import Calibration, fit_temperature
from prectr.distill.unrelated import with_unrelated
from prectr.shared.atomic import whole_folder
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import EncoderConfig, LevelHead
from prectr.shared.pretrained import open_config
from prectr.shared.run import launch
from prectr.shared.seeds import generator, set_seed

HEAD_PAIRS = 1024
"""Gold pairs that a new head's features are standardised on."""

ORDERED_PAIRS = 2000
"""Validation pairs, at most, that vectors without a head are judged by."""

RANDOM_VALIDATION = 500
"""Validation queries with random items, at most, that every epoch is asked for."""

HELD_OUT = 0.1
"""Share of the queries whose teacher's labels are validated on where there is no gold [O]."""


@dataclass(frozen=True)
class Recipe:
    """Everything a student's training depends on but the labels.

    Args:
        source: folder or hub id of the encoder it starts from; `scratch` for a new one over the words of `texts`,
            `random` for a tiny one.
        arguments: the settings.
        level_names: lowest level first.
        texts: every item text and training query, for the tokens' idf.
        gold, validation: pairs with gold levels; of the epochs of a training the best on `validation` is kept. Without
            them it is the best on the teacher's labels of `held_out` queries.
        unrelated: gives sampled pairs of level 0 that gold is fine-tuned with, `unrelated_share` of both together.
        seed: of new weights, dropout and the order of pairs.
        data: whose log says which words are people's own; None: every word of `texts` may be kept.
    """

    source: str
    arguments: StudentArguments
    level_names: Sequence[str]
    texts: Sequence[str]
    gold: Pairs
    validation: Pairs
    seed: int
    data: Path | None = None
    unrelated: Callable[[], Pairs] = no_pairs
    unrelated_share: float = 0.0

    @property
    def start_inputs(self) -> dict[str, Any]:
        """What decides the student before any label, beside the texts, for a step's fingerprint."""
        arguments = self.arguments
        made = {"vocabulary_size": arguments.vocabulary_size} if self.source == "scratch" else {}
        return {
            **made,
            **self.start_identity,
            "seed": self.seed,
            "init_from": arguments.init_from,
            "num_layers": arguments.num_layers,
            "lengths": [arguments.query_length, arguments.item_length],
            "bf16": arguments.student_bf16,
        }

    @property
    def start_identity(self) -> dict[str, str]:
        """What a folder named by `init_from` holds: it may be trained further under the same name."""
        folder = Path(self.arguments.init_from).expanduser()
        return {"start": folder_identity(folder)} if folder.is_dir() else {}

    @property
    def state_inputs(self) -> dict[str, Any]:
        """What the hidden-state distillation adds to `start_inputs`."""
        arguments = self.arguments
        return {
            "hidden_states": [
                arguments.hidden_state_epochs,
                arguments.hidden_state_learning_rate,
                arguments.hidden_state_batch_size,
            ]
        }

    @property
    def distilling_inputs(self) -> dict[str, Any]:
        """What decides a training on the teacher's labels, beside them and the start."""
        arguments = self.arguments
        loss = [arguments.distill_temperature, arguments.hidden_state_weight, arguments.distill_confidence_power]
        return {**self._training_inputs, "distill": [arguments.distill_epochs, arguments.distill_learning_rate, *loss]}

    @property
    def gold_inputs(self) -> dict[str, Any]:
        """What decides a training on gold, beside the start."""
        arguments = self.arguments
        sft = [arguments.sft_epochs, arguments.sft_learning_rate, arguments.sft_order_weight]
        return {**self._training_inputs, "sft": sft}

    @property
    def _training_inputs(self) -> dict[str, Any]:
        arguments = self.arguments
        return {
            "seed": self.seed,
            "batch_size": arguments.student_batch_size,
            "train_embeddings": arguments.train_embeddings,
            "head_learning_rate": arguments.head_learning_rate,
            "unrelated_share": self.unrelated_share,
        }

    def start(self, work: Path) -> LevelEncoder:
        """The first layers of a trained encoder, with the idf of `texts`; one made here is first written to
        `work/checkpoints`.
        """
        location = self._location(work)
        # Only now: making the start draws numbers too, and a run that goes on finds it made.
        set_seed(self.seed)
        encoder = LevelEncoder.warm_start(location, self._config, self.arguments.num_layers)
        encoder.fit_idf(self.texts)
        return encoder

    def learn_states(self, encoder: LevelEncoder, work: Path) -> None:
        """Teaches `encoder`, as `start` made it, the token vectors of all layers; does nothing where they are as
        many, or `hidden_state_epochs` is 0. Where the vectors order validation pairs no better then than before, they
        stay as they were.
        """
        arguments, location = self.arguments, self._location(work)
        layers = open_config(location).num_hidden_layers
        if layers <= arguments.num_layers or arguments.hidden_state_epochs == 0:
            return
        schedule = StateSchedule(
            arguments.hidden_state_epochs,
            arguments.hidden_state_learning_rate,
            arguments.hidden_state_batch_size,
            arguments.student_bf16,
            self.seed,
        )
        whole = LevelEncoder.warm_start(location, self._config, layers)
        before = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
        at_first = self.vectors_order(encoder)
        distil_states(encoder, whole, sorted({*self.texts, *self.gold.query}), schedule, work)
        at_last = self.vectors_order(encoder)
        if len(self.validation) and at_last <= at_first:
            encoder.load_state_dict(before)
            say_not_taken("hidden_states", "order", at_last, at_first)

    def vectors_order(self, encoder: LevelEncoder) -> float:
        """How an encoder's vectors order the validation pairs, which no head has a part in: by MaxSim and the cosine of
        the pooled vectors, both standardised, together.
        """
        if not len(self.validation):
            return 0.0
        gold = self.validation.sample_queries(ORDERED_PAIRS, self.seed, "vectors")
        pairs = concatenate([gold, self.random_validation])
        features = encoder.eval().fit_features(pairs.query.tolist(), pairs.item_text.tolist())
        score = features[:, encoder.head.maxsim_feature] + features[:, encoder.head.cosine_feature]
        return order(gold, score[: len(gold)], score[len(gold) :])

    @cached_property
    def random_validation(self) -> Pairs:
        """Queries of the validation pairs with item texts of the training pairs, as level 0."""
        texts = np.unique(self.gold.item_text).tolist()
        drawn = with_random_items(self.validation, texts, RANDOM_VALIDATION, self.seed, "validation")
        return Pairs(drawn.query, drawn.item_text, np.zeros(len(drawn), np.int64))

    def new_head(self, encoder: LevelEncoder, labels: tuple[Pairs, Judgement] | None = None) -> None:
        """Gives `encoder` a level head of this seed that begins as the MaxSim of its vectors, its features standardised
        and its levels fitted on gold pairs and unrelated ones, or on a teacher's `labels`.
        """
        set_seed(self.seed)
        encoder.head = LevelHead(encoder.config).to(encoder.device)
        if labels is None:
            sample = self.gold.sample(HEAD_PAIRS, self.seed, "features")
            sample = with_unrelated(sample, self.unrelated(), self.unrelated_share)
        else:
            pairs, judgement = labels
            said = Pairs(pairs.query, pairs.item_text, judgement.level_prob.argmax(1))
            sample = said.sample(HEAD_PAIRS, self.seed, "features")
        features = encoder.eval().fit_features(sample.query.tolist(), sample.item_text.tolist())
        match = features[:, encoder.head.maxsim_feature, None]
        levels = Calibration.fit(match, sample.level, len(self.level_names))
        encoder.head.start_as_maxsim(levels.scale, levels.bias)

    def distil(self, encoder: LevelEncoder, pairs: Pairs, judgement: Judgement, work: Path) -> None:
        """Trains on the teacher's judgement of `pairs` and saves the encoder to `work`."""
        arguments = self.arguments
        width = 0 if judgement.state is None else judgement.state.shape[1]
        power = arguments.distill_confidence_power
        target = SoftTarget(arguments.distill_temperature, arguments.hidden_state_weight, width, power)
        schedule = self._schedule(arguments.distill_epochs, arguments.distill_learning_rate)
        rows = work / "checkpoints" / "rows"
        if len(self.validation):
            taught = PairDataset(encoder, pairs, rows / "train", judgement)
            validation = PairDataset(encoder, self.validation, rows / "validation")
            gold_order = self._gold_order(encoder, rows)
        else:
            gold_order = None
            held_out = self.held_out(pairs)
            # Of a single query nothing can be held out.
            parts = {"train": ~held_out, "validation": held_out if held_out.any() else ~held_out}
            taught, validation = (
                PairDataset(encoder, pairs.take(part), rows / name, judgement.take(part))
                for name, part in ((name, np.flatnonzero(mask)) for name, mask in parts.items())
            )
        train_student(StudentModel(encoder, target), taught, validation, schedule, work, gold_order, "distill")
        save(encoder, work)

    def held_out(self, pairs: Pairs) -> np.ndarray:
        """Which of the teacher's pairs [n] are validated on where there is no gold: those of a tenth of the queries."""
        queries, code = np.unique(pairs.query, return_inverse=True)
        order = generator(self.seed, "held out queries").permutation(len(queries))
        return np.isin(code, order[: min(max(1, round(HELD_OUT * len(queries))), len(queries) - 1)])

    def fine_tune(self, encoder: LevelEncoder, work: Path) -> None:
        """Trains on gold levels, unrelated pairs among them, and saves the encoder to `work`."""
        set_seed(self.seed)
        schedule = self._schedule(self.arguments.sft_epochs, self.arguments.sft_learning_rate)
        rows = work / "checkpoints" / "rows"
        learnt = with_unrelated(self.gold, self.unrelated(), self.unrelated_share)
        gold = PairDataset(encoder, learnt, rows / "train")
        validation = PairDataset(encoder, self.validation, rows / "validation")
        model = StudentModel(encoder, order_weight=self.arguments.sft_order_weight)
        gold_order = self._gold_order(encoder, rows)
        train_student(model, gold, validation, schedule, work, gold_order, "sft", mean_of_epochs=True)
        save(encoder, work)

    def _gold_order(self, encoder: LevelEncoder, rows: Path) -> GoldOrder:
        random = self.random_validation
        return GoldOrder(self.validation, random, PairDataset(encoder, random, rows / "random"))

    def calibrate(self, encoder: LevelEncoder) -> float:
        """Fits the temperature on the validation pairs and folds it into the classifier; returns it: 1 without any."""
        if not len(self.validation):
            return 1.0
        level_prob = encoder.score_pairs(self.validation.query.tolist(), self.validation.item_text.tolist())
        temperature = fit_temperature(np.log(level_prob), self.validation.level)
        encoder.head.fold_temperature(temperature)
        return temperature

    @property
    def _config(self) -> EncoderConfig:
        query_length, item_length = self.arguments.query_length, self.arguments.item_length
        return EncoderConfig(list(self.level_names), query_length=query_length, item_length=item_length)

    def _location(self, work: Path) -> str:
        if self.source not in ("random", "scratch"):
            return self.source
        folder, arguments = work / "checkpoints" / self.source, self.arguments
        if launch.is_first() and not folder.is_dir():
            with whole_folder(folder) as part:
                texts = self.texts if self.data is None else without_rare_words(self.texts, self.data, part.parent)
                if self.source == "random":
                    random_text_encoder(part, texts, self.seed)
                else:
                    longest = max(arguments.query_length, arguments.item_length)
                    pieces = arguments.vocabulary_size
                    scratch_encoder(part, texts, arguments.num_layers, pieces, longest, self.seed)
        launch.wait_for_all()
        return str(folder)

    def _schedule(self, epochs: float, learning_rate: float) -> Schedule:
        arguments = self.arguments
        return Schedule(
            epochs=epochs,
            learning_rate=learning_rate,
            head_learning_rate=arguments.head_learning_rate,
            batch_size=arguments.student_batch_size,
            bf16=arguments.student_bf16,
            # Nothing is lost by moving vectors that mean nothing yet.
            train_embeddings=arguments.train_embeddings or self.source == "scratch",
            seed=self.seed,
        )


def save(encoder: LevelEncoder, work: Path) -> None:
    """Writes the encoder to `work`, as the first of the processes that trained it."""
    if launch.is_first():
        encoder.save_pretrained(work)
