"""The sections of report.html: what each of them shows, and when there is nothing to show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prectr.data.contract import read_table
from prectr.rank.reports.bench import bench_figures, bench_tables
from prectr.rank.reports.data import Scored, read_scored
from prectr.rank.reports.figures import (
    OURS,
    RIVAL,
    Figure,
    Table,
    calibration,
    click_given_level,
    incentive_by_activity,
    incentive_by_level,
    ladder,
    learning_curves,
    open_scores,
    open_top,
    slices,
    told,
    validation_curve,
)
from prectr.rank.reports.importance import importance_figure
from prectr.rank.reports.paired_table import paired_table
from prectr.rank.reports.position import gain_of, position_figure
from prectr.rank.reports.provenance import told_machine
from prectr.rank.reports.searches import Search, gaining_and_losing, one_search
from prectr.rank.reports.terminal import EXPOSED, OPEN, counts, flags_of, rung_with_interval, with_interval
from prectr.rank.reports.trained_on import data_table, idle, settings_of, settings_table, size_facts
from prectr.shared.metrics import LEAST_USERS
from prectr.shared.run.schema import read_json
from prectr.shared.run.verbs import program

ENCODER_METRICS = ("spearman", "qwk", "auc", "macro_f1")
WITHIN_PAGES = ("ndcg@10", "mrr")
BETTER = {
    "logloss": "↓", "ece": "↓", "excess_low@10": "↓", "pcoc": "→ 1",
    **dict.fromkeys(("auc", "gauc_page", "gauc_user", "mrr", "ndcg@10", *ENCODER_METRICS), "↑"),
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A heading with facts, a search side by side, tables, then figures."""

    title: str
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)
    facts: Mapping[str, str] = field(default_factory=dict)
    search: Search | None = None


def ranker_sections(folder: Path, metrics: Mapping[str, Any]) -> list[Section]:
    """What a run found, in the order in which one asks: who won, what it looks like, where, why, by which means."""
    systems = {OURS: metrics, RIVAL: metrics["lightgbm"]}
    levels = read_json(folder / "ranker" / "config.json")["level_names"]
    level_names = [f"{number} {name}" for number, name in enumerate(levels)]
    shown, candidates, new_users = (read_scored(folder, split) for split in ("test", "open", "new_users"))
    settings = settings_of(folder)
    found = [
        _difference_section(metrics),
        _search_section(folder, shown),
        _exposed_section(systems, shown),
        _open_section(systems, candidates, level_names),
        _users_section(systems, shown, new_users),
        _relevance_section(shown, level_names),
        _inputs_section(metrics, settings),
        _training_section(folder, metrics, settings, shown),
        _encoder_section(folder, metrics),
        _data_sets_section(folder),
    ]
    return [section for section in found if section is not None]


def _difference_section(metrics: Mapping[str, Any]) -> Section | None:
    table = paired_table(metrics)
    return None if table is None else Section("Measure by measure", [table])


def _search_section(folder: Path, shown: Scored | None) -> Section | None:
    """A page before and after, and the queries at either end."""
    if shown is None:
        return None
    explain = f"{program('rank')} explain{flags_of(folder)} --page"
    items = read_table(folder / "data", "items")
    texts = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    search, tables = one_search(shown, texts, explain), gaining_and_losing(shown, explain)
    return Section("Real searches", tables, search=search) if search or tables else None


def _exposed_section(systems: Mapping[str, Mapping[str, Any]], shown: Scored | None) -> Section:
    within = [name for name in WITHIN_PAGES if name in systems[OURS]["exposed"]]  # not in figures of before
    title = "Pages as the shop showed them, test weeks"
    tables = [_metrics_table(title, "exposed", [*EXPOSED, *within], systems)]
    figures = [] if shown is None else [calibration(shown, systems)]
    if systems[OURS]["slices"]:
        tables.append(_slices_table(systems))
        figures.append(slices(systems))
    return Section("Exposed pages: ranking and calibration", tables, figures)


def _open_section(
    systems: Mapping[str, Mapping[str, Any]], candidates: Scored | None, level_names: Sequence[str]
) -> Section | None:
    tables, figures = [], []
    if "open" in systems[OURS]:
        tables = [_metrics_table("Everything on sale in the category and others, shown or not", "open", OPEN, systems)]
    if candidates is not None and (known := candidates.gold_level >= 0).any():
        judged = candidates.where(known)
        figures = [open_scores(judged, level_names), open_top(judged, level_names)]
    return Section("Open candidates: exposure bias", tables, figures) if tables or figures else None


def _users_section(
    systems: Mapping[str, Mapping[str, Any]], shown: Scored | None, new_users: Scored | None
) -> Section | None:
    tables, figures = [], []
    if rungs := list(systems[OURS].get("new_users") or {}):
        table = Table(
            "AUC when only the last n pages of a new user are known ↑",
            ["system", *(f"n = {rung}" for rung in rungs)],
            [[name, *(rung_with_interval(part, rung) for rung in rungs)] for name, part in systems.items()],
            f"{counts(systems[OURS]['new_users_n'])}, the same pages on every rung.",
        )
        tables, figures = [table], [ladder(systems)]
    if shown is not None and shown.tau.any() and (figure := incentive_by_activity(shown, new_users)) is not None:
        figures.append(figure)
    return Section("New and active users", tables, figures) if tables or figures else None


def _relevance_section(shown: Scored | None, level_names: Sequence[str]) -> Section | None:
    if shown is None:
        return None
    figures = [click_given_level(shown, level_names)]
    if shown.tau.any():  # a ranker without the incentive has τ = 0 everywhere
        figures.append(incentive_by_level(shown, level_names))
    return Section("Relevance and clicks", figures=figures)


def _inputs_section(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> Section | None:
    """What the order rests on, and whether the place on the page ought to be one of it."""
    found = [importance_figure(metrics), position_figure(metrics, bool(settings.get("position_debias")))]
    figures = [figure for figure in found if figure is not None]
    gain = "" if metrics.get("position") else gain_of(metrics)
    facts = {"Position gain": gain} if gain else {}
    return Section("What the order rests on", figures=figures, facts=facts) if figures or facts else None


def _training_section(
    folder: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any], shown: Scored | None
) -> Section | None:
    log = read_json(folder / "ranker" / "training_log.json")
    tables = [table for table in (data_table(metrics), settings_table(settings)) if table is not None]
    curves, facts = learning_curves(log), size_facts(metrics)
    if asleep := idle(metrics, settings, log, None if shown is None else shown.tau):
        facts["Idle, or not measured"] = " ".join(asleep)
    figures = [figure for figure in (validation_curve(log), curves) if figure]
    return Section("Training", tables, figures, facts)


def _encoder_section(folder: Path, metrics: Mapping[str, Any]) -> Section | None:
    """Stage one's figures, if the encoder that lies there is the one the ranker started from."""
    path, origin = folder / "encoder" / "metrics.json", metrics.get("encoder")
    if not origin or not path.exists():
        return None
    facts = read_json(path)
    if any(facts.get(name) != value for name, value in origin.items()):
        return None
    tables = []
    for split, title in {"test": "Unseen queries", "test_types": "Unseen product types"}.items():
        judged = {name: part[split] for name, part in facts.items() if isinstance(part, dict) and part.get(split)}
        judged = {name: part for name, part in judged.items() if isinstance(part, dict) and "spearman" in part}
        if judged:
            tables.append(
                Table(
                    f"{title}: agreement with the gold levels",
                    ["judge", *(f"{name} {BETTER[name]}" for name in ENCODER_METRICS), "pairs"],
                    [
                        [name, *(told(part.get(metric)) for metric in ENCODER_METRICS), f"{part['n']:,}"]
                        for name, part in judged.items()
                    ],
                )
            )
    return Section("Stage one: the text encoder before it met the clicks", tables) if tables else None


def _data_sets_section(folder: Path) -> Section | None:
    """One line for each data set whose ranker lies beside this one, as the default shop and the same as a marketplace
    do; None: it stands alone."""
    found = {path.parents[1]: read_json(path) for path in sorted(folder.resolve().parent.glob("*/ranker/metrics.json"))}
    if len(found) < 2:
        return None
    shown = (("exposed", "auc"), ("exposed", "logloss"), ("open", "ndcg@10"), ("open", "excess_low@10"))
    rows = [
        [
            home.name,
            *(told(one.get(part, {}).get(name)) for part, name in shown for one in (metrics, metrics["lightgbm"])),
            f"{metrics['date']}, {str(metrics['git_commit'])[:8]}",
        ]
        for home, metrics in found.items()
    ]
    columns = [f"{name} {BETTER[name]}, {part}, {system}" for part, name in shown for system in (OURS, RIVAL)]
    title = "Every data set beside this one, each with the ranker it has"
    return Section("Other data sets", [Table(title, ["data set", *columns, "date, commit"], rows)])


def bench_sections(bench: Mapping[str, Any]) -> list[Section]:
    facts = {
        "Command": bench.get("command"),
        "Commit": bench.get("commit"),
        "Date": bench.get("date"),
        "Seeds": ", ".join(map(str, bench["seeds"])) if "seeds" in bench else None,
        "Machine": told_machine(bench),
    }
    known = {name: str(value) for name, value in facts.items() if value}
    return [Section("Benchmark: rivals and ablations", bench_tables(bench), bench_figures(bench), known)]


def _metrics_table(title: str, part: str, names: Sequence[str], systems: Mapping[str, Mapping[str, Any]]) -> Table:
    ours = systems[OURS][part]
    note = f"{counts(ours['n'])}; 95 % intervals over users."
    if "coverage" in ours:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in ours["coverage"].items())
        note += f" GAUC covers {shares} of the impressions."
    if ours["n"]["users"] < LEAST_USERS:
        note += f" Fewer than {LEAST_USERS} users: no intervals."
    return Table(
        title,
        ["system", *(f"{name} {BETTER[name]}" for name in names)],
        [[system, *(with_interval(one[part], name) for name in names)] for system, one in systems.items()],
        note,
    )


def _slices_table(systems: Mapping[str, Mapping[str, Any]]) -> Table:
    shown = ("gauc_page", "pcoc")
    rows = [
        [
            name,
            *(f"{part['n'][what]:,}" for what in ("pages", "users", "clicks")),
            *(told(one["slices"][name][metric]) for metric in shown for one in systems.values()),
        ]
        for name, part in systems[OURS]["slices"].items()
    ]
    columns = [f"{metric} {BETTER[metric]}, {system}" for metric in shown for system in systems]
    return Table(
        "Parts of the exposed pages; their AUC is below", ["slice", "pages", "users", "clicks", *columns], rows
    )
