"""Training that goes on from a trained ranker: its weights, new days. [O]

Its feature map is kept too (rank/features/kept_map.py). Where a map with other vocabularies is wanted all the same,
`carry_over` moves each embedding to where its value is now, and a new value begins as the unknown one.
"""

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.feature_map import UNKNOWN, CategoricalColumn, FeatureMap
from prectr.rank.features.kept_map import require_same_columns
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.model.trained import TrainedRanker
from prectr.shared.errors import PrectrError


def carry_over(model: RankerModel, feature_map: FeatureMap, source: TrainedRanker) -> dict[str, float]:
    """Overwrite all weights of `model`, which `feature_map` will feed, with those of `source`.

    Returns:
        Of each categorical, the share of its vocabulary whose embedding was carried over.

    Raises:
        PrectrError: other columns, numbers in other units, or a network of other parts or sizes.
    """
    theirs = source.feature_map
    require_same_columns("number", feature_map.numeric_names, theirs.numeric_names)
    require_same_columns("categorical", feature_map.categorical_names, theirs.categorical_names)
    if (feature_map.numeric, feature_map.event_types) != (theirs.numeric, theirs.event_types):
        raise PrectrError(
            "warm start: the numbers are standardised, or the events told apart, otherwise than the ranker's: build "
            "the features with its feature map."
        )
    ours, state = model.state_dict(), source.model.state_dict()
    carried = {}
    for place, (now, then) in enumerate(zip(feature_map.categorical, theirs.categorical, strict=True)):
        name = f"embeddings.{place}.weight"
        state[name], carried[now.name] = _embeddings(state[name], now, then)
    for name in sorted(ours.keys() | state.keys()):
        if name not in ours or name not in state or ours[name].shape != state[name].shape:
            raise PrectrError(f"warm start: {_difference(model.config, source.model.config, name)}.")
    model.load_state_dict(state)
    return carried


def _embeddings(weight: Tensor, now: CategoricalColumn, then: CategoricalColumn) -> tuple[Tensor, float]:
    place = {value: index for index, value in enumerate(then.vocabulary, start=1)}
    known = [place.get(value, UNKNOWN) for value in now.vocabulary]
    # A bucket means the same only among as many.
    first = 1 + len(then.vocabulary) if now.buckets == then.buckets else None
    buckets = [UNKNOWN if first is None else first + bucket for bucket in range(now.buckets)]
    carried = float(np.mean(np.array(known) != UNKNOWN)) if known else 1.0
    return weight[torch.tensor([UNKNOWN, *known, *buckets])], carried


def _difference(now: Any, then: Any, tensor: str) -> str:
    """What makes two networks differ, as far as their settings tell."""
    described = ("numeric_names", "categorical_names", "cardinalities", "item_columns", "num_levels")
    for setting in (item.name for item in fields(now) if item.name not in described):
        if getattr(now, setting) != getattr(then, setting):
            return f"{setting} is {getattr(now, setting)} here and {getattr(then, setting)} in the ranker; use the same"
    return f"{tensor} has another shape than the ranker's; start from the encoder that the ranker was trained from"
