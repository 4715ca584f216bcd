"""report.html: whole without network or scripts, with every figure the run has, and without those it has not."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import write_table
from prectr.rank.evaluation.protocol import Judged, judge_exposed, judge_new_users, judge_open, judge_slices
from prectr.rank.history.slices import BehaviourLog
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.reports.data import read_scored
from prectr.rank.reports.html import write_report
from prectr.shared.errors import PrectrError

pytestmark = pytest.mark.usefixtures("few_users")

NOTE = "Queries & pages are reconstructed."
LEVELS = ["irrelevant", "<b>exact</b>"]
VOID = {"meta", "br", "img", "link", "input", "hr"}

BENCH: dict[str, Any] = {
    "command": "python -m benchmarks.ranker",
    "commit": "beef",
    "date": "2026-02-02",
    "machine": {"cpu": "A <fast> CPU", "cores": 2, "memory_gib": 7.5},
    "seeds": [0, 1],
    "n": {"exposed": {"pages": 1200}},
    "systems": {
        "prectr_v2": {"exposed.auc": [0.9, 0.92], "exposed.pcoc": [1.0, 1.0], "new_users.0": [0.8, 0.8]},
        "din": {"exposed.auc": [0.85, None], "exposed.pcoc": [1.1, 1.2]},
    },
    "gains": {"exposed.auc": {"over": "din", "mean": 0.05, "ci95": [0.04, 0.06]}},
}

LOSS = {"loss": 0.1, "ci95": [0.05, 0.2]}
MEASURED: dict[str, Any] = {
    "differences": {"exposed": {"auc": {"gap": 0.1, "ci95": [-0.05, 0.2]}}},
    "position": {
        "place": [1, 2], "shown": [15, 15], "ctr": [0.2, 0.1], "predicted": [0.2, 0.1], "bend": 0.0,
        "ci95": [-0.1, 0.1], "recommended": False,
    },
    "importance": {
        "pages": 6, "impressions": 30,
        "parts": {"texts of query and item": {"dealt": "within the page", "auc": LOSS, "gauc_page": LOSS}},
    },
    "data": {
        "train": {
            "first": "2024-01-01", "last": "2024-02-01", "pages": 3, "users": 2, "queries": 1, "impressions": 15,
            "clicks": 3,
        }
    },
    "size": {"encoder_parameters": 22_700_000, "network_parameters": 1_500_000, "bytes": 97_000_000},
    "latency": {"median_ms": 3.21, "p95_ms": 5.0, "pages": 6, "candidates": 5.0, "threads": 2},
}  # fmt: skip


class Page(HTMLParser):
    """The tags of a page, its text, and proof that every element is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def headings(page: Path) -> list[str]:
    return re.findall(r"<h[23]>(.*?)</h[23]>", page.read_text(encoding="utf-8"))


def make_stage(
    folder: Path,
    *,
    users: int = 3,
    with_open: bool = True,
    with_gold: bool = True,
    clicks: bool = True,
    tau: float = 0.3,
) -> Path:
    """A finished run, as small as its figures allow: 6 pages of 5 impressions per set."""
    random = np.random.default_rng(0)
    splits = ["test", "new_users", *(["open"] if with_open else [])]
    rows, pages, size = 30 * len(splits), 6 * len(splits), 5
    page = np.arange(rows) // size
    items = [f"I{number}" for number in range(size)]
    impressions: dict[str, Any] = {
        "impression_id": np.arange(rows),
        "page_id": page,
        "user_id": [f"U{number % users}" for number in page],
        "query": ["cola"] * rows,
        "query_category": ["drinks"] * rows,
        "item_id": items * pages,
        "position": np.arange(rows) % size,
        "timestamp": np.full(rows, 10**9).astype("datetime64[s]"),
        "clicked": (np.arange(rows) % size == page % size) & clicks,
        "split": np.repeat(splits, 30),
    }
    data = folder / "data"
    data.mkdir(parents=True)
    write_table(data, "impressions", impressions)
    write_table(data, "items", {"item_id": items, "text": items, "category": ["drinks"] * size})
    write_table(data, "behaviours", {
        "user_id": ["U0"], "query": ["cola"], "query_category": ["drinks"], "item_id": ["I0"], "clicked": [True],
        "timestamp": np.array([10**8]).astype("datetime64[s]"), "event_type": ["search"], "page_id": [99],
    })  # fmt: skip
    if with_gold:
        write_table(data, "gold", {"query": ["cola"] * 4, "item_id": items[:4], "level": [0, 1, 0, 1]})
    level_prob = random.dirichlet(np.ones(2), size).astype(np.float32)
    stage_one = {"query": ["cola"] * size, "item_id": items, "level_prob": list(level_prob)}
    pq.write_table(pa.table(stage_one), folder / "level_prob.parquet")
    BehaviourLog.build(data, LevelProb.read(folder / "level_prob.parquet"), folder / "behaviours")
    (folder / "behaviours" / "step.json").write_text("{}", encoding="utf-8")

    def system(score: np.ndarray) -> dict[str, Any]:
        def judged(split: str) -> tuple[Judged, np.ndarray]:
            mask = impressions["split"] == split
            user, gold = np.array(impressions["user_id"])[mask], np.arange(mask.sum()) % 2
            return Judged(impressions["clicked"][mask], page[mask], user, gold), score[mask]

        new, ladder = judged("new_users")
        test = judged("test")
        return {
            "exposed": judge_exposed(*test, 10, 0),
            **({"open": judge_open(*judged("open"), 10, 0)} if with_open else {}),
            **judge_new_users(new, {0: ladder, 30: ladder}, 10, 0),
            "slices": judge_slices(*test, {"query head": np.ones(30, bool)}, 10, 0),
        }

    ours, theirs = random.uniform(0.01, 0.9, (2, rows))
    metrics = {
        **system(ours), "lightgbm": system(theirs), "position_gain": 0.001, "seconds": {"install": None, "rank": 61.0},
        "seed": 7, "git_commit": "c0ffee", "date": "2026-01-01", "command": "python -m rank run --name '<x>'",
        "reconstructed": NOTE, "encoder": None, "lightgbm_settings": {"num_leaves": 31}, **MEASURED,
    }  # fmt: skip
    ranker = folder / "ranker"
    ranker.mkdir()
    given = np.sort(random.uniform(0, 1, (rows, 2)), axis=1).astype(np.float32)
    given[0] = given[0, ::-1]  # one violation, in the test set
    lists = {"level_prob": random.dirichlet(np.ones(2), rows).astype(np.float32), "p_click_given_level": given}
    predictions = pa.table({
        **{name: impressions[name] for name in ("impression_id", "page_id", "split", "clicked")},
        "history_pages": pa.array([0 if split == "new_users" else None for split in impressions["split"]], pa.int32()),
        "p_click": ours.astype(np.float32),
        "tau": np.full(rows, tau, np.float32),
        **{name: pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), 2) for name, part in lists.items()},
        "p_click_lightgbm": theirs.astype(np.float32),
    })  # fmt: skip
    pq.write_table(predictions, ranker / "predictions.parquet")
    log = [{"loss": 1.0, "relevance": 1.0, "step": 5}, {"loss": 0.5, "click": 0.3, "step": 10}, {"train_runtime": 1.0}]
    for name, part in {"metrics": metrics, "training_log": log, "config": {"level_names": LEVELS}}.items():
        (ranker / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stage(tmp_path_factory.mktemp("artifacts") / "toy")


@pytest.fixture(scope="module")
def source(workspace: Path) -> str:
    """The page of a run and a benchmark."""
    return write_report(workspace, BENCH).read_text(encoding="utf-8")


@pytest.fixture
def changed(workspace: Path) -> Iterator[Callable[[Callable[[dict[str, Any]], None]], Path]]:
    """Writes the page with other metrics; puts the first ones back in the end."""
    path = workspace / "ranker" / "metrics.json"
    original = path.read_text(encoding="utf-8")

    def write(change: Callable[[dict[str, Any]], None]) -> Path:
        metrics = json.loads(original)
        change(metrics)
        path.write_text(json.dumps(metrics), encoding="utf-8")
        return write_report(workspace)

    yield write
    path.write_text(original, encoding="utf-8")


def test_the_page_is_whole_and_reaches_for_nothing_outside(workspace: Path) -> None:
    path = write_report(workspace, BENCH)
    assert path == workspace / "report.html" and path.stat().st_size < 200_000
    assert [file.name for file in workspace.iterdir() if "report" in file.name] == [
        "report.html"
    ]  # nothing half-written
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert not any(name in attributes for _, attributes in page.tags for name in ("src", "style", "onload", "onclick"))
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.tags)
    assert not re.search(r"https?:|@import|url\(|@font-face", source)
    assert "default-src 'none'" in source and "prefers-color-scheme: dark" in source


def test_every_figure_has_a_title_a_reading_charts_and_its_numbers(source: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", source, re.S)
    assert len(figures) == 13
    for figure in figures:
        page = Page(figure)
        assert page.count("h3") == 1 and "How to read this:" in page.text
        assert page.count("svg") >= 1 and page.count("table") == 1 and page.count("caption") == 1
        for chart in re.findall(r"<svg.*?</svg>", figure, re.S):
            assert chart.count('class="label"') >= 1 and 'aria-label="' in chart


def test_the_caveat_stands_once_in_each_section_and_what_was_run_last(source: str) -> None:
    sections = re.findall(r"<section.*?</section>", source, re.S)
    assert {Page(section).text.count(NOTE) for section in sections[:-2]} == {1}
    assert [Page(section).text.count(NOTE) for section in sections[-2:]] == [0, 0]
    assert ['id="terms"' in sections[-2], 'id="provenance"' in sections[-1]] == [True, True]
    assert "c0ffee" in sections[-1] and "c0ffee" not in "".join(sections[:-1])


def test_texts_of_charts_keep_their_size_on_a_phone(source: str) -> None:
    """12 px, where the page never draws a chart narrower than 11 / 12 of what it is laid out for."""
    least = {int(width): int(px) for width, px in re.findall(r'svg\[width="(\d+)"\] { min-width: (\d+)px; }', source)}
    widths = {int(width) for width in re.findall(r'<svg viewBox="[^"]*" width="(\d+)"', source)}
    assert widths and widths <= set(least) and "font-size: 12px" in source
    assert all(px * 12 / width >= 11 for width, px in least.items())


def test_a_real_search_stands_side_by_side_and_queries_with_their_command(source: str) -> None:
    page = Page(source)
    for title in ("Relevance alone", "LightGBM", "PRECTR"):
        assert any(title in heading for heading in re.findall(r"<h4>(.*?)</h4>", source, re.S))
    assert "“cola”, before and after" in page.text and page.text.count("✓ clicked") == 3
    assert re.search(r"rank explain --name toy --artifacts \S+ --page \d", page.text)


def test_what_is_measured_besides_is_told_and_older_figures_leave_it_out(
    changed: Callable[[Callable[[dict[str, Any]], None]], Path],
) -> None:
    def older(metrics: dict[str, Any]) -> None:
        for name in ("position", "importance", "data", "size", "latency", "differences"):
            metrics.pop(name)
        for system in (metrics, metrics["lightgbm"]):
            for name in ("ndcg@10", "mrr"):
                del system["exposed"][name], system["exposed"]["ci95"][name]

    page = changed(lambda metrics: None)
    new = {"Measure by measure", "Importance of each part", "Click-through rate by place on the page"}
    assert new <= set(headings(page))
    text = Page(page.read_text(encoding="utf-8")).text
    for told in ("2024-01-01 – 2024-02-01", "3.2 ms a page", "97.0 MB", "mrr", "nobody"):
        assert told in text
    page = changed(older)
    assert not new & set(headings(page)) and "Training" in headings(page)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Position gain +0.0010" in text and "ms a page" not in text and "None" not in text


def test_tables_can_be_read_aloud(source: str) -> None:
    page = Page(source)
    assert page.count("caption") == page.count("table")
    assert {attributes.get("scope") for tag, attributes in page.tags if tag == "th"} == {"col", "row"}


def test_figures_stand_beside_lightgbm_with_interval_and_n(workspace: Path, source: str) -> None:
    metrics = json.loads((workspace / "ranker" / "metrics.json").read_text(encoding="utf-8"))
    page = Page(source)
    for system in (metrics, metrics["lightgbm"]):
        low, high = system["exposed"]["ci95"]["auc"]
        assert f"{system['exposed']['auc']:.4f}\n[{low:.3f}, {high:.3f}]" in page.text
    assert page.text.count("6 pages, 3 users, 30 impressions, 6 clicks") == 3
    assert "1 is calibrated" in page.text and "3.3% of the 30 impressions violate" in page.text


def test_what_was_run_is_told_and_texts_are_escaped(source: str) -> None:
    page = Page(source)
    for fact in ("python -m rank run --name '<x>'", "c0ffee", "2026-01-01", "61: rank 61", "num_leaves 31"):
        assert fact in page.text
    assert "A <fast> CPU, 2 cores, 7.5 GiB" in page.text
    assert "<x>" not in source and "<b>" not in source and "<fast>" not in source
    assert "1 <b>exact</b>" in page.text


def test_a_benchmark_brings_its_systems_and_paired_differences(workspace: Path) -> None:
    (workspace / "bench.json").write_text(json.dumps(BENCH), encoding="utf-8")
    page = Page(write_report(workspace).read_text(encoding="utf-8"))
    (workspace / "bench.json").unlink()
    assert "Benchmark: rivals and ablations" in page.text
    assert "0.9100 ± 0.0141" in page.text and "+0.0500\n[+0.0400, +0.0600]" in page.text
    assert "gain over din" in page.text


def test_a_benchmark_alone_makes_a_page(tmp_path: Path) -> None:
    ablations = {"no_debias": {"exposed.auc": {"mean": None, "ci95": None}}}
    source = write_report(tmp_path, BENCH | {"ablations": ablations}).read_text(encoding="utf-8")
    assert Page(source).count("section") == 2 and "over no_debias" in source


def test_a_data_set_alone_is_compared_with_no_other_and_two_are(workspace: Path, tmp_path: Path) -> None:
    alone, beside = tmp_path / "shop", tmp_path / "marketplace"
    shutil.copytree(workspace, alone)
    assert "Other data sets" not in headings(write_report(alone))
    shutil.copytree(workspace, beside)
    figures = json.loads((beside / "ranker" / "metrics.json").read_text(encoding="utf-8"))
    figures["exposed"]["auc"] = 0.4321
    (beside / "ranker" / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
    page = write_report(alone)
    assert "Other data sets" in headings(page)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "marketplace" in text and "0.432" in text


def test_nothing_to_report_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="make rank"):
        write_report(tmp_path)


def test_undefined_figures_are_dashes(changed: Callable[[Callable[[dict[str, Any]], None]], Path]) -> None:
    def undefine(metrics: dict[str, Any]) -> None:
        metrics["exposed"] |= {"auc": None, "pcoc": None}
        metrics["new_users"]["30"] = metrics["new_users_ci95"]["0"] = None
        metrics["slices"]["query head"]["auc"] = None

    page = Page(changed(undefine).read_text(encoding="utf-8"))
    assert "–" in page.text and "None" not in page.text and "nan" not in page.text


def test_slices_show_their_intervals_where_there_are_any(
    changed: Callable[[Callable[[dict[str, Any]], None]], Path],
) -> None:
    def add(metrics: dict[str, Any]) -> None:
        metrics["slices"]["query head"]["ci95"] = {"auc": [0.123, 0.987]}

    assert "\n[0.123, 0.987]" in Page(changed(add).read_text(encoding="utf-8")).text


def test_the_machine_is_told_where_it_is_known(changed: Callable[[Callable[[dict[str, Any]], None]], Path]) -> None:
    machine = {"cpu": "Z80", "cores": 1, "memory_gib": 0.1}
    assert "Z80, 1 cores" in changed(lambda metrics: metrics.update(machine=machine)).read_text(encoding="utf-8")


def test_a_run_with_less_has_a_shorter_page(tmp_path: Path) -> None:
    """No open set, no gold levels, no incentive, no clicks, one user, no log of the past."""
    workspace = make_stage(tmp_path / "less", users=1, with_open=False, with_gold=False, clicks=False, tau=0.0)
    (workspace / "behaviours" / "step.json").unlink()
    page = Page(write_report(workspace).read_text(encoding="utf-8"))
    assert "Fewer than 10 users: no intervals" in page.text and "None" not in page.text
    titles = " ".join(headings(workspace / "report.html"))
    assert "Open candidates" not in titles and "Incentive" not in titles and "Reliability" in titles


def test_open_candidates_without_gold_levels_have_no_charts_by_level(tmp_path: Path) -> None:
    workspace = make_stage(tmp_path / "no_gold", with_gold=False)
    write_report(workspace)
    assert not any("by gold level" in title for title in headings(workspace / "report.html"))


def test_impressions_meet_their_users_levels_and_past(workspace: Path) -> None:
    scored = read_scored(workspace, "open")
    assert scored is not None and scored.past_pages is not None
    assert scored.gold_level.tolist() == [0, 1, 0, 1, -1] * 6
    assert scored.user[:11].tolist() == [0] * 5 + [1] * 5 + [2]
    assert scored.past_pages[[0, 5]].tolist() == [1, 0] and (scored.history_pages == -1).all()
    assert read_scored(workspace, "validation") is None


def test_tables_that_changed_since_are_refused(tmp_path: Path) -> None:
    workspace = make_stage(tmp_path / "changed")
    other = pq.read_table(workspace / "data" / "impressions.parquet").slice(1)
    pq.write_table(other, workspace / "data" / "impressions.parquet")
    with pytest.raises(PrectrError, match=r"predictions\.parquet: impression_id: 1 of the test impressions"):
        write_report(workspace)
