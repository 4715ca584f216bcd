"""The part of the report on many systems: what `python -m benchmarks.ranker` found, seed by seed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prectr.rank.reports.charts import Series, dot_plot
from prectr.rank.reports.figures import Figure, Table, told

SECTIONS = {
    "exposed": "Exposed pages, test weeks",
    "open": "Open candidates, shown or not",
    "new_users": "New users: AUC when only the last n pages are known",
}
SHOWN = {
    "exposed.auc": "AUC, exposed pages",
    "exposed.gauc_page": "page GAUC, exposed pages",
    "exposed.pcoc": "PCOC, exposed pages (1 is calibrated)",
    "open.ndcg@10": "NDCG@10, open candidates",
    "open.excess_low@10": "excess_low@10, open candidates (lower is better)",
    "new_users.0": "AUC, new users with 0 known pages",
}
REFERENCES = {"exposed.pcoc": 1.0}
REFERENCE = "prectr_v2"

Figures = Mapping[str, Sequence[float | None]]


def bench_tables(bench: Mapping[str, Any]) -> list[Table]:
    """Each section's metrics of every system: mean ± standard deviation over the seeds."""
    systems = _systems(bench)
    tables = []
    for section, title in SECTIONS.items():
        names = list(dict.fromkeys(name for figures in systems.values() for name in figures if _in(name, section)))
        if not names:
            continue
        rows = [[system, *(_spread(figures.get(name, ())) for name in names)] for system, figures in systems.items()]
        n = ", ".join(f"{count:,} {what}" for what, count in bench.get("n", {}).get(section, {}).items())
        tables.append(Table(title, ["system", *(name.partition(".")[2] for name in names)], rows, n))
    return tables


def bench_figures(bench: Mapping[str, Any]) -> list[Figure]:
    """Every system side by side, and the paired differences."""
    systems = _systems(bench)
    charts, shown = {}, []
    for measure, label in SHOWN.items():
        found = {
            name: figures[measure] for name, figures in systems.items() if _mean(figures.get(measure, ())) is not None
        }
        if not found:
            continue
        seeds = [[value for value in values if value is not None] for values in found.values()]
        series = Series("all seeds", [_mean(values) for values in found.values()], [(min(v), max(v)) for v in seeds])
        charts[label] = dot_plot(label, list(found), [series], label, reference=REFERENCES.get(measure), width=400)
        shown.append((measure, label))
    figures = []
    if charts:
        rows = [[name, *(_spread(one.get(measure, ())) for measure, _ in shown)] for name, one in systems.items()]
        figures.append(
            Figure(
                "All systems",
                "Each row is a system: the dot is the mean over the seeds, the whisker reaches from the lowest to the "
                "highest seed.",
                charts,
                Table("All systems, mean ± standard deviation", ["system", *(label for _, label in shown)], rows),
            )
        )
    if differences := _differences(bench):
        figures.append(_difference_figure(differences))
    return figures


def _systems(bench: Mapping[str, Any]) -> dict[str, Figures]:
    """Every system's figures, their names written `section.metric`."""
    return {
        system: {re.sub(r"[. ]", ".", name, count=1): values for name, values in figures.items()}
        for system, figures in bench["systems"].items()
    }


def _differences(bench: Mapping[str, Any]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """By measure: the pairs compared, and mean and interval of each difference."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for measure, gain in bench.get("gains", {}).items():
        found.setdefault(measure, []).append((f"gain over {gain['over']}", gain))
    for section in ("versus", "ablations"):
        for system, measures in bench.get(section, {}).items():
            base = bench.get("ablation_of", {}).get(system, REFERENCE)
            label = f"over {system}" if base == REFERENCE else f"{base} over {system}"
            for measure in SHOWN:
                if measure in measures:
                    found.setdefault(measure, []).append((label, measures[measure]))
    return found


def _difference_figure(differences: Mapping[str, list[tuple[str, Mapping[str, Any]]]]) -> Figure:
    charts, rows = {}, []
    for measure, pairs in differences.items():
        label = SHOWN.get(measure, measure)
        series = Series("difference", [one["mean"] for _, one in pairs], [one["ci95"] for _, one in pairs])
        names = [name for name, _ in pairs]
        charts[label] = dot_plot(
            label, names, [series], f"difference in {label.partition(',')[0]}", reference=0.0, width=400
        )
        rows += [[f"{label}: {name}", _signed(one["mean"], one["ci95"])] for name, one in pairs]
    return Figure(
        "Paired differences",
        "Each row is prectr_v2, or the system named first, minus another on the same pages and seeds; a whisker, the "
        "95 % interval over users crossed with seeds, that does not touch 0 is a difference beyond chance.",
        charts,
        Table("Paired differences", ["difference", "mean"], rows),
    )


def _signed(mean: float | None, interval: Sequence[float] | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:+.4f}" + ("" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]")


def _in(name: str, section: str) -> bool:
    return name.startswith(f"{section}.")


def _mean(values: Sequence[float | None]) -> float | None:
    """None without seeds, or if a figure is undefined for one of them."""
    return None if not values or None in values else float(np.mean(np.array(values, float)))


def _spread(values: Sequence[float | None]) -> str:
    mean = _mean(values)
    if mean is None or len(values) == 1:
        return told(mean)
    return f"{mean:.4f} ± {np.std(np.array(values, float), ddof=1):.4f}"
