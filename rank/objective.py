"""What training minimises: the losses of rank/losses.py put together around the network."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from rank.config import LossArguments
from rank.losses import click_loss, consistency_loss, debias_loss, lower_level, noisy_state, relevance_loss
from rank.model import Batch, RankerModel
from rank.position import HIDDEN, Examination
from shared.config import PrectrError
from shared.seeds import generator


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
        """Returns `loss` and its unweighted parts, all scalars; `level_fall` is logged, not minimised."""
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
            parts["incentive"] = output["tau"].square().mean()
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
        draw = generator(self.seed, "hidden places", int(batch["step"])).random(len(position))
        return self.examination(position, torch.from_numpy(draw < HIDDEN).to(position.device))

    def _debias(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Degrade every exposed impression of level ≥ 1, score the copy, compare."""
        weights, levels = self.weights, self.model.config.num_levels
        noise = torch.Generator().manual_seed(self.seed * 1_000_003 + int(batch["step"]))
        state = output["pair_states"][batch["pair"]]
        level = batch["level"]
        lowered = lower_level(level, torch.rand(len(level), generator=noise).to(level.device))
        drop = level - lowered
        lower_pair = None
        if weights.noise == "toward_lower_pair":
            replay_level = batch["replay_target"].argmax(1)
            fits = replay_level[None, :] == lowered[:, None]
            draw = torch.rand(fits.shape, generator=noise).to(level.device)
            lower_pair = output["pair_states"][batch["replay_pair"]][(draw * fits).argmax(1)]
            drop = drop * fits.any(1)
        negative_state = noisy_state(state, weights.noise, weights.noise_scale, noise, lower_pair)
        lowered_prob = functional.one_hot(lowered, levels).to(state.dtype)
        negative = self.model.score(negative_state, batch, attention_level=lowered_prob)
        loss = debias_loss(output["score"], negative["score"], drop, weights.margin_per_level, weights.margin_max)
        takes_part = drop > 0
        with torch.no_grad():
            fall = self._stage_one_level(state) - self._stage_one_level(negative_state)
            level_fall = (fall * takes_part).sum() / takes_part.sum().clamp(min=1)
        return {"debias": loss, "level_fall": level_fall}

    def _stage_one_level(self, state: Tensor) -> Tensor:
        """Expected level [B] of states [B, S] under the frozen classifier."""
        prob = torch.softmax(self.stage_one_classifier(state.float()).float(), -1)
        return prob @ torch.arange(prob.shape[1], dtype=prob.dtype, device=prob.device)
