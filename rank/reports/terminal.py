"""What `make rank` shows at its end: the results, where the files are, and what to do next."""

import json
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from prectr.rank.config import WhereArguments
from prectr.rank.reports.verdict import trial, verdict
from prectr.shared.run.console import console, table
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import require_whole
from prectr.shared.run.verbs import program

EXPOSED = ("auc", "gauc_page", "gauc_user", "logloss", "pcoc", "ece")
REPORT = "report.html"
"""The page of a run's results, in the folder of its data set."""

POSITION_BIAS = (
    "Clicks fall from place to place by more than what stands there explains: an ordinary position bias, no leak."
)

OPEN = ("ndcg@10", "auc", "excess_low@10")


def with_interval(part: Mapping[str, Any], name: str) -> str:
    """A metric of one part of `metrics.json` with its 95 % interval, as tables show it."""
    value, interval = part[name], part["ci95"].get(name)
    if value is None:
        return "–"
    if interval is None:
        return f"{value:.4f}"
    return f"{value:.4f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def counts(n: Mapping[str, int]) -> str:
    """How many pages, users, impressions and clicks figures rest on."""
    return ", ".join(f"{value:,} {name}" for name, value in n.items())


def show(metrics: Mapping[str, Any], folder: Path) -> None:
    """Print `metrics.json` as tables; `folder` is the ranker's."""
    systems = {"prectr": metrics, "lightgbm": metrics["lightgbm"]}
    note = metrics["reconstructed"]
    exposed = metrics["exposed"]
    coverage = ", ".join(f"{name} {share:.0%}" for name, share in exposed["coverage"].items())
    # A row for each measure: side by side, their intervals would not fit a terminal of 100 columns.
    table(
        "Exposed pages, test weeks (95 % intervals over users)",
        ["measure", *systems],
        [[key, *(with_interval(m["exposed"], key) for m in systems.values())] for key in EXPOSED],
        f"{counts(exposed['n'])}; GAUC covers {coverage} of the impressions. {note}",
    )
    if "open" in metrics:
        table(
            "Open candidates: everything on sale in the category and others, shown or not",
            ["measure", *systems],
            [[key, *(with_interval(m["open"], key) for m in systems.values())] for key in OPEN],
            f"{counts(metrics['open']['n'])}. {note}",
        )
    if "new_users" in metrics:
        rungs = list(metrics["new_users"])
        table(
            "New users: AUC when only their last n pages are known",
            ["pages known", *systems],
            [[f"n = {rung}", *(rung_with_interval(m, rung) for m in systems.values())] for rung in rungs],
            f"{counts(metrics['new_users_n'])}, the same pages on every rung"
            f"{', too few users for intervals' if None in metrics['new_users_ci95'].values() else ''}. {note}",
        )
    table(
        "Slices of the exposed pages",
        ["slice", "pages", "clicks", *(f"{s}\n{m}" for s in systems for m in ("auc", "pcoc"))],
        [
            [
                name,
                part["n"]["pages"],
                part["n"]["clicks"],
                *(systems[s]["slices"][name][m] for s in systems for m in ("auc", "pcoc")),
            ]
            for name, part in metrics["slices"].items()
        ],
        note,
    )
    for why in metrics.get("not_measured", {}).values():
        console.print(f"Not measured: {why}.", highlight=False)
    seconds = {name: value for name, value in metrics["seconds"].items() if value is not None}
    console.print(
        f"Seconds: {' · '.join(f'{name} {value:,.0f}' for name, value in seconds.items())} · "
        f"total {sum(seconds.values()):,.0f}\n"
        f"seed {metrics['seed']} · commit {metrics['git_commit']} · {metrics['date']} · {metrics['command']}",
        highlight=False,
    )
    gain = "–" if metrics["position_gain"] is None else f"{metrics['position_gain']:+.4f}"
    console.print(
        f"position_gain {gain} (AUC LightGBM gains from seeing the position)",
        highlight=False,
    )
    if (metrics.get("position") or {}).get("recommended"):
        console.print(f"{POSITION_BIAS} Train with --position_debias true.", highlight=False)
    console.print(
        f"Files: {folder}/ (model.safetensors, encoder/, metrics.json, predictions.parquet)\n"
        f"Terms: each is defined at the end of {folder.parent}/{REPORT}",
        highlight=False,
    )
    for number, command in enumerate(next_commands(metrics, folder)):
        console.print(f"{'Next: ' if number == 0 else '      '} {command}", highlight=False, soft_wrap=True)
    show_verdict(metrics)


def next_commands(metrics: Mapping[str, Any], folder: Path) -> list[str]:
    """What to do with the ranker in `folder`, as it can be typed."""
    flags = flags_of(folder.parent)
    page = metrics.get("example_page")
    called = program("rank")
    # Double quotes inside: the shell's own are single.
    code = f"from prectr import Ranker; print(Ranker.from_pretrained({json.dumps(str(folder), ensure_ascii=False)}))"
    return [
        *([] if page is None else [f"{called} explain --page {page}{flags}"]),
        f"{called} serve{flags}",
        f"{called} publish --repo user/name --dry_run{flags}",
        f"python -c {quote(code)}",
    ]


def flags_of(home: Path) -> str:
    """What a command needs to find the folder artifacts/<name>, each flag after a space; nothing for the usual one."""
    where = [f"--name {quote(home.name)}", f"--artifacts {quote(str(home.parent))}"]
    usual = (f"--name {WhereArguments.name}", f"--artifacts {WhereArguments.artifacts}")
    return "".join(f" {flag}" for flag in where if flag not in usual)


def show_verdict(metrics: Mapping[str, Any]) -> None:
    """Who won, and whether it means anything: the last thing that is said of the figures."""
    if sentence := verdict(metrics):
        console.print(sentence, style="bold", highlight=False)
    if warning := trial(metrics):
        console.print(warning, style="bold red", highlight=False)


def rung_with_interval(metrics: Mapping[str, Any], rung: str) -> str:
    """The new-user ladder's AUC on one rung, with its interval."""
    value, interval = metrics["new_users"][rung], metrics["new_users_ci95"][rung]
    if value is None:
        return "–"
    # Of few users there is a value, and nothing to say how far it would be another for others.
    return f"{value:.4f}" if interval is None else f"{value:.4f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def show_results(folder: Path) -> None:
    """Print the results of a finished run.

    Args:
        folder: of the data set.

    Raises:
        PrectrError: the run is not finished, or its folder is damaged.
    """
    ranker = folder / "ranker"
    require_whole(ranker)
    show(read_json(ranker / "metrics.json"), ranker)


def show_report(page: Path) -> None:
    """Say where the page of the results is."""
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
