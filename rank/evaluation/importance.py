"""What the ranker reads its order off: each part's values are dealt to other impressions, and the loss is measured.

Permutation importance (Breiman 2001, "Random Forests", section 10; Fisher et al. 2019) of whole groups, since of
columns that say nearly the same each alone seems worth nothing. The same pages are scored as they are and with one
group dealt anew, by the code that scores every set. [O]

Parts that share what they say stand in for each other, so the losses do not add up.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from prectr.rank.evaluation.protocol import Judged
from prectr.rank.features.groups import OTHERS, USER, is_of_slice, is_stage_one
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.batch import Kind
from prectr.rank.inputs.page_sample import sample_pages
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.ranker_model import RankerConfig
from prectr.shared import metrics
from prectr.shared.seeds import generator

MOST_IMPRESSIONS = 3_000
"""Impressions that are scored for every part: whole pages, drawn with the seed."""

TEXTS, LEVELS = "texts of query and item", "stage one's levels, as numbers"
USER_CLICKS, USER_SLICE = "user's past: clicks on its like", "user's past: exact matches"
OTHERS_SLICE, POPULARITY = "others' past: exact matches", "others' past: popularity"
PRICES, ATTRIBUTES, CONTEXT = "prices and other numbers", "the item's attributes", "the page's context"
PASTS: dict[Kind, tuple[str, tuple[str, ...]]] = {
    "user": ("user's past: attention", (USER_CLICKS, USER_SLICE)),
    "cross": ("others' past: attention", (OTHERS_SLICE, POPULARITY)),
}
WITHIN, PAGES, ALL = "within the page", "across pages", "across impressions"

Dealt = Callable[[PreparedSet, np.random.Generator], PreparedSet]
"""A sample of pages with one part's values dealt to others."""


def importance(
    predictor: Predictor,
    prepared: PreparedSet,
    judged: Judged,
    batch: int,
    resamples: int,
    seed: int,
    most: int = MOST_IMPRESSIONS,
) -> dict[str, Any]:
    """How much worse the ranker orders without what each part says.

    Args:
        prepared, judged: of the test pages. batch: impressions scored at once. most: impressions sampled.

    Returns:
        `pages` and `impressions` of the sample, and `parts`: of each `dealt` (`within the page`, `across pages` or
        `across impressions`) and `auc` and `gauc_page`, each `loss` with `ci95`, paired over users; None where it is
        undefined.
    """
    rows, sample = sample_pages(prepared, most, seed)
    part = judged.where(rows)
    whole = _measures(part, predictor.predict(sample, batch)["p_click"])
    found = {}
    for name, (dealt, deal) in parts_of(predictor.model.config).items():
        changed = deal(sample, generator(seed, "importance", name))
        without = _measures(part, predictor.predict(changed, batch)["p_click"])
        losses = {key: _loss(part, whole[key], without[key], resamples, seed) for key in whole}
        found[name] = {"dealt": dealt, **losses}
    return {"pages": sample.num_pages, "impressions": len(rows), "parts": found}


def parts_of(config: RankerConfig) -> dict[str, tuple[str, Dealt]]:
    """Every part that this network reads: among whom its values are dealt, and how."""
    columns: dict[str, list[int]] = {}
    for column in config.numeric_columns:
        columns.setdefault(_group(config.numeric_names[column]), []).append(column)
    found: dict[str, tuple[str, Dealt]] = {TEXTS: (WITHIN, _deal_texts)}
    for kind, (attention, counted) in PASTS.items():
        if kind in config.preferences:
            events = partial(_deal_events, kind=kind)
            found[attention] = (PAGES, events)
            of_kind = [column for group in counted for column in columns.get(group, [])]
            found[f"all of {attention.partition(':')[0]}"] = (ALL, partial(_deal_past, events=events, columns=of_kind))
    for group, chosen in columns.items():
        found[group] = (ALL, partial(_deal_columns, field="numeric", columns=chosen))
    of_item = set(config.item_columns)
    others = set(range(len(config.categorical_names))) - of_item
    for group, categorical in ((ATTRIBUTES, of_item), (CONTEXT, others)):
        if categorical:
            found[group] = (ALL, partial(_deal_columns, field="categorical", columns=sorted(categorical)))
    return found


def _group(name: str) -> str:
    """The group of a number, by its name."""
    if is_of_slice(name, USER):
        return USER_SLICE
    if is_of_slice(name, OTHERS):
        return OTHERS_SLICE
    if name.startswith("user_"):
        return USER_CLICKS
    if is_stage_one(name):
        return LEVELS
    return PRICES if name.startswith(("num_", "ctx_num_", "page_")) else POPULARITY


def _deal_texts(sample: PreparedSet, draw: np.random.Generator) -> PreparedSet:
    """Each candidate with the text of another one of its page: its level and its text vector are that one's."""
    order = np.lexsort((draw.random(len(sample)), sample.page))
    return replace(sample, item_text=sample.item_text[order])


def _deal_events(sample: PreparedSet, draw: np.random.Generator, kind: Kind) -> PreparedSet:
    """Each page with the past events that another one sees: what attention and soft counts read."""
    order = draw.permutation(sample.num_pages)
    if kind == "user":
        return replace(sample, user_rows=sample.user_rows[order])
    return replace(sample, cross_rows=sample.cross_rows[order], cross_depth=sample.cross_depth[order])


def _deal_columns(sample: PreparedSet, draw: np.random.Generator, field: str, columns: list[int]) -> PreparedSet:
    """Each impression with these columns of another one, all of the same."""
    values = getattr(sample, field).copy()
    values[:, columns] = values[draw.permutation(len(values))][:, columns]
    return replace(sample, **{field: values})


def _deal_past(sample: PreparedSet, draw: np.random.Generator, events: Dealt, columns: list[int]) -> PreparedSet:
    """Past events and what is counted of them."""
    return _deal_columns(events(sample, draw), draw, "numeric", columns)


def _measures(judged: Judged, probability: np.ndarray) -> dict[str, metrics.WeightedMetric]:
    return {
        "auc": judged.weighted(metrics.auc_of_weights(judged.clicked, probability)),
        "gauc_page": metrics.gauc_of_weights(judged.clicked, probability, judged.page),
    }


def _loss(
    judged: Judged, whole: metrics.WeightedMetric, without: metrics.WeightedMetric, resamples: int, seed: int
) -> dict[str, Any]:
    def loss(drawn: np.ndarray) -> float | None:
        before, after = whole(drawn), without(drawn)
        return None if before is None or after is None else before - after

    interval = metrics.user_bootstrap(judged.user, loss, resamples=resamples, seed=seed)
    return {"loss": loss(np.ones(len(judged.clicked))), "ci95": None if interval is None else list(interval)}
