"""Training that goes on from a trained ranker: its weights and its feature map, new days. [O]

The feature map is kept as it is, so that every number keeps its unit and every value its embedding; ids that are not in
its vocabularies stay unknown until a ranker is trained afresh. Where a map with other vocabularies is wanted all the
same, `carry_over` moves each embedding to where its value is now, and a new value begins as the unknown one.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prectr.rank.features.feature_map import UNKNOWN, CategoricalColumn, FeatureMap
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.serving.ranker import Ranker
from prectr.shared.errors import PrectrError


def kept_feature_map(source: Ranker, fitted: FeatureMap, level_names: Sequence[str]) -> FeatureMap:
    """The feature map of `source`, once it is seen to fit the new days.

    Args:
        fitted: what would be fitted on the new days. level_names: those of the new days' data set.

    Raises:
        PrectrError: other numbers, other categorical columns or other levels.
    """
    if list(level_names) != source.level_names:
        raise PrectrError(
            f"warm start: the levels here are {', '.join(level_names)}, the ranker's {', '.join(source.level_names)}: "
            "train one from the beginning."
        )
    _same_columns("number", fitted.numeric_names, source.feature_map.numeric_names)
    _same_columns("categorical", fitted.categorical_names, source.feature_map.categorical_names)
    return source.feature_map


def carry_over(model: RankerModel, feature_map: FeatureMap, source: Ranker) -> dict[str, float]:
    """Overwrite all weights of `model`, which `feature_map` will feed, with those of `source`.

    Returns:
        Of each categorical, the share of its vocabulary whose embedding was carried over.

    Raises:
        PrectrError: other columns, numbers in other units, or a network of other parts or sizes.
    """
    theirs = source.feature_map
    _same_columns("number", feature_map.numeric_names, theirs.numeric_names)
    _same_columns("categorical", feature_map.categorical_names, theirs.categorical_names)
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


def _same_columns(kind: str, now: Sequence[str], then: Sequence[str]) -> None:
    if list(now) == list(then):
        return
    new, gone = ([name for name in one if name not in other] for one, other in ((now, then), (then, now)))
    found = f"{new[0]!r} is new" if new else f"{gone[0]!r} is missing" if gone else "their order is another"
    raise PrectrError(f"warm start: the {kind} columns are not the ranker's, {found}: train one from the beginning.")


def _difference(now: Any, then: Any, tensor: str) -> str:
    """What makes two networks differ, as far as their settings tell."""
    described = ("numeric_names", "categorical_names", "cardinalities", "item_columns", "num_levels")
    for setting in (item.name for item in fields(now) if item.name not in described):
        if getattr(now, setting) != getattr(then, setting):
            return f"{setting} is {getattr(now, setting)} here and {getattr(then, setting)} in the ranker; use the same"
    return f"{tensor} has another shape than the ranker's; start from the encoder that the ranker was trained from"
