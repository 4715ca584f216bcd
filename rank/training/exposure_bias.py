"""Exposure-bias correction: hard negatives, and the loss that puts exposed items above them.

A hard negative is an exposed impression as it would be, had its item fitted the query less.

[P] noise on the text embedding, and a rebuilt, lower relevance label. [O] where the noise points, and that the label is
rebuilt in all that speaks of query and item together: of two candidates of a page, the more relevant one is given what
text, stage one and the query's past clicks say of the other, and keeps what its item is to the user and to everybody.
Such a copy looks like what no log of shown items holds, an item that the user likes and the query does not ask for. A
copy in which only the text is noisy is known by its contradictions, and teaches nothing about real items.

All draws are made for the whole batch, from the seed and the batch's number alone, so that each of several processes
can take the rows that are its own.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from prectr.rank.config import LossArguments
from prectr.rank.features.feature_map import MAX_DEVIATIONS, FeatureMap
from prectr.rank.features.groups import NEVER_SHOWN, OTHERS, is_of_slice, is_stage_one, unlike_anything
from prectr.rank.inputs.batch import Batch
from prectr.rank.model.ranker_model import Context, RankerModel
from prectr.rank.model.soft_counts import SIZE, no_counts
from prectr.shared.seeds import generator
from prectr.shared.training.whole_batch import batch_mean, rows_of_all

Noise = Literal["isotropic", "covariance", "toward_neighbour"]

LEAST_FALL = 0.25
"""Expected levels by which a neighbour must be below an impression to lend it its relevance [O]."""


def draw_neighbours(expected_level: np.ndarray, page: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """For each impression [W] one of its page that fits the query less, or itself where there is none.

    Args:
        expected_level: [W] float, stage one's. page: [W] int, of neighbouring rows the same. draw: [W], uniform in
            [0, 1); which of the fitting ones, all equally likely.

    Returns:
        [W] int64, rows.
    """
    order = np.lexsort((expected_level, page))
    begins = np.searchsorted(page[order], page)
    # Pages lie further apart than levels, so one sorted array answers for all of them.
    stride = expected_level.max() + 1 + LEAST_FALL
    key = page * stride + expected_level
    fitting = np.searchsorted(key[order], key - LEAST_FALL) - begins
    neighbour = order[np.minimum(begins + np.floor(draw * fitting).astype(np.int64), len(order) - 1)]
    return np.where(fitting > 0, neighbour, np.arange(len(page)))


def lower_level(level: Tensor, draw: Tensor) -> Tensor:
    """A level below `level`, drawn uniformly from 0 … level − 1; rows at level 0 keep it.

    Args:
        level: [B] int64. draw: [B], uniform in [0, 1).
    """
    return torch.minimum((draw * level).floor().long(), (level - 1).clamp(min=0))


def noise_like(states: Tensor, kind: Noise, scale: float, generator: torch.Generator) -> Tensor:
    """Noise for the text states of a whole batch: [W, S], without gradient.

    Args:
        states: [W, S]. scale: noise as a share of the states' own spread.
        kind: `isotropic` — Gaussian with each unit's mean variance; `covariance` — the difference of two other rows,
            so that noise lies where states lie.
    """
    states = states.detach()
    if kind == "covariance":
        first, second = (torch.randperm(len(states), generator=generator) for _ in range(2))
        return scale * (states[first] - states[second]) / 2**0.5
    spread = states.float().var(0, unbiased=False).mean().sqrt()
    noise = torch.randn(states.shape, generator=generator).to(states)
    return scale * spread.to(states.dtype) * noise


class HardNegatives:
    """Draws the hard negatives of a batch from what is known before the network sees it.

    Args:
        noise: what makes them less relevant. feature_map: of the batch's numbers.
    """

    def __init__(self, noise: Noise, feature_map: FeatureMap) -> None:
        self.noise, self.feature_map = noise, feature_map
        self._of_stage_one = [n for n, name in enumerate(feature_map.numeric_names) if is_stage_one(name)]

    def of(self, batch: Batch, level_prob: np.ndarray, draw: np.ndarray) -> Batch:
        """What a batch of B impressions, whole pages, is given for its hard negatives.

        Args:
            level_prob: [B, K], stage one's. draw: [B], uniform in [0, 1).

        Returns:
            `level_drop` [B], by how many levels each falls (0: it has none), and what to: the label `lowered` [B]; or
            the row of a `neighbour` [B] on the page, and `negative_numeric` [B, F], the numbers that it has then.
        """
        if self.noise != "toward_neighbour":
            lowered = lower_level(batch["level"], torch.from_numpy(draw))
            return {"lowered": lowered, "level_drop": (batch["level"] - lowered).float()}
        expected = level_prob @ np.arange(level_prob.shape[1], dtype=np.float32)
        neighbour = draw_neighbours(expected, batch["page"].numpy(), draw)
        given = batch["numeric"].numpy()
        numeric = never_shown(self.feature_map, given)
        numeric[:, self._of_stage_one] = given[neighbour][:, self._of_stage_one]
        return {
            "neighbour": torch.from_numpy(neighbour),
            "level_drop": torch.from_numpy(expected - expected[neighbour]),
            "negative_numeric": torch.from_numpy(numeric),
        }


def never_shown(feature_map: FeatureMap, numeric: np.ndarray) -> np.ndarray:
    """The network's numbers [n, F] as they were had the query never shown the item, nor one like it to other users."""
    place = {column.name: at for at, column in enumerate(feature_map.numeric)}
    found = numeric.copy()
    for at, column in enumerate(feature_map.numeric):
        if is_of_slice(column.name, OTHERS) and column.std > 0:
            raw = np.clip(unlike_anything(column.name), column.low, column.high)
            found[:, at] = (raw - column.mean) / column.std
    for name, source in NEVER_SHOWN.items():
        changed = feature_map.numeric[place[name]]
        value: np.ndarray | float = 0.0
        if source is not None:
            read = feature_map.numeric[place[source]]
            value = numeric[:, place[source]] * read.std + read.mean
        found[:, place[name]] = (value - changed.mean) / changed.std if changed.std > 0 else 0.0
    return np.clip(found, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def less_relevant(model: RankerModel, context: Context, batch: Batch) -> Context:
    """The context of hard negatives, whose numbers are `negative_numeric` [B, F]: they differ from the batch's in what
    speaks of query and item."""
    names, read = model.config.numeric_names, model.numeric_columns
    columns = [n for n, column in enumerate(read) if _is_of_query_and_item(names[column])]
    counts, negative_counts = context.counts, dict(context.counts)
    if "cross" in counts:
        negative_counts["cross"] = no_counts(len(context.base)).to(counts["cross"])
        numbers = len(model.numeric_encoding.edges)
        columns += range(numbers - SIZE, numbers)  # the others' come last
    now, then = (
        model.numeric_encoding(model.numbers(numeric, soft)[:, columns], columns)
        for numeric, soft in ((batch["numeric"], counts), (batch["negative_numeric"], negative_counts))
    )
    change = functional.linear(then - now, model.first_layer.weight[:, model.numeric_encoding.places(columns)])
    return context._replace(base=context.base + change)


def _is_of_query_and_item(name: str) -> bool:
    return is_stage_one(name) or name in NEVER_SHOWN or is_of_slice(name, OTHERS)


class ExposureBias(nn.Module):
    """Scores a less relevant copy of every exposed impression that has one, and compares.

    Args:
        model: the network; only its stage-one classifier is kept, as a frozen copy, which tells whether a noisy state
            really reads as less relevant.
        weights: noise and margins. seed: rules the noise.
    """

    def __init__(self, model: RankerModel, weights: LossArguments, seed: int) -> None:
        super().__init__()
        self.weights, self.seed = weights, seed
        self.stage_one_classifier = deepcopy(model.encoder.head.classifier).requires_grad_(False)

    def forward(self, model: RankerModel, output: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
        """Args:
            output: of `model.forward` on the batch, which `HardNegatives.of` has completed.

        Returns:
            `debias`, the loss, and `level_fall`, by how many expected levels the states fall (without gradient).
        """
        weights, drop = self.weights, batch["level_drop"]
        state, context = output["state"], output["context"]
        if weights.noise == "toward_neighbour":
            negative_state = state + weights.noise_scale * (state[batch["neighbour"]] - state)
            context, label = less_relevant(model, context, batch), None
        else:
            negative_state = state + self._noise(state, batch)
            label = functional.one_hot(batch["lowered"], model.config.num_levels).to(state.dtype)
        negative = model.score(negative_state, batch, context, attention_level=label)
        loss = debias_loss(output["score"], negative["score"], drop, weights.margin_per_level, weights.margin_max)
        with torch.no_grad():
            before, after = (self._stage_one_level(model.relevance(each)) for each in (state, negative_state))
            fall = before - after
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


def debias_loss(
    score: Tensor, negative_score: Tensor, level_drop: Tensor, margin_per_level: float, margin_max: float
) -> Tensor:
    """Exposure-bias correction: an exposed item must outrank its degraded copy by a margin that grows with the fall.

    Δ = s(x) − s(x⁻), m = min(m₁ · (l − l⁻), m_max), w = sg[clamp(1 − Δ/m, 0, 1)], mean of w · max(0, m − Δ).
    The weight w fades satisfied pairs out (dynamic truncation); the gradient flows through both scores, since with
    s(x) detached the negatives run away and every prediction goes to zero. [P: pairwise loss on noise-made negatives;
    O: its form]

    Args:
        score, negative_score: [B] fused logits of x and x⁻.
        level_drop: [B], l − l⁻ ≥ 0. Rows with 0 take no part; with no row left the loss is 0.
    """
    takes_part = level_drop > 0
    margin = (margin_per_level * level_drop.float()).masked_fill(~takes_part, margin_max).clamp(max=margin_max)
    gap = score.float() - negative_score.float()
    weight = (1 - gap.detach() / margin).clamp(0, 1)
    rank = weight * functional.relu(margin - gap)
    return batch_mean(rank, takes_part.float())
