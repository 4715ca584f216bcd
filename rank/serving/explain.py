"""What each part of the ranker contributed to the scores of one page.

Per candidate: π, P(click | level), the incentive τ, the share α of the user's own history in the preference vector,
which past events the attention looked at, and which inputs of the base module moved the score. Attention weights are
those of the forward pass that gave the scores. An input's part is found by occlusion: the change of the final logit
when it is set to its training mean, all else as it is [O]; parts of correlated inputs do not add up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prectr.rank.features.compute import Feature
from prectr.rank.history.log import DAY
from prectr.rank.inputs.batch import Batch, Kind, page_batch, to_device
from prectr.rank.model.ranker_model import RankerModel, TextVectors
from prectr.rank.model.soft_counts import no_counts
from prectr.rank.serving.scorer import Scorer
from prectr.rank.serving.why import why

KINDS = {"user": "r_user: the user's own past", "cross": "r_cross: other users, events of"}
CROSS_FROM = ("the query", "the query and its category", "nothing")


def explain_page(
    scorer: Scorer, page: pa.Table, gold: pa.Table | None, top_events: int, top_features: int
) -> dict[str, Any]:
    """What went into the scores of one page, as JSON values.

    Args:
        page: the rows of one page, as in the contract's impressions. gold: the contract's table, or None.

    Returns:
        The page's `query`, `user_id`, `timestamp`, `history` (events per kind), `cross_from` (how far r_cross backed
        off), `why` the first is above the second, in a sentence, `looked_at` (as of a candidate, but the mean over all)
        and `candidates`, best first. Of each: `item_id`, `text`, `clicked`, `gold_level`, `expected_level`,
        `level_prob` [K], `p_click_given_level` [K], `p_click`, `tau`, `alpha`, `looked_at` (per kind: the null event's
        weight and the most attended events) and `occlusion` (logits, by group and by single input).
    """
    shop, raw, prepared = scorer.prepare(page)
    model = scorer.ranker.model
    predictor = scorer.predictor(shop)
    with torch.inference_mode(), predictor.autocast():
        states, place = predictor.states(prepared)
        batch = page_batch(prepared, np.arange(1), prepared.page_bounds(), scorer.events)
        batch = to_device(batch, predictor.device)
        vectors = predictor.text_vectors(batch)
        state = model.state(states[torch.from_numpy(place).to(predictor.device)], vectors)
        with watched_preference(model) as seen:
            output = model.score(state, batch, model.context(batch, vectors))
        parts = _occlusion(model, state, batch, vectors, output["score"], raw.features.features)
    level_prob = torch.softmax(output["level_logits"].float(), -1).cpu().numpy()
    p_click = torch.sigmoid(output["score"].double()).cpu().numpy()
    given_level = torch.sigmoid(output["click_logits"].float()).cpu().numpy()
    rows = {"user": prepared.user_rows[0], "cross": prepared.cross_rows[0]}
    texts = dict(zip(shop.items["item_id"].to_pylist(), shop.items["text"].to_pylist(), strict=True))
    gold_level = _gold_levels(gold, page["query"][0].as_py())
    groups, singles = parts
    seconds = raw.seconds[0]
    candidates = []
    for row in np.argsort(-p_click, kind="stable").tolist():
        item_id = raw.impressions["item_id"][row].as_py()
        top = sorted(singles, key=lambda name: -abs(singles[name][row]))[:top_features]
        candidates.append(
            {
                "item_id": item_id,
                "text": texts[item_id],
                "clicked": bool(prepared.clicked[row]),
                "gold_level": gold_level.get(item_id),
                "expected_level": float(level_prob[row] @ np.arange(level_prob.shape[1])),
                "level_prob": level_prob[row].tolist(),
                "p_click_given_level": given_level[row].tolist(),
                "p_click": float(p_click[row]),
                "tau": float(output["tau"][row]),
                "alpha": float(seen["alpha"][row]) if "alpha" in seen else None,
                "looked_at": {
                    kind: _looked_at(scorer, seen[kind][row].float().cpu().numpy(), rows[kind], seconds, top_events)
                    for kind in KINDS
                    if kind in seen
                },
                "occlusion": {
                    "groups": {name: float(values[row]) for name, values in groups.items()},
                    "inputs": {name: float(singles[name][row]) for name in top},
                },
            }
        )
    return {
        "page": page["page_id"][0].as_py(),
        "split": page["split"][0].as_py(),
        "query": page["query"][0].as_py(),
        "user_id": page["user_id"][0].as_py(),
        "timestamp": page["timestamp"][0].as_py().isoformat(),
        "history": {kind: int((rows[kind] >= 0).sum()) for kind in KINDS if kind in seen},
        "cross_from": CROSS_FROM[int(prepared.cross_depth[0])] if "cross" in seen else None,
        "level_names": scorer.ranker.level_names,
        "why": why(candidates),
        "looked_at": {
            kind: _looked_at(scorer, seen[kind].float().mean(0).cpu().numpy(), rows[kind], seconds, top_events)
            for kind in KINDS
            if kind in seen
        },
        "candidates": candidates,
    }


def without_a_page(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a page that nobody was shown: it has no number, and nobody clicked or passed over."""
    candidates = [{**each, "clicked": None} for each in facts["candidates"]]
    return {**facts, "page": None, "split": None, "candidates": candidates}


class _Softmaxes(TorchFunctionMode):
    """Keeps the result of every softmax taken while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "softmax":
            self.results.append(result)
        return result


@contextmanager
def watched_preference(model: RankerModel) -> Iterator[dict[str, Tensor]]:
    """Within the block, what the preference modules did in the latest forward pass; the model itself is unchanged.

    Yields:
        A mapping that a forward pass fills: `user` and `cross`, attention weights [B, 1 + H] averaged over heads, the
        null event first; `alpha` [B], the share of the user's own history. A part that is switched off is absent.
    """
    seen: dict[str, Tensor] = {}
    handles = []

    def watch(kind: str, module: nn.Module) -> None:
        softmaxes: list[_Softmaxes] = []

        def before(*_: Any) -> None:
            softmaxes.append(_Softmaxes())
            softmaxes[-1].__enter__()

        def after(*_: Any) -> None:
            mode = softmaxes.pop()
            mode.__exit__(None, None, None)
            (weight,) = mode.results
            seen[kind] = weight.mean(1)

        handles.extend([module.register_forward_pre_hook(before), module.register_forward_hook(after)])

    for kind in KINDS:
        if hasattr(model, f"{kind}_attention"):
            watch(kind, getattr(model, f"{kind}_attention"))
    if hasattr(model, "preference_mix"):
        mix = model.preference_mix

        def alpha(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> None:
            seen["alpha"] = mix.alpha(*inputs[2:])

        handles.append(mix.register_forward_hook(alpha))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _looked_at(scorer: Scorer, weight: np.ndarray, rows: np.ndarray, seconds: int, top: int) -> dict[str, Any]:
    """The null event's weight and the most attended events; `weight` [1 + H], `rows` [H] of the log."""
    log, levels = scorer.log, np.arange(scorer.log.num_levels)
    events = []
    for place in np.argsort(-weight[1:], kind="stable")[:top].tolist():
        row = int(rows[place])
        if row < 0:
            continue
        item_id = log.items[int(log.item[row])].as_py()
        text = scorer.items["text"][pc.index(scorer.items["item_id"], item_id).as_py()].as_py()
        searched = log.query[row] >= 0
        events.append(
            {
                "weight": float(weight[1 + place]),
                "item_id": item_id,
                "text": text,
                "query": log.queries[int(log.query[row])].as_py() if searched else None,
                "clicked": bool(log.clicked[row]),
                "days_ago": float((seconds - log.seconds[row]) / DAY),
                "level": float(log.level_prob[row].astype(np.float32) @ levels) if searched else None,
            }
        )
    return {"nothing": float(weight[0]), "events": events}


def _occlusion(
    model: RankerModel,
    state: Tensor,
    batch: Batch,
    vectors: TextVectors | None,
    score: Tensor,
    features: tuple[Feature, ...],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Logits [B] that each group of numbers, and each single one, adds over its training mean (which is 0), and soft
    counts over those of candidates that no past event is like."""

    def added(changed: Batch, counts: dict[Kind, Tensor] | None = None) -> np.ndarray:
        other = model.score(state, changed, model.context(changed, vectors, counts))["score"]
        return (score - other).float().cpu().numpy()

    def part(columns: list[int]) -> np.ndarray:
        numeric = batch["numeric"].clone()
        numeric[:, columns] = 0.0
        return added({**batch, "numeric": numeric})

    read = set(model.numeric_columns)
    by_source: dict[str, list[int]] = {}
    for column, feature in enumerate(features):
        if column in read:
            by_source.setdefault(feature.source, []).append(column)
    groups = {source: part(columns) for source, columns in by_source.items()}
    counts = model.context(batch, vectors).counts
    for kind, found in counts.items():
        groups[f"{kind} texts"] = added(batch, {**counts, kind: no_counts(len(found)).to(found)})
    nothing = np.zeros(len(score), np.float32)
    singles = {feature.name: part([column]) if column in read else nothing for column, feature in enumerate(features)}
    return groups, singles


def _gold_levels(gold: pa.Table | None, query: str) -> dict[str, int]:
    if gold is None:
        return {}
    rows = gold.filter(pc.field("query") == query)
    return dict(zip(rows["item_id"].to_pylist(), rows["level"].to_pylist(), strict=True))
