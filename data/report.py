"""What a data set holds, in numbers: written to `summary.json` after a build, printed whenever `make data` ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import (
    EVALUATED_SPLITS,
    IMPRESSION_SPLITS,
    OPTIONAL,
    PAIR_SPLITS,
    SCHEMAS,
    has_table,
    levels,
    read_table,
    table_path,
)
from prectr.data.next_command import show_next
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
    names = levels(folder)
    summary: dict[str, Any] = {
        "reconstructed": reconstructed,
        "rows": {
            name: pq.read_metadata(table_path(folder, name)).num_rows for name in SCHEMAS if has_table(folder, name)
        },
        "levels": names,
        "text_twin_rate": _text_twin_rate(folder),
        "pairs": _pairs(folder, len(names)),
    }
    if has_table(folder, "impressions"):
        summary |= {
            "impressions": _impressions(folder, len(names), level_mix or {}),
            "behaviours": _behaviours(folder),
            "cross_user_coverage": _cross_user_coverage(folder),
            "mean_shift": _mean_shift(folder),
        }
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


def _text_twin_rate(folder: Path) -> float:
    counts = read_table(folder, "items", ["text"])["text"].value_counts().field("counts").to_numpy()
    return float(counts[counts > 1].sum() / counts.sum())


def _impressions(folder: Path, num_levels: int, level_mix: Mapping[str, list[float]]) -> dict[str, Any]:
    rows = read_table(folder, "impressions", ["page_id", "user_id", "query", "item_id", "clicked", "split"])
    judged = rows.filter(pc.is_in(rows["split"], pa.array(EVALUATED_SPLITS)))
    if has_table(folder, "gold"):
        judged = judged.join(read_table(folder, "gold"), ["query", "item_id"], join_type="left outer")
    found = {}
    for split in IMPRESSION_SPLITS:
        part = rows.filter(pc.equal(rows["split"], split))
        found[split] = {
            **_distinct(part, {"pages": "page_id", "users": "user_id", "queries": "query"}),
            "rows": part.num_rows,
            "ctr": pc.mean(part["clicked"]).as_py(),
            "level_mix": level_mix.get(split)
            or _level_mix(judged.filter(pc.equal(judged["split"], split)), num_levels),
        }
    return found


def _pairs(folder: Path, num_levels: int) -> dict[str, Any]:
    rows = read_table(folder, "pairs")
    rows = rows.append_column("item", pc.coalesce(rows["item_id"], rows["item_text"]))
    found = {}
    for split in PAIR_SPLITS:
        part = rows.filter(pc.equal(rows["split"], split))
        found[split] = {
            **_distinct(part, {"queries": "query", "items": "item"}),
            "rows": part.num_rows,
            "level_mix": _level_mix(part, num_levels),
        }
    return found


def _behaviours(folder: Path) -> dict[str, Any]:
    rows = read_table(folder, "behaviours", ["user_id", "query", "item_id", "page_id", "clicked"])
    searches = rows.filter(rows["query"].is_valid())
    return {
        **_distinct(searches, {"pages": "page_id", "users": "user_id", "queries": "query"}),
        "rows": searches.num_rows,
        "purchase_rows": rows.num_rows - searches.num_rows,
        "ctr": pc.mean(searches["clicked"]).as_py(),
        "query_item_pairs": searches.group_by(["query", "item_id"]).aggregate([]).num_rows,
    }


def _distinct(rows: pa.Table, columns: dict[str, str]) -> dict[str, int]:
    return {name: pc.count_distinct(rows[column]).as_py() for name, column in columns.items()}


def _level_mix(rows: pa.Table, num_levels: int) -> list[float] | None:
    """Share of each level among the rows that have one; None if none has."""
    if "level" not in rows.column_names or rows["level"].null_count == rows.num_rows:
        return None
    level = rows["level"].drop_null().to_numpy()
    return (np.bincount(level, minlength=num_levels) / len(level)).tolist()


def _cross_user_coverage(folder: Path) -> dict[str, dict[str, float | None]]:
    """Share of test impressions whose query, or category, other users have searched before, at least so many times."""
    names = ["user_id", "query", "query_category", "page_id", "timestamp"]
    behaviours = read_table(folder, "behaviours", names)
    searched = behaviours.filter(behaviours["page_id"].is_valid()).group_by(names).aggregate([])
    impressions = read_table(folder, "impressions", [*names, "split"])
    asked = impressions.filter(pc.equal(impressions["split"], "test")).group_by(names).aggregate([("split", "count")])
    impressions_of_page = asked["split_count"].to_numpy()
    both = pa.concat_tables([searched, asked.select(names)])
    seconds = both["timestamp"].cast(pa.int64()).to_numpy()
    user = _codes(both["user_id"])
    # Two events without a user are of two users, as far as anyone knows.
    user[user < 0] = user.max(initial=0) + 1 + np.arange((user < 0).sum())

    coverage: dict[str, dict[str, float | None]] = {}
    for label, column in (("query", "query"), ("category", "query_category")):
        key = _codes(both[column])
        earlier = _count_earlier(key, seconds, searched.num_rows)
        earlier -= _count_earlier(key * (user.max(initial=0) + 1) + user, seconds, searched.num_rows)
        earlier[key[searched.num_rows :] < 0] = 0
        coverage[label] = {
            str(depth): float(np.average(earlier >= depth, weights=impressions_of_page)) if len(earlier) else None
            for depth in DEPTHS
        }
    return coverage


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """[rows] int64: equal exactly where the values are; -1 where there is none."""
    indices = column.combine_chunks().dictionary_encode().indices
    return pc.fill_null(indices, -1).to_numpy().astype(np.int64)


def _count_earlier(key: np.ndarray, seconds: np.ndarray, num_events: int) -> np.ndarray:
    """For each row from `num_events` on: how many of the rows before have its key and are strictly earlier."""
    key = np.unique(key, return_inverse=True)[1]
    clock = np.unique(seconds, return_inverse=True)[1]
    joint = key.astype(np.int64) * (clock.max(initial=0) + 1) + clock
    events = np.sort(joint[:num_events])
    first_of_key = key.astype(np.int64) * (clock.max(initial=0) + 1)
    return np.searchsorted(events, joint[num_events:]) - np.searchsorted(events, first_of_key[num_events:])


def _mean_shift(folder: Path) -> dict[str, dict[str, float]]:
    """Means of every numeric feature of context and item in train and test, and the shift in train's deviations."""
    split = read_table(folder, "impressions", ["split"])["split"]
    train, test = (pc.equal(split, name).to_numpy() for name in ("train", "test"))
    found = {}
    for name, values in _numeric_features(folder):
        before, after, spread = values[train].mean(), values[test].mean(), values[train].std()
        shift = float((after - before) / spread) if spread > 0 else 0.0
        found[name] = {"train": float(before), "test": float(after), "shift": shift}
    return found if train.any() and test.any() else {}


def _numeric_features(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for name in pq.read_schema(table_path(folder, "impressions")).names:
        if name.startswith("ctx_num_"):
            yield name, read_table(folder, "impressions", [name])[name].to_numpy().astype(np.float64)
    items = read_table(folder, "items")
    shown = read_table(folder, "impressions", ["item_id"])["item_id"]
    row = pc.index_in(shown, items["item_id"].combine_chunks()).to_numpy()
    for name in items.column_names:
        if name.startswith("num_"):
            yield name, items[name].to_numpy().astype(np.float64)[row]
