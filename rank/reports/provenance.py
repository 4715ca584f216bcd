"""Where a run's figures come from: command, commit, machine, seconds, models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prectr.shared.run.schema import read_json


def provenance(folder: Path, metrics: Mapping[str, Any]) -> dict[str, str]:
    """What was run, where and on what; only what is known."""
    encoder = metrics.get("encoder") or {}
    summary = folder / "data" / "summary.json"
    twins = read_json(summary).get("text_twin_rate") if summary.exists() else None
    settings = ", ".join(f"{name} {value}" for name, value in (metrics.get("lightgbm_settings") or {}).items())
    facts = {
        "Command": metrics["command"],
        "Commit": metrics["git_commit"],
        "Date": metrics["date"],
        "Seed": metrics["seed"],
        "Machine": told_machine(metrics),
        "Seconds": _seconds(metrics),
        "Teacher": encoder.get("teacher_source"),
        "Its assistant": encoder.get("assistant_source"),
        "Encoder started from": encoder.get("init_from"),
        "LightGBM settings": settings,
        "Items that share their text with another": None if twins is None else f"{twins:.0%}",
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def told_machine(facts: Mapping[str, Any]) -> str:
    found = facts.get("machine")
    return "{cpu}, {cores} cores, {memory_gib} GiB".format(**found) if found else ""


def _seconds(metrics: Mapping[str, Any]) -> str:
    seconds = {name: value for name, value in metrics["seconds"].items() if value is not None}
    steps = ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):,.0f}: {steps}"
