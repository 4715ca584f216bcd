"""Every measure by which the two systems are compared, with the paired interval of the difference."""

from collections.abc import Mapping
from typing import Any

from prectr.rank.reports.figures import OURS, RIVAL, Table, told

PARTS = {"exposed": "pages as shown", "open": "open candidates", "new_users": "new users"}
LESS_IS_BETTER = ("logloss", "excess_low@10")


def paired_table(metrics: Mapping[str, Any]) -> Table | None:
    """A row per measure of `differences`; None where figures were judged before differences were."""
    rows = []
    for part, measures in (metrics.get("differences") or {}).items():
        for name, found in measures.items():
            ours, theirs = (_figure(one, part, name) for one in (metrics, metrics["lightgbm"]))
            what = f"auc, new users, known pages: {name}" if part == "new_users" else f"{name}, {PARTS[part]}"
            better = "↓" if name in LESS_IS_BETTER else "↑"
            ahead = _ahead(found, -1 if name in LESS_IS_BETTER else 1)
            rows.append([f"{what} {better}", signed(found["gap"], found["ci95"]), ahead, told(ours), told(theirs)])
    if not rows:
        return None
    return Table(
        "Paired differences",
        ["measure", f"{OURS} − {RIVAL}", "ahead", OURS, RIVAL],
        rows,
        "The same users are drawn for both, so what both share cancels; 95 % intervals. Nobody is ahead where the "
        "interval holds 0.",
    )


def signed(gap: float | None, interval: list[float] | None) -> str:
    """A difference with its interval, as tables show it."""
    if gap is None:
        return "–"
    return f"{gap:+.4f}" + ("" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]")


def _figure(system: Mapping[str, Any], part: str, name: str) -> float | None:
    found: float | None = (system.get(part) or {}).get(name)
    return found


def _ahead(found: Mapping[str, Any], better: int) -> str:
    if found["gap"] is None or found["ci95"] is None:
        return "–"
    low, high = sorted(end * better for end in found["ci95"])
    return OURS if low > 0 else RIVAL if high < 0 else "nobody"
