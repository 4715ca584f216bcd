"""The comparison's figures as tables in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranker.results import mean_of
from benchmarks.ranker.systems import ABOUT_THE_ENCODER, REFERENCE
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
            f"{REFERENCE} against the best fair rival of each measure",
            ["measure", REFERENCE, "rival", "which", "difference", "95 % interval"],
            [
                [name, _mean(gain["ours"]), _mean(gain["theirs"]), gain["over"], *_cells(gain)]
                for name, gain in result["gains"].items()
            ],
            intervals,
        )
    main = [name for name in MAIN if name in measures]
    base_of, earned = result["ablation_of"], result["ablations"]
    about_encoder = {name: part for name, part in earned.items() if name in ABOUT_THE_ENCODER}
    parts = {name: part for name, part in earned.items() if name not in ABOUT_THE_ENCODER}
    for title, minus in (
        (f"{REFERENCE} minus each rival", result["versus"]),
        ("What the encoder is worth", about_encoder),
        ("What each part is worth", parts),
    ):
        if minus:
            table(
                title,
                ["", "minus", *main],
                [
                    [base_of.get(name, REFERENCE), name, *(" ".join(_cells(part[measure])) for measure in main)]
                    for name, part in minus.items()
                ],
                intervals,
            )
    stage_one = result["level_accuracy"]["stage_one"]
    of_training = {
        "cell_seconds": "all, s", "seconds": "training, s", "samples_per_second": "impressions/s",
        "encoder_share": "encoder's share", "level_accuracy": "level accuracy, open",
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


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cells(part: Mapping[str, Any]) -> list[str]:
    mean = "–" if part["mean"] is None else f"{part['mean']:+.4f}"
    return [mean, "–" if part["ci95"] is None else "[{:+.4f}, {:+.4f}]".format(*part["ci95"])]
