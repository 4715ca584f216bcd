"""What `make rank` shows at its end."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from prectr.rank.evaluation.protocol import Judged, judge_exposed, judge_new_users, judge_open, judge_slices
from prectr.rank.reports import terminal as report
from prectr.shared.run import console

pytestmark = pytest.mark.usefixtures("few_users")

JUDGED = Judged(
    clicked=np.array([1, 0, 0, 0, 1, 0]),
    page=np.array([0, 0, 0, 1, 1, 1]),
    user=np.array(["ann"] * 3 + ["bob"] * 3),
    gold_level=np.array([3, 1, 0, 2, 3, 0]),
)
OURS = np.array([0.6, 0.2, 0.2, 0.5, 0.4, 0.1])  # AUC 7/8
THEIRS = np.full(6, 0.25)  # AUC 1/2


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    for module in (console, report):
        monkeypatch.setattr(module, "console", Console(file=stream, width=200))
    return stream


def judged(score: np.ndarray) -> dict[str, Any]:
    return {
        "exposed": judge_exposed(JUDGED, score, 20, 0),
        "open": judge_open(JUDGED, score, 20, 0),
        **judge_new_users(JUDGED, {0: THEIRS, 30: score}, 20, 0),
        "slices": judge_slices(
            JUDGED, score, {"query head": np.ones(6, bool), "query tail": np.array([False] * 5 + [True])}, 20, 0
        ),
    }


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        **judged(OURS),
        "lightgbm": judged(THEIRS),
        "position_gain": -0.00213,
        "seconds": {"install": None, "data": 61.4, "rank": 1200.4},
        "seed": 7,
        "git_commit": "c0ffee",
        "date": "2026-01-01",
        "command": "python -m rank run --profile smoke",
        "reconstructed": "The pages are reconstructed.",
    }


def line_of(shown: io.StringIO, *words: str) -> str:
    found = [line for line in shown.getvalue().splitlines() if all(word in line for word in words)]
    assert found, f"no line with {words} in:\n{shown.getvalue()}"
    return found[0]


def test_both_systems_stand_side_by_side_with_their_intervals(shown: io.StringIO, metrics: dict[str, Any]) -> None:
    report.show(metrics, Path("artifacts/toy/ranker"))
    assert line_of(shown, " auc ", "0.8750 [0.500, 1.000]", "0.5000 [0.500, 0.500]")
    assert line_of(shown, "measure", "prectr", "lightgbm") and line_of(shown, "pages known", "prectr", "lightgbm")
    for name in (*report.EXPOSED, *report.OPEN, "n = 0", "n = 30"):
        assert line_of(shown, f"│ {name} ")
    tables = [line for line in shown.getvalue().splitlines() if line[:1] in "┏┃│"]
    assert max(map(len, tables)) <= 100, "a terminal of 100 columns folds no cell"


def test_every_table_says_how_much_it_rests_on_and_what_is_reconstructed(
    shown: io.StringIO, metrics: dict[str, Any]
) -> None:
    report.show(metrics, Path("artifacts/toy/ranker"))
    text = " ".join(shown.getvalue().split())
    assert text.count("The pages are reconstructed.") == 4
    assert text.count("2 pages, 2 users, 6 impressions, 2 clicks") == 3
    assert "gauc_page 100%" in text


def test_a_slice_without_clicks_has_no_figures(shown: io.StringIO, metrics: dict[str, Any]) -> None:
    report.show(metrics, Path("artifacts/toy/ranker"))
    cells = [cell.strip() for cell in line_of(shown, "query tail").strip("│").split("│")]
    assert cells == ["query tail", "1", "0", "–", "–", "–", "–"]
    assert "0.8750" in line_of(shown, "query head")


def test_figures_that_are_undefined_are_dashes(shown: io.StringIO, metrics: dict[str, Any]) -> None:
    metrics["exposed"]["auc"] = None
    metrics["new_users"]["30"] = None
    report.show(metrics, Path("artifacts/toy/ranker"))
    assert line_of(shown, "│ auc ").strip("│").split("│")[1].strip() == "–"
    assert "None" not in shown.getvalue() and "nan" not in shown.getvalue()


def test_a_value_without_an_interval_is_shown_and_why_it_has_none(shown: io.StringIO, metrics: dict[str, Any]) -> None:
    metrics["new_users_ci95"]["30"] = None
    report.show(metrics, Path("artifacts/toy/ranker"))
    cell = line_of(shown, "│ n = 30 ").strip("│").split("│")[1].strip()
    assert cell == f"{metrics['new_users']['30']:.4f}" and "too few users for intervals" in shown.getvalue()


def test_time_seed_commit_and_the_next_step_are_told(shown: io.StringIO, metrics: dict[str, Any]) -> None:
    report.show(metrics, Path("artifacts/toy/ranker"))
    seconds = line_of(shown, "Seconds")
    assert "data 61" in seconds and "rank 1,200" in seconds and "total 1,262" in seconds and "install" not in seconds
    assert line_of(shown, "seed 7", "c0ffee", "2026-01-01", "python -m rank run --profile smoke")
    assert line_of(shown, "position_gain", "-0.0021")
    assert line_of(shown, "artifacts/toy/ranker", "predictions.parquet")


def test_the_verdict_is_said_last_and_a_trial_in_red(metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    for module in (console, report):
        colours = Console(file=stream, width=300, force_terminal=True, color_system="standard")
        monkeypatch.setattr(module, "console", colours)
    metrics["differences"] = {"exposed": {"auc": {"gap": 0.1, "ci95": [0.05, 0.2]}}}
    report.show(metrics, Path("artifacts/toy/ranker"))
    *_, sentence, warning = stream.getvalue().splitlines()
    assert "the ranker leads in AUC on pages as shown by .1000 [.0500, .2000]" in sentence
    assert "TRIAL RUN" in warning and "\x1b[1;31m" in warning
    stream.truncate(0)
    metrics["command"] = "python -m rank run"
    report.show(metrics, Path("artifacts/toy/ranker"))
    assert "TRIAL" not in stream.getvalue() and "\x1b[1;31m" not in stream.getvalue()


def test_next_commands_are_those_of_this_ranker(metrics: dict[str, Any]) -> None:
    found = report.next_commands(metrics | {"example_page": 17}, Path("else where/toy/ranker"))
    flags = " --name toy --artifacts 'else where'"
    assert found[0].endswith(f"rank explain --page 17{flags}")
    assert all(command.endswith(flags) for command in found[:-1])
    usual = report.next_commands(metrics, Path("artifacts/journey/ranker"))
    assert not [command for command in usual if "--artifacts" in command or "--page" in command]
