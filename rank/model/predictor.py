"""Scoring prepared impressions with a trained network: every text encoded once, every distinct pair compared once.

Where the text encoder never learnt, what is stored of the pairs is read instead.
"""

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.batch import page_batch, to_device
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures, TextVectors
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerModel
from prectr.shared.run.console import progress
from prectr.shared.training.device import autocast, compute_device


class Predictor:
    """A network with the token vectors of all texts, or the level head's features of all pairs.

    Args:
        model: the trained network. texts: every text that will occur, or the features of every pair. bf16: matrix
            products in bfloat16, where the machine has them.
    """

    def __init__(self, model: RankerModel, texts: Texts | PairFeatures, events: Events, bf16: bool) -> None:
        self.device = compute_device()
        self.model, self.events, self.bf16 = model.to(self.device).eval(), events, bf16
        self.stored = texts if isinstance(texts, PairFeatures) else TextVectors(model.encoder, texts, bf16)
        self._latest: tuple[PreparedSet, tuple[Tensor, np.ndarray]] | None = None

    def autocast(self) -> torch.autocast:
        return autocast(self.device, self.bf16)

    def states(self, prepared: PreparedSet) -> tuple[Tensor, np.ndarray]:
        """States [D, S] of the set's distinct pairs, and each impression's place among them [n].

        Those of the latest set are kept: the rungs of the new-user ladder hold the same pairs.
        """
        texts = prepared.query_text, prepared.item_text
        if self._latest is not None:
            latest, states = self._latest
            if np.array_equal(latest.query_text, texts[0]) and np.array_equal(latest.item_text, texts[1]):
                return states
        if isinstance(self.stored, PairFeatures):
            features, place = self.stored.rows(*texts)
            states = self.model.encoder.head.state_of(features.to(self.device)).float(), place
        else:
            states = self.stored.states(*texts)
        self._latest = prepared, states
        return states

    @torch.inference_mode()
    def predict(self, prepared: PreparedSet, batch_size: int, description: str | None = None) -> dict[str, np.ndarray]:
        """Score all impressions of a set, in its order.

        Args:
            batch_size: impressions scored at once. description: of the progress bar; None: the caller shows its own.

        Returns:
            `p_click` [n] float64, `level_prob` [n, K], `p_click_given_level` [n, K], `tau` [n].
        """
        bounds = prepared.page_bounds()
        per_batch = max(int(batch_size / max(len(prepared) / prepared.num_pages, 1)), 1)
        starts = range(0, prepared.num_pages, per_batch)
        parts: dict[str, list[Tensor]] = {"p_click": [], "level_prob": [], "p_click_given_level": [], "tau": []}
        with self.autocast():
            states, place = self.states(prepared)
            place_of = torch.from_numpy(place).to(self.device)
            for start in starts if description is None else progress(starts, description):
                pages = np.arange(start, min(start + per_batch, prepared.num_pages))
                batch = to_device(page_batch(prepared, pages, bounds, self.events), self.device)
                output = self.model.score(states[place_of[batch["row"]]], batch)
                parts["p_click"].append(torch.sigmoid(output["score"].double()))
                parts["level_prob"].append(torch.softmax(output["level_logits"].float(), -1))
                parts["p_click_given_level"].append(torch.sigmoid(output["click_logits"].float()))
                parts["tau"].append(output["tau"].float())
        return {name: torch.cat(tensors).cpu().numpy() for name, tensors in parts.items()}
