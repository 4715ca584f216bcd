"""artifacts/<data>/report.html: everything a run found, on one page that needs neither network nor scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
)
from prectr.rank.reports.glossary import of_columns, read_terms
from prectr.rank.reports.terminal import EXPOSED, OPEN, REPORT, counts, rung_with_interval, with_interval
from prectr.rank.reports.verdict import trial, verdict
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.metrics import LEAST_USERS
from prectr.shared.run.console import visible
from prectr.shared.run.schema import read_json

BENCH = "bench.json"
TEMPLATE = "report_template.html"

ENCODER_METRICS = ("spearman", "qwk", "auc", "macro_f1")
BETTER = {
    "logloss": "↓", "ece": "↓", "excess_low@10": "↓", "pcoc": "→ 1",
    **dict.fromkeys(("auc", "gauc_page", "gauc_user", "ndcg@10", *ENCODER_METRICS), "↑"),
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A heading with its tables, then its figures."""

    title: str
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(folder: Path, bench: Mapping[str, Any] | None = None) -> Path:
    """Write the page of a data set's folder, from what its ranker and, if there is one, a benchmark left behind.

    Args:
        folder: artifacts/<data>/, with ranker/, data/ and, for the user's activity, behaviours/.
        bench: what `python -m benchmarks.ranker` found; by default `bench.json` of the folder, where there is one.

    Returns:
        Where the page is.

    Raises:
        PrectrError: there is neither a ranker nor a benchmark to report on.
    """
    folder = Path(folder)
    if bench is None and (folder / BENCH).exists():
        bench = _read(folder / BENCH)
    ranker = folder / "ranker"
    if not (ranker / "metrics.json").exists() and bench is None:
        raise PrectrError(f"{ranker / 'metrics.json'} is missing: there is nothing to report; run `make rank` first.")
    metrics = _read(ranker / "metrics.json") if (ranker / "metrics.json").exists() else None
    sections = _ranker_sections(folder, metrics) if metrics is not None else []
    sections += _bench_sections(bench) if bench is not None else []
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    terms = read_terms()
    page = environment.get_template(TEMPLATE).render(
        name=folder.resolve().name,
        reconstructed=(metrics or bench or {}).get("reconstructed", ""),
        trial=trial(metrics) if metrics is not None else None,
        verdict=verdict(metrics) if metrics is not None else None,
        tiles=_tiles(metrics) if metrics is not None else [],
        sections=sections,
        terms=list(terms.values()),
        term_of=of_columns(terms),
    )
    path = folder / REPORT
    with atomic_write(path) as temporary:
        temporary.write_text(visible(page), encoding="utf-8")
    return path


def _ranker_sections(folder: Path, metrics: Mapping[str, Any]) -> list[Section]:
    systems = {OURS: metrics, RIVAL: metrics["lightgbm"]}
    levels = _read(folder / "ranker" / "config.json")["level_names"]
    level_names = [f"{number} {name}" for number, name in enumerate(levels)]
    shown, candidates, new_users = (read_scored(folder, split) for split in ("test", "open", "new_users"))
    log = learning_curves(_read(folder / "ranker" / "training_log.json"))
    found = [
        Section("What was run", facts=_facts(folder, metrics)),
        _exposed_section(systems, shown),
        _open_section(systems, candidates, level_names),
        _users_section(systems, shown, new_users),
        _relevance_section(shown, level_names),
        Section("Training", figures=[log]) if log else None,
        _encoder_section(folder, metrics),
        _data_sets_section(folder),
    ]
    return [section for section in found if section is not None]


def _exposed_section(systems: Mapping[str, Mapping[str, Any]], shown: Scored | None) -> Section:
    tables = [_metrics_table("Pages as the shop showed them, test weeks", "exposed", EXPOSED, systems)]
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


def _encoder_section(folder: Path, metrics: Mapping[str, Any]) -> Section | None:
    """Stage one's figures, if the encoder that lies there is the one the ranker started from."""
    path, origin = folder / "encoder" / "metrics.json", metrics.get("encoder")
    if not origin or not path.exists():
        return None
    facts = _read(path)
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
    found = {path.parents[1]: _read(path) for path in sorted(folder.resolve().parent.glob("*/ranker/metrics.json"))}
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


def _bench_sections(bench: Mapping[str, Any]) -> list[Section]:
    facts = {
        "Command": bench.get("command"),
        "Commit": bench.get("commit"),
        "Date": bench.get("date"),
        "Seeds": ", ".join(map(str, bench["seeds"])) if "seeds" in bench else None,
        "Machine": _machine(bench),
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


def _facts(folder: Path, metrics: Mapping[str, Any]) -> dict[str, str]:
    """What was run, where and on what; only what is known."""
    encoder = metrics.get("encoder") or {}
    summary = folder / "data" / "summary.json"
    twins = _read(summary).get("text_twin_rate") if summary.exists() else None
    settings = ", ".join(f"{name} {value}" for name, value in (metrics.get("lightgbm_settings") or {}).items())
    gain = metrics["position_gain"]
    leak = "AUC that LightGBM gains from seeing the position; above +.01 the pages leak their clicks"
    facts = {
        "Command": metrics["command"],
        "Commit": metrics["git_commit"],
        "Date": metrics["date"],
        "Seed": metrics["seed"],
        "Machine": _machine(metrics),
        "Seconds": _seconds(metrics),
        "Teacher": encoder.get("teacher_source"),
        "Its assistant": encoder.get("assistant_source"),
        "Encoder started from": encoder.get("init_from"),
        "LightGBM settings": settings,
        "Items that share their text with another": None if twins is None else f"{twins:.0%}",
        "Not measured": "; ".join(metrics.get("not_measured", {}).values()),
        "Position gain": None if gain is None else f"{gain:+.4f} ({leak})",
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _machine(facts: Mapping[str, Any]) -> str:
    found = facts.get("machine")
    return "{cpu}, {cores} cores, {memory_gib} GiB".format(**found) if found else ""


def _seconds(metrics: Mapping[str, Any]) -> str:
    seconds = {name: value for name, value in metrics["seconds"].items() if value is not None}
    steps = ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):,.0f}: {steps}"


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The page's first glance: what, this ranker's figure, LightGBM's."""
    rival = metrics["lightgbm"]
    found = [("AUC, exposed pages", metrics["exposed"]["auc"], rival["exposed"]["auc"])]
    if "open" in metrics:
        found.append(("NDCG@10, open candidates", metrics["open"]["ndcg@10"], rival["open"]["ndcg@10"]))
    if rungs := list(metrics.get("new_users") or {}):
        label = f"AUC, new users, {rungs[0]} pages known"
        found.append((label, metrics["new_users"][rungs[0]], rival["new_users"][rungs[0]]))
    found.append(("PCOC (1 is calibrated)", metrics["exposed"]["pcoc"], rival["exposed"]["pcoc"]))
    return [(label, _short(ours), _short(theirs)) for label, ours, theirs in found]


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _read(path: Path) -> Any:
    return read_json(path)
