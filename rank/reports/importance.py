"""The figure of what the ranker's order rests on."""

from collections.abc import Mapping
from typing import Any

from prectr.rank.reports.charts import Series, dot_plot
from prectr.rank.reports.figures import Figure, Table
from prectr.rank.reports.paired_table import signed

MEASURES = {"auc": "Loss of AUC", "gauc_page": "Loss of AUC within the page"}


def importance_figure(metrics: Mapping[str, Any]) -> Figure | None:
    """Loss per part, the largest first; None where none was measured."""
    found = metrics.get("importance")
    if not found:
        return None
    parts = sorted(found["parts"].items(), key=lambda part: -(part[1]["auc"]["loss"] or 0.0))
    names = [name for name, _ in parts]
    charts = {
        title: dot_plot(
            title,
            names,
            [Series(title, [part[key]["loss"] for _, part in parts], [part[key]["ci95"] for _, part in parts])],
            title.lower().replace("auc", "AUC"),
            reference=0.0,
            width=480,
        )
        for key, title in MEASURES.items()
    }
    rows = [
        [name, part["dealt"], *(signed(part[key]["loss"], part[key]["ci95"]) for key in MEASURES)]
        for name, part in parts
    ]
    return Figure(
        "Importance of each part",
        "Each row is a part of the inputs whose values were dealt to other impressions: the further right, the more "
        "the order rests on it, and where a whisker, the paired 95 % interval over users, reaches 0 it may not matter; "
        "parts that say the same stand in for each other, so losses do not add up.",
        charts,
        Table("Importance by permutation", ["part", "dealt", *MEASURES.values()], rows),
        [f"Measured on {found['pages']:,} test pages, {found['impressions']:,} impressions, drawn with the seed."],
    )
