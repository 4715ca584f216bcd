"""Scoring prepared impressions with a trained network: every text encoded once, every distinct pair compared once.

Where the text encoder never learnt, what is stored of the pairs is read instead.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.batch import Batch, page_batch, to_device
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures, TokenTables
from prectr.rank.inputs.text_tables import TextTables
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerModel, TextVectors
from prectr.shared.run.console import progress
from prectr.shared.training.device import autocast, compute_device

SCORES = ("score", "level_logits", "click_logits", "tau")
"""What is read of `RankerModel.score`."""

PageNetwork = Callable[[Tensor, Batch, TextVectors | None], dict[str, Tensor]]
"""From relevance states [n, S] of a page's candidates, their batch and text vectors to `SCORES` by name."""


class PairStates(Protocol):
    """Relevance states of pairs, whoever computes them; `TokenTables` is one."""

    def states(self, query_text: np.ndarray, item_text: np.ndarray) -> tuple[Tensor, np.ndarray]: ...


class ItemVectors(NamedTuple):
    """Pooled vectors of item texts, by one encoder: [n, V] each."""

    own: Tensor  # of the candidates' texts, in their order
    past: Tensor  # of past events' texts, by the numbers that `Events` has


class ProjectedVectors(NamedTuple):
    """v of every query, every item text, and every text of a past event: [n, d] each."""

    query: Tensor
    item: Tensor
    past: Tensor


class Predictor:
    """A network with the token vectors of all texts, or the level head's features of all pairs.

    Args:
        model: the trained network. texts: every text that will occur, its token vectors, or the states or features of
            every pair. bf16: matrix products in bfloat16, where the machine has them.
        tables: pooled vectors of every text, which stand beside the features of pairs.
        items: pooled vectors of the item texts of `texts` and of past events, where they are kept; None: `events` has
            the numbers of `texts`. As `ProjectedVectors` they are those of the queries too, and are read as they are.
        page_network: computes in place of the model, of sets of one page; None: the model does.
    """

    def __init__(
        self,
        model: RankerModel,
        texts: Texts | PairStates | PairFeatures,
        events: Events,
        bf16: bool,
        tables: TextTables | None = None,
        items: ItemVectors | ProjectedVectors | None = None,
        page_network: PageNetwork | None = None,
    ) -> None:
        self.device = compute_device()
        if model.training or next(model.parameters()).device.type != self.device.type:
            # Asked first: to go through all modules takes as long as to score a page.
            model.to(self.device).eval()
        self.model, self.events, self.bf16, self.page_network = model, events, bf16, page_network
        self.stored = TokenTables(model.encoder, texts, bf16) if isinstance(texts, Texts) else texts
        self._vectors: ProjectedVectors | None = None
        if model.config.text_vectors:
            self._vectors = items if isinstance(items, ProjectedVectors) else self._projected(tables, items)
        self._latest: tuple[PreparedSet, tuple[Tensor, np.ndarray]] | None = None

    @torch.inference_mode()
    def _projected(self, tables: TextTables | None, items: ItemVectors | None) -> ProjectedVectors:
        if isinstance(self.stored, TokenTables):
            query, item = self.stored.query.pooled, self.stored.item.pooled
        elif tables is not None:
            query, item = tables.query, tables.item
        else:
            raise ValueError("features of pairs without the vectors of their texts")
        own, past = (item, item) if items is None else items
        # Rounded alike wherever they are kept: a narrow kernel sees float16.
        return ProjectedVectors(
            *(self.model.text_projection(pooled.half().to(self.device)) for pooled in (query, own, past))
        )

    def text_vectors(self, batch: Batch) -> TextVectors | None:
        """v of a batch's queries, item texts and past events; None: the network reads none."""
        if self._vectors is None:
            return None
        query, item, past = self._vectors
        kinds = self.model.config.preferences
        return TextVectors(
            query[batch["query_text"]], item[batch["item_text"]], {k: past[batch[k]["text"]] for k in kinds}
        )

    def autocast(self) -> torch.autocast:
        return autocast(self.device, self.bf16)

    def states(self, prepared: PreparedSet) -> tuple[Tensor, np.ndarray]:
        """Relevance states [D, S] of the set's distinct pairs, and each impression's place among them [n].

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
        for start in starts if description is None else progress(starts, description):
            pages = np.arange(start, min(start + per_batch, prepared.num_pages))
            found = self.score(prepared, page_batch(prepared, pages, bounds, self.events))
            for name, tensors in parts.items():
                tensors.append(found[name])
        return {name: torch.cat(tensors).cpu().numpy() for name, tensors in parts.items()}

    @torch.inference_mode()
    def score(self, prepared: PreparedSet, batch: Batch) -> dict[str, Tensor]:
        """As `predict`, of some pages of the set."""
        with self.autocast():
            states, place = self.states(prepared)
            batch = to_device(batch, self.device)
            vectors = self.text_vectors(batch)
            row = torch.from_numpy(place).to(self.device)[batch["row"]]
            output = (self.page_network or self._computed)(states[row], batch, vectors)
        return {
            "p_click": torch.sigmoid(output["score"].double()),
            "level_prob": torch.softmax(output["level_logits"].float(), -1),
            "p_click_given_level": torch.sigmoid(output["click_logits"].float()),
            "tau": output["tau"].float(),
        }

    def _computed(self, relevance: Tensor, batch: Batch, vectors: TextVectors | None) -> dict[str, Tensor]:
        state = self.model.state(relevance, vectors)
        found: dict[str, Tensor] = self.model.score(state, batch, self.model.context(batch, vectors))
        return found
