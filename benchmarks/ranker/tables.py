"""The comparison's figures as tables in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranker.results import mean_of
from prectr.shared.run.console import console, table

SECTIONS = {
    "exposed": "Exposed pages, test weeks",
    "open": "Open candidates: everything on sale in the category and others, shown or not",
    "new_users": "New users: AUC when only their last n pages are known",
}
MAIN = ("exposed.auc", "exposed.gauc_page", "open.ndcg@10", "open.excess_low@10", "new_users.0")


def show(result: Mapping[str, Any], json_path: Path, report: Path) -> None:
    """Print every system, the gains over the best rivals, what each part earns, and where the files are."""
    note, seeds = result["reconstructed"], len(result["seeds"])
    over = "one seed" if seeds == 1 else f"mean ± sd over {seeds} seeds"
    systems = result["systems"]
    measures = list(next(iter(systems.values())))
    for section, title in SECTIONS.items():
        names = [name for name in measures if name.startswith(f"{section}.")]
        n = ", ".join(f"{count:,} {what}" for what, count in result["n"][section].items())
        table(
            f"{title} ({over})",
            ["system", *(name.removeprefix(f"{section}.") for name in names)],
            [[system, *(spread(figures[name]) for name in names)] for system, figures in systems.items()],
            f"{n}. {note}",
        )
    intervals = f"95 % intervals: users drawn with replacement, crossed with seeds. {note}"
    if result["gains"]:
        table(
            "prectr_v2 minus the best rival of each measure",
            ["measure", "rival", "difference", "95 % interval"],
            [[name, gain["over"], *_cells(gain)] for name, gain in result["gains"].items()],
            intervals,
        )
    main = [name for name in MAIN if name in measures]
    pairs = [("prectr_v2", name, part) for name, part in result["versus"].items()]
    pairs += [(result["ablation_of"][name], name, part) for name, part in result["ablations"].items()]
    if pairs:
        table(
            "What each system lacks",
            ["", "minus", *main],
            [[base, name, *(" ".join(_cells(part[measure])) for measure in main)] for base, name, part in pairs],
            intervals,
        )
    stage_one = result["level_accuracy"]["stage_one"]
    of_training = {
        "seconds": "training, s", "samples_per_second": "impressions/s", "level_accuracy": "level accuracy, open",
        "violations": "P(click|k) > P(click|k+1)",
    }  # fmt: skip
    table(
        f"Training and relevance ({over})",
        ["system", *of_training.values()],
        [[system, *(spread(result[name].get(system, [None])) for name in of_training)] for system in systems],
        f"Level accuracy of stage one's encoder: {'–' if stage_one is None else f'{stage_one:.4f}'}. {note}",
    )
    on = "{cpu}, {cores} cores, {memory_gib} GiB".format(**result["machine"])
    facts = f"commit {result['commit']} · {result['date']} · {on}"
    lines = f"{facts} · {result['command']}\nFigures of every seed: {json_path}\nReport: {report}"
    console.print(lines, highlight=False, soft_wrap=True)


def spread(values: Sequence[float | None]) -> str:
    mean = mean_of(values)
    if mean is None:
        return "–"
    if mean >= 10:
        return f"{mean:,.0f}"
    return f"{mean:.4f} ± {np.std(np.array(values, float), ddof=1):.4f}" if len(values) > 1 else f"{mean:.4f}"


def _cells(part: Mapping[str, Any]) -> list[str]:
    mean = "–" if part["mean"] is None else f"{part['mean']:+.4f}"
    return [mean, "–" if part["ci95"] is None else "[{:+.4f}, {:+.4f}]".format(*part["ci95"])]
