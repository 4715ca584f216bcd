"""What training minimises: the losses of rank/training/losses.py put together around the network."""

import torch
from torch import Tensor, nn

from prectr.rank.config import LossArguments
from prectr.rank.inputs.batch import Batch
from prectr.rank.inputs.text_tables import TextTables
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.training.exposure_bias import ExposureBias
from prectr.rank.training.losses import click_loss, click_target, consistency_loss, relevance_loss
from prectr.rank.training.position_bias import HIDDEN, Examination
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator
from prectr.shared.training.whole_batch import batch_mean


class Objective(nn.Module):
    """The total loss of a batch, with its parts by name.

    A batch without impressions belongs to the warm-up of the level module, and carries the relevance loss alone.

    Args:
        model: the network. weights: each term's weight; 0 leaves the term out. seed: rules the noise.
        tables: vectors of all texts, which belong to the state of a training; None: the network reads none.
    """

    def __init__(self, model: RankerModel, weights: LossArguments, seed: int, tables: TextTables | None = None) -> None:
        super().__init__()
        self.model, self.tables = model, tables
        self.weights = weights
        self.seed = seed
        if weights.debias_weight:
            self.exposure_bias = ExposureBias(model, weights, seed)
        if weights.position_debias:
            self.examination = Examination()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns `loss` and its unweighted parts, all scalars; `level_fall` is logged, not minimised.

        Of several processes each has its part of the batch; averaged over them, the losses are the whole batch's.
        """
        weights = self.weights
        if "numeric" not in batch:
            logits = self.model.encoder.level_logits(self.model.relevance_states(batch))
            relevance = relevance_loss(logits[batch["replay_pair"]], batch["replay_target"])
            return {"loss": relevance, "relevance": relevance.detach()}

        output = self.model(batch)
        scores = output["member_scores"]
        if weights.position_debias:
            scores = scores + self._examined(batch)[:, None]
        target, rate = batch["clicked"], weights.negative_sampling_rate
        if "engagement" in batch:
            target = click_target(target, batch["engagement"], weights.engagement_weight, rate)
        parts = {"click": click_loss(scores, target, batch.get("weight"), rate)}
        total = parts["click"]
        if weights.relevance_weight:
            logits = self.model.encoder.level_logits(output["relevance_states"][batch["replay_pair"]])
            parts["relevance"] = relevance_loss(logits, batch["replay_target"])
            total = total + weights.relevance_weight * parts["relevance"]
        if weights.consistency_weight:
            parts["consistency"] = consistency_loss(output["click_logits"], weights.consistency_margin)
            total = total + weights.consistency_weight * parts["consistency"]
        if weights.debias_weight:
            parts |= self.exposure_bias(self.model, output, batch)
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
