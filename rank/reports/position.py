"""The figure of clicks by place on the page, and what follows from it."""

from collections.abc import Mapping
from typing import Any

from prectr.rank.reports.charts import Series, line_chart
from prectr.rank.reports.figures import Figure, Table, told
from prectr.rank.reports.paired_table import signed
from prectr.rank.reports.terminal import POSITION_BIAS


def position_figure(metrics: Mapping[str, Any], learnt: bool) -> Figure | None:
    """Click-through rate by place beside the predicted one; None where places are not known.

    Args:
        learnt: whether the training had `position_debias` on.
    """
    found = metrics.get("position")
    if not found:
        return None
    series = [
        Series(name, found[key], x=found["place"])
        for name, key in (("observed", "ctr"), ("predicted, the place unknown", "predicted"))
    ]
    title = "Click-through rate by place on the page"
    rows = [
        [f"{place}", told(ctr), told(predicted), f"{shown:,}"]
        for place, ctr, predicted, shown in zip(
            found["place"], found["ctr"], found["predicted"], found["shown"], strict=True
        )
    ]
    return Figure(
        title,
        "The ranker does not know the place: where the observed line lies above the predicted one in the first places "
        "and below it in the last ones, the place itself is clicked.",
        {title: line_chart(title, series, "place on the page, 1 the first", "click-through rate")},
        Table(title, ["place", "observed", "predicted", "impressions"], rows),
        [line for line in (_advice(found, learnt), gain_of(metrics)) if line],
    )


def _advice(found: Mapping[str, Any], learnt: bool) -> str:
    bend = f"bend {signed(found['bend'], found['ci95'])}, in log observed ÷ predicted, first half − second half"
    if learnt:
        return f"position_debias is on, so the scores leave the place out and a bend is what it took away ({bend})."
    if found["recommended"]:
        return f"{POSITION_BIAS} Recommended: position_debias: true ({bend})."
    if found["ci95"] is None:
        return f"Too few users or clicks to say whether the place itself is clicked ({bend})."
    return f"What stands there explains how clicks fall: position_debias is not needed ({bend})."


def gain_of(metrics: Mapping[str, Any]) -> str:
    """What the position tells LightGBM, in a sentence or two; empty where it was not measured."""
    gain = metrics.get("position_gain")
    if gain is None:
        return ""
    return (
        f"Position gain {gain:+.4f}: AUC that LightGBM gains from seeing the place. Where it is large and clicks bend "
        "as above, that is position bias; where it is large and they do not, the order of the pages knows the clicks: "
        "a leak."
    )
