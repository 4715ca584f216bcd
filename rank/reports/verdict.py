"""Who won, in a sentence: the ranker or LightGBM, measure by measure, each with its paired interval."""

import re
from collections.abc import Mapping
from typing import Any

from prectr.shared.run.trial import MADE_BY, trial_of

MEASURES = (
    ("exposed", "auc", "AUC on pages as shown", 1),
    ("exposed", "gauc_page", "GAUC per page", 1),
    ("exposed", "logloss", "logloss", -1),
    ("open", "ndcg@10", "NDCG@10 of open candidates", 1),
    ("open", "excess_low@10", "few irrelevant items in their top ten", -1),
    ("new_users", None, "AUC for new users", 1),
)
"""Part and name of a measure in `metrics.json`, its words, and whether more (1) or less (-1) is better; of new users,
the lowest rung of the ladder: nothing is known of them."""


def verdict(metrics: Mapping[str, Any]) -> str | None:
    """The sentence; None where figures were judged before differences were.

    A system leads in a measure if the 95 % interval of the difference leaves out 0; else nobody does.
    """
    if "differences" not in metrics:
        return None
    leads: dict[str, list[str]] = {"the ranker": [], "LightGBM": []}
    even: list[str] = []
    unsure: list[str] = []
    for words, found, better in _measured(metrics["differences"]):
        gap, interval = found["gap"], found["ci95"]
        if gap is None:
            continue
        if interval is None:
            unsure.append(f"{words} ({_signed(gap)})")
        elif interval[0] <= 0 <= interval[1]:
            even.append(f"{words} ({_signed(gap)} [{', '.join(map(_signed, interval))}])")
        else:
            low, high = sorted(map(abs, interval))
            winner = "the ranker" if gap * better > 0 else "LightGBM"
            leads[winner].append(f"{words} by {_short(abs(gap))} [{_short(low)}, {_short(high)}]")
    return _sentence(leads, even, unsure)


def _measured(differences: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], int]]:
    found = []
    for part, name, words, better in MEASURES:
        measured = differences.get(part) or {}
        if name is None and measured:
            name = min(measured, key=int)
            words = f"{words} with {name} known pages"
        if name in measured:
            found.append((words, measured[name], better))
    return found


def _sentence(leads: Mapping[str, list[str]], even: list[str], unsure: list[str]) -> str:
    parts = [f"{who} leads in {', '.join(measures)}" for who, measures in leads.items() if measures]
    if even:
        parts.append(f"neither leads in {', '.join(even)}")
    if unsure:
        parts.append(f"too few users to say who leads in {', '.join(unsure)}")
    if not parts:
        return "Verdict: nothing was measured by which the ranker and LightGBM could be compared."
    signs = "; signed: ranker − LightGBM" if even or unsure else ""
    return f"Verdict (95 % intervals paired over users{signs}): {'; '.join(parts)}."


def _short(value: float) -> str:
    """Four decimals, without the zero before them."""
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:.4f}")


def _signed(value: float) -> str:
    return re.sub(r"^([+-]?)0\.", r"\1.", f"{value:+.4f}")


def trial(metrics: Mapping[str, Any]) -> str | None:
    """Why the figures of `metrics.json` mean nothing, if they do."""
    origin = metrics.get("encoder") or {}
    models = (origin.get(name) for name in MADE_BY)
    return trial_of(metrics.get("command", ""), models, metrics.get("reconstructed", ""))
