"""What a ranker was trained with: its data, its settings, its size and speed, and which of its parts did nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.config import ARGUMENTS
from prectr.rank.evaluation.protocol import CROSS_SLICES
from prectr.rank.reports.figures import LOSS_PARTS, Table
from prectr.shared.run.steps import RECORD, read_record

STEPS = ("features", "trained", "ranker")
"""Folders whose records say by which settings they were made."""

WEIGHTS = {"relevance": "relevance_weight", "consistency": "consistency_weight", "debias": "debias_weight"}
LEAST_SHARE = 0.001
"""A loss that is less than this of the whole, by its weight, moves nothing to speak of."""

SWITCHES = {
    "user_preference": "attention over the user's own past",
    "cross_preference": "attention over other users' past",
    "soft_counts": "soft counts",
    "text_vectors": "text vectors",
    "exact_match": "exact matches",
    "stage_one_features": "features made of stage one's levels",
    "calibrate": "calibration after training",
}


def data_table(metrics: Mapping[str, Any]) -> Table | None:
    """Dates and sizes of every split; None where they were not counted."""
    if not (splits := metrics.get("data")):
        return None
    rows = [
        [
            split,
            f"{found['first']} – {found['last']}",
            *(f"{found[name]:,}" for name in ("impressions", "clicks", "pages", "users", "queries")),
        ]
        for split, found in splits.items()
    ]
    columns = ["split", "days", "impressions", "clicks", "pages", "users", "queries"]
    return Table("What it learnt from, and was judged on", columns, rows)


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings that the run in `folder` was made by, as its steps recorded them; of steps that left no record,
    none."""
    found: dict[str, Any] = {}
    for step in STEPS:
        if (folder / step / RECORD).is_file():
            found |= read_record(folder / step).inputs
    return {one.name: found[one.name] for one in _every() if one.name in found}


def settings_table(settings: Mapping[str, Any]) -> Table | None:
    """Those that are not the default ones first; None where none are known."""
    rows = []
    for one in _every():
        if one.name in settings:
            default = _default(one)
            row = [one.name, _told(settings[one.name]), _told(default), str(one.metadata.get("help", ""))]
            rows.append((settings[one.name] == default, row))
    if not rows:
        return None
    rows.sort(key=lambda row: row[0])
    changed = sum(not usual for usual, _ in rows)
    title = f"Settings: {changed} of {len(rows)} differ from the default" if changed else "Settings: the default ones"
    return Table(title, ["setting", "value", "default", "what it is"], [row for _, row in rows], folded=True)


def size_facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """How large the ranker is and how fast; only what was measured."""
    found = {}
    if size := metrics.get("size"):
        network, encoder = size["network_parameters"] / 1e6, size["encoder_parameters"] / 1e6
        found["Size"] = (
            f"{size['bytes'] / 1e6:,.1f} MB of weights: text encoder {encoder:,.1f} M parameters, network "
            f"{network:,.1f} M"
        )
    if latency := metrics.get("latency"):
        found["Latency"] = (
            f"{latency['median_ms']:,.1f} ms a page (95 % below {latency['p95_ms']:,.1f} ms), the network alone: "
            f"{latency['pages']:,} test pages of {latency['candidates']:.0f} candidates one by one, texts encoded and "
            f"features computed before, threads: {latency['threads']}; whole requests: python -m benchmarks.serving"
        )
    if rate := metrics.get("impressions_per_second"):
        found["Training speed"] = (
            f"{rate:,.0f} impressions a second, {metrics['encoder_share']:.0%} of it the text encoder"
        )
    return found


def idle(
    metrics: Mapping[str, Any], settings: Mapping[str, Any], log: Sequence[Mapping[str, Any]], tau: np.ndarray | None
) -> list[str]:
    """Which parts did nothing in this run, a sentence each.

    Args:
        settings: as `settings_of`. log: of the training. tau: [n] the incentive on test pages; None: not known.
    """
    found = [*_idle_losses(settings, log), *_idle_parts(metrics, settings)]
    if tau is not None and not tau.any():
        found.append("The incentive τ is 0 on every test page.")
    return found + [f"Not measured: {why}." for why in (metrics.get("not_measured") or {}).values()]


def _idle_losses(settings: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    lines = [line for line in log if "loss" in line]
    late = lines[len(lines) // 2 :]
    for part, setting in WEIGHTS.items():
        name = LOSS_PARTS[part][0]
        weight = settings.get(setting)
        if weight == 0:
            yield f"{name}: its weight is 0 ({setting}), so it is absent."
        values = [line[part] for line in late if part in line]
        if not weight or not values:
            continue
        mean, whole = float(np.mean(values)), float(np.mean([line["loss"] for line in late]))
        if mean * weight < LEAST_SHARE * whole:
            yield (
                f"{name}: {mean:.4f} in the second half of training, times {weight:g} ({setting}) less than "
                f"{LEAST_SHARE:.1%} of the loss: idle there."
            )
    if settings.get("engagement_weight") == 0:
        yield "Boosted trees as engagement teacher: engagement_weight is 0, so clicks alone teach."


def _idle_parts(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    for setting, what in SWITCHES.items():
        if settings.get(setting) is False:
            yield f"{what[0].upper()}{what[1:]}: off ({setting})."
    if settings.get("incentive") == "none":
        yield "Signed incentive: off (incentive: none)."
    if settings.get("cross_preference") and (slices := metrics.get("slices")):
        for name in CROSS_SLICES:
            if name not in slices:
                yield f"Slice “{name}”: no test page is in it."


def _every() -> Iterator[Field[Any]]:
    """The settings of a run, but for where things lie."""
    seen = {"name", "artifacts", "encoder", "warm_start", "report_to"}
    for group in ARGUMENTS:
        for one in fields(group):
            if one.name not in seen:
                seen.add(one.name)
                yield one


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if callable(one.default_factory) else one.default


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        ", ".join(map(_told, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else f"{value}"
    )
