"""What training minimises: the losses of rank/training/losses.py put together around the network."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prectr.rank.config import LossArguments
from prectr.rank.model.ranker_model import Batch, RankerModel
from prectr.rank.training.exposure_bias import debias_loss, noise_like
from prectr.rank.training.losses import click_loss, consistency_loss, relevance_loss
from prectr.rank.training.position_bias import HIDDEN, Examination
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator
from prectr.shared.training.whole_batch import batch_mean, rows_of_all


class Objective(nn.Module):
    """The total loss of a batch, with its parts by name.

    A batch without impressions belongs to the warm-up of the level module, and carries the relevance loss alone.

    Args:
        model: the network. weights: each term's weight; 0 leaves the term out. seed: rules the noise.
    """

    def __init__(self, model: RankerModel, weights: LossArguments, seed: int) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.seed = seed
        if weights.debias_weight:
            # A frozen copy of stage one's classifier: it tells whether a noisy state really reads as less relevant.
            self.stage_one_classifier = deepcopy(model.encoder.head.classifier).requires_grad_(False)
        if weights.position_debias:
            self.examination = Examination()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `loss` and its unweighted parts, all scalars; `level_fall` is logged, not minimised.

        Of several processes each has its part of the batch; averaged over them, the losses are the whole batch's.
        """
        weights = self.weights
        if "numeric" not in batch:
            logits = self.model.encoder.level_logits(self.model.pair_states(batch))
            relevance = relevance_loss(logits[batch["replay_pair"]], batch["replay_target"])
            return {"loss": relevance, "relevance": relevance.detach()}

        output = self.model(batch)
        score = output["score"]
        if weights.position_debias:
            score = score + self._examined(batch)
        parts = {"click": click_loss(score, batch["clicked"], batch.get("weight"), weights.negative_sampling_rate)}
        total = parts["click"]
        if weights.relevance_weight:
            logits = self.model.encoder.level_logits(output["pair_states"][batch["replay_pair"]])
            parts["relevance"] = relevance_loss(logits, batch["replay_target"])
            total = total + weights.relevance_weight * parts["relevance"]
        if weights.consistency_weight:
            parts["consistency"] = consistency_loss(output["click_logits"], weights.consistency_margin)
            total = total + weights.consistency_weight * parts["consistency"]
        if weights.debias_weight:
            parts |= self._debias(output, batch)
            total = total + weights.debias_weight * parts["debias"]
        if weights.incentive_penalty and self.model.config.incentive != "none":
            parts["incentive"] = batch_mean(output["tau"].square())
            total = total + weights.incentive_penalty * parts["incentive"]
        return {"loss": total, **{name: part.detach() for name, part in parts.items()}}

    def _examined(self, batch: Batch) -> Tensor:
        """What each impression's place adds to the logit of a click [B]; the model itself never sees a place."""
        if "position" not in batch:
            raise PrectrError(
                "position_debias needs each impression's position, but the prepared features hold none: remove the "
                "folder features/ of this data set, so that they are made again."
            )
        position = batch["position"]
        draw = generator(self.seed, "hidden places", int(batch["step"])).random(int(batch["size"]))
        hidden = torch.from_numpy(draw < HIDDEN).to(position.device)
        return self.examination(position, hidden[batch["place"]])

    def _debias(self, output: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
        """Score a less relevant copy of every exposed impression that has one, compare."""
        weights, drop = self.weights, batch["level_drop"]
        state, context = output["pair_states"][batch["pair"]], output["context"]
        if weights.noise == "toward_neighbour":
            negative_state = state + weights.noise_scale * (state[batch["neighbour"]] - state)
            context, label = self.model.less_relevant(context, batch), None
        else:
            negative_state = state + self._noise(state, batch)
            label = functional.one_hot(batch["lowered"], self.model.config.num_levels).to(state.dtype)
        negative = self.model.score(negative_state, batch, attention_level=label, context=context)
        loss = debias_loss(output["score"], negative["score"], drop, weights.margin_per_level, weights.margin_max)
        with torch.no_grad():
            fall = self._stage_one_level(state) - self._stage_one_level(negative_state)
            level_fall = batch_mean(fall, (drop > 0).float())
        return {"debias": loss, "level_fall": level_fall}

    def _noise(self, state: Tensor, batch: Batch) -> Tensor:
        """Random noise for the text states [B, S]: this process's part of the whole batch's."""
        seed = int(generator(self.seed, "noise", int(batch["step"])).integers(2**62))
        whole = rows_of_all(state, batch["place"], int(batch["size"]))
        noise = noise_like(whole, self.weights.noise, self.weights.noise_scale, torch.Generator().manual_seed(seed))
        return noise[batch["place"]]

    def _stage_one_level(self, state: Tensor) -> Tensor:
        """Expected level [B] of states [B, S] under the frozen classifier."""
        prob = torch.softmax(self.stage_one_classifier(state.float()).float(), -1)
        return prob @ torch.arange(prob.shape[1], dtype=prob.dtype, device=prob.device)
