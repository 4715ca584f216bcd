"""What a data set holds, in numbers: written to `summary.json` after a build, printed whenever `make data` ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prectr.data.contract import OPTIONAL
from prectr.data.next_command import show_next
from prectr.data.summary import figures
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console, table
from prectr.shared.run.schema import read_json

SUMMARY = "summary.json"
DEPTHS = (1, 5, 20)


def write_summary(
    folder: Path, level_mix: Mapping[str, list[float]] | None = None, reconstructed: str = ""
) -> dict[str, Any]:
    """Compute the summary from the tables and write it as `summary.json`.

    Args:
        level_mix: share of each gold level by impression split, from a builder that knows it; the tables tell it only
            of the splits that `gold` covers.
        reconstructed: a sentence on what was not observed, shown with every figure made from these tables, by stage two
            too.
    """
    summary = {"reconstructed": reconstructed, **figures(folder, level_mix or {}, DEPTHS)}
    with atomic_write(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def show(folder: Path) -> None:
    """Print the summary of a built data set."""
    path = Path(folder) / SUMMARY
    if not path.is_file():
        raise PrectrError(f"{path} is missing: build the data set with `make data`.")
    summary = read_json(path)
    names = summary["levels"]
    level_columns = [f"level {level}" for level in range(len(names))]
    legend = "Levels: " + " · ".join(f"{level} {name}" for level, name in enumerate(names)) + "."
    table("Tables", ["table", "rows"], summary["rows"].items(), _notes(summary))

    converted = "conversion" in summary
    made = "" if converted else " (reconstructed)"
    rows = [
        [split, of["rows"], of["queries"], of["items"], *(of["level_mix"] or [None] * len(names))]
        for split, of in summary["pairs"].items()
    ]
    title = "Pairs" if converted else "Pairs (queries and levels reconstructed)"
    table(title, ["split", "rows", "queries", "items", *level_columns], rows, legend)
    if "impressions" in summary:
        _show_clicks(summary, level_columns, legend, made)
    console.print(f"Data: {folder}", highlight=False, soft_wrap=True)
    gold, rows = summary["pairs"]["train"]["rows"], summary["rows"]
    show_next(Path(folder).parent.name, gold, rows["pairs"], rows.get("impressions", 0))


def _show_clicks(summary: dict[str, Any], level_columns: list[str], legend: str, made: str) -> None:
    """The tables of what only a data set with clicks has; `made` follows what a builder made up."""
    keys = ("pages", "rows", "users", "queries", "ctr")
    found = {**summary["impressions"], "behaviours": summary["behaviours"]}
    rows = [[split, *(of[key] for key in keys)] for split, of in found.items()]
    columns = ["split", *keys[:-1], "CTR"]
    table("Impressions, and the behaviours with a query", columns, rows, summary["reconstructed"] or None)
    rows = [[split, *(of["level_mix"] or [None] * len(level_columns))] for split, of in summary["impressions"].items()]
    if any(of["level_mix"] for of in summary["impressions"].values()):
        table(f"Level mix of the impressions{made}", ["split", *level_columns], rows, legend)
    rows = [
        [f"same {key}", *(of[str(depth)] for depth in DEPTHS)] for key, of in summary["cross_user_coverage"].items()
    ]
    caption = f"Share of test impressions with so many earlier searches of other users{made}."
    table("Cross-user coverage by back-off depth", ["depth", *(f"≥ {depth}" for depth in DEPTHS)], rows, caption)
    if summary["mean_shift"]:
        rows = [[name, of["train"], of["test"], of["shift"]] for name, of in summary["mean_shift"].items()]
        table("Numeric features, train to test", ["feature", "train mean", "test mean", "shift (SDs)"], rows)


def _notes(summary: dict[str, Any]) -> str:
    twins = f"{summary['text_twin_rate']:.1%} of the items share their text with another."
    missing = [name for name in sorted(OPTIONAL) if name not in summary["rows"]]
    return twins + (f" Optional tables not there: {', '.join(missing)}." if missing else "")
