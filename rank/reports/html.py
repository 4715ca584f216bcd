"""artifacts/<data>/report.html: everything a run found, on one page that needs neither network nor scripts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prectr.rank.reports.glossary import of_columns, read_terms
from prectr.rank.reports.provenance import provenance
from prectr.rank.reports.sections import bench_sections, ranker_sections
from prectr.rank.reports.terminal import REPORT
from prectr.rank.reports.verdict import trial, verdict
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import visible
from prectr.shared.run.schema import read_json

BENCH = "bench.json"
TEMPLATE = "report_template.html"


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
        bench = read_json(folder / BENCH)
    ranker = folder / "ranker"
    if not (ranker / "metrics.json").exists() and bench is None:
        raise PrectrError(f"{ranker / 'metrics.json'} is missing: there is nothing to report; run `make rank` first.")
    metrics = read_json(ranker / "metrics.json") if (ranker / "metrics.json").exists() else None
    sections = ranker_sections(folder, metrics) if metrics is not None else []
    sections += bench_sections(bench) if bench is not None else []
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
        provenance=provenance(folder, metrics) if metrics is not None else {},
        terms=list(terms.values()),
        term_of=of_columns(terms),
    )
    path = folder / REPORT
    with atomic_write(path) as temporary:
        temporary.write_text(visible(page), encoding="utf-8")
    return path


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
