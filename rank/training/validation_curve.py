"""How the ranker does on the validation weeks while it trains: at a few points, on a sample of pages. [O]

A point reads the network as it stands and leaves it as it was: no draw is made, no gradient touched, and every module
goes back into the mode it was in. So a training ends in the same weights, to the bit, with a curve or without.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import TokenTables
from prectr.rank.inputs.page_sample import sample_pages
from prectr.rank.inputs.texts import TOKENS, Texts
from prectr.rank.model.predictor import ItemVectors, Predictor
from prectr.rank.training.objective import Objective
from prectr.shared import metrics

POINTS = 4
"""How often, evenly over the steps; the last one is the end."""

MOST_ROWS = 2000
"""Impressions of the sample: few enough that all points together cost a hundredth of a default training."""

PREFIX = "validation_"
"""Of what a log line says of a point."""

BATCH_SIZE = 4096


class ValidationCurve:
    """
    Args:
        prepared: the validation set; a sample of its pages is drawn with the seed. events, texts: as for training.
        negative_sampling_rate: share of unclicked impressions that the log kept.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        events: Events,
        texts: Texts,
        *,
        bf16: bool,
        negative_sampling_rate: float,
        seed: int,
    ) -> None:
        _, sample = sample_pages(prepared, MOST_ROWS, seed)
        queries, query_text = np.unique(sample.query_text, return_inverse=True)
        items, item_text = np.unique(sample.item_text, return_inverse=True)
        self._texts = Texts(*(_these(side, used) for side, used in ((texts.query, queries), (texts.item, items))))
        self._sample = replace(sample, query_text=query_text.astype(np.int32), item_text=item_text.astype(np.int32))
        self._events, self._bf16 = events, bf16
        self._weight = sample.full_log_weight(negative_sampling_rate)

    def point(self, objective: Objective) -> dict[str, float]:
        """AUC and logloss of the sample as the network stands, uncalibrated; AUC only where both classes occur."""
        model, tables = objective.model, objective.tables
        with _as_it_was(model):
            stored = TokenTables(model.encoder, self._texts, self._bf16)
            # Past events are read by the vectors that training itself reads them by.
            items = None if tables is None else ItemVectors(stored.item.pooled, tables.item.to(stored.item.pooled))
            predictor = Predictor(model, stored, self._events, self._bf16, items=items)
            p_click = predictor.predict(self._sample, BATCH_SIZE)["p_click"]
        clicked = np.asarray(self._sample.clicked)
        found = {"auc": metrics.auc(clicked, p_click, self._weight)}
        found["logloss"] = metrics.logloss(clicked, p_click, self._weight)
        return {PREFIX + name: value for name, value in found.items() if value is not None}


class LogPoints(TrainerCallback):
    """Logs a point `POINTS` times in a training."""

    def __init__(self, curve: ValidationCurve, objective: Objective, log: Callable[[dict[str, float]], None]) -> None:
        self._curve, self._objective, self._log = curve, objective, log
        self._steps: set[int] = set()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._steps = {max(round(state.max_steps * number / POINTS), 1) for number in range(1, POINTS + 1)}

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step in self._steps:
            is_due = control.should_log
            self._log(self._curve.point(self._objective))
            control.should_log = is_due  # the losses' own line, which Trainer would take for written


def _these(tokens: dict[str, np.ndarray], used: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(tokens[name][used]) for name in TOKENS}


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Within, the modules may change between training and evaluation."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
