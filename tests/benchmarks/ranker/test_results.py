"""From what trainings leave behind to figures and differences, on folders written by hand: nothing is trained here."""

import json
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.ranker import results, scores
from benchmarks.ranker.cell import Cell
from benchmarks.ranker.results import best_rival, compute_results
from benchmarks.ranker.scores import Protocol, read_probabilities
from benchmarks.ranker.tables import show
from prectr.rank.features.prepared_set import PreparedSet
from prectr.shared.errors import PrectrError

CLICKED = np.array([1, 0, 0, 1, 0, 0], np.uint8)
GOLD = np.array([1, 0, 1, 0, 1, -1])
PAGE = np.array([0, 0, 0, 1, 1, 1])
USERS = ["ann", "ann", "ann", "bob", "bob", "bob"]
SETS = {"test": 0, "open": 100, "new_users_0": 200, "new_users_3": 200}
# AUC against CLICKED: 1, 7/8 (the second click behind one of four) and 1/2.
PERFECT, GOOD, USELESS = (
    np.array([0.9, 0.2, 0.1, 0.8, 0.3, 0.1]),
    np.array([0.9, 0.2, 0.1, 0.4, 0.5, 0.1]),
    np.full(6, 0.5),
)
SCORES = {
    "prectr_v2": PERFECT, "frozen_encoder": PERFECT, "no_debias": GOOD, "no_fusion": GOOD, "no_two_step": USELESS,
    "prectr_v1": GOOD, "lightgbm": USELESS,
}  # fmt: skip


def prepared() -> PreparedSet:
    level_prob = np.eye(2, dtype=np.float32)[[1, 0, 1, 0, 0, 0]]  # of GOLD, 4 of the 5 that are known
    values = {"impression": np.arange(6), "clicked": CLICKED, "page": PAGE, "level_prob": level_prob}
    empty = {item.name: np.zeros(1) for item in fields(PreparedSet) if item.name not in ("position", "weight")}
    return PreparedSet(**cast(Any, empty | values))


def table_of(split: str) -> pa.Table:
    first = SETS["new_users_0" if split == "new_users" else split]
    return pa.table({"impression_id": np.arange(first, first + 6), "page_id": np.arange(6) // 2, "user_id": USERS})


def write_cell(cell: Cell) -> None:
    score = SCORES[cell.system]
    if cell.system == "lightgbm":
        cell.folder.mkdir(parents=True)
        for name in SETS:
            np.save(cell.folder / f"{name}.npy", score)
        (cell.folder / "facts.json").write_text(json.dumps({"seconds": {"train": 2.0}}))
        return
    folder = cell.folder / "ranker"
    folder.mkdir(parents=True)
    metrics = {"seconds": {"rank": 4.0}, "git_commit": "c0ffee", "encoder": {"data": "toy"}}
    if cell.system == "frozen_encoder":
        metrics["encoder_share"] = 0.25
    (folder / "metrics.json").write_text(json.dumps(metrics))
    given_level = np.array([[0.2, 0.1]] * 3 + [[0.1, 0.2]] * 3)
    parts = []
    for name, first in SETS.items():
        cut = int(name[-1]) if name.startswith("new_users") else None
        parts.append(
            pa.table(
                {
                    "impression_id": np.arange(first, first + 6),
                    "split": ["new_users" if cut is not None else name] * 6,
                    "history_pages": pa.array([cut] * 6, pa.int32()),
                    "p_click": score.astype(np.float32),
                    "level_prob": pa.FixedSizeListArray.from_arrays(np.tile([0.1, 0.9], 6), 2),
                    "p_click_given_level": pa.FixedSizeListArray.from_arrays(given_level.ravel(), 2),
                }
            )
        )
    pq.write_table(pa.concat_tables(parts), folder / "predictions.parquet")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two seeds of every system, finished."""
    for name in (*SETS, "train"):
        prepared().save(tmp_path / "features" / name)

    def stage_of(cell: Cell) -> SimpleNamespace:
        return SimpleNamespace(
            folder=tmp_path,
            data=tmp_path / "data",
            impressions=table_of,
            run=SimpleNamespace(encoder="/home/me/encoders/other"),
            history=SimpleNamespace(cold_lengths=[0, 3]),
            losses=SimpleNamespace(negative_sampling_rate=1.0),
            training=SimpleNamespace(passes=(1.5, 0.5)),
            model=SimpleNamespace(fusion="sigmoid" if cell.system == "no_fusion" else "conditional"),
        )

    monkeypatch.setattr(Cell, "workspace", stage_of)
    monkeypatch.setattr(Cell, "seconds", lambda cell: 9.0 + cell.seed)
    monkeypatch.setattr(scores, "gold_levels", lambda rows, data: GOLD)
    monkeypatch.setattr(results, "reconstructed", lambda data: "The pages are reconstructed.")
    made = [Cell(system, seed, tmp_path / "bench", ()) for system in SCORES for seed in (3, 5)]
    for cell in made:
        write_cell(cell)
    return made


def test_the_result_has_every_section_for_every_system_and_seed(cells: list[Cell]) -> None:
    result = compute_results("python -m benchmarks.ranker", cells, 50)
    assert list(result["systems"]) == list(SCORES) and result["seeds"] == [3, 5]
    ours = result["systems"]["prectr_v2"]
    assert ours["exposed.auc"] == ours["new_users.0"] == ours["open.auc"] == [1.0, 1.0]
    assert {name.partition(".")[0] for name in ours} == {"exposed", "open", "new_users"}
    assert result["systems"]["no_debias"]["exposed.auc"] == [0.875, 0.875]
    assert result["systems"]["lightgbm"]["exposed.pcoc"] == [pytest.approx(1.5)] * 2
    assert result["commit"] == "c0ffee" and result["n"]["open"]["pages"] == 2
    assert set(result["machine"]) == {"cpu", "cores", "memory_gib"}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_differences_are_paired_and_their_intervals_are_over_users(cells: list[Cell]) -> None:
    result = compute_results("", cells, 200)
    earned = result["ablations"]["no_debias"]["exposed.auc"]
    assert earned["mean"] == pytest.approx(0.125)
    # ann alone: both are perfect; bob alone: the click is behind one of two.
    assert earned["ci95"] == pytest.approx([0, 0.5])
    assert result["versus"]["lightgbm"]["exposed.auc"]["ci95"] == pytest.approx([0.5, 0.5])
    assert result["versus"]["lightgbm"]["exposed.ece"]["ci95"] is None
    assert set(result["versus"]) == {"prectr_v1", "lightgbm"}
    assert result["ablations"]["no_two_step"]["exposed.auc"]["mean"] == pytest.approx(0.5)
    assert result["ablation_of"] == {
        "frozen_encoder": "prectr_v2", "no_debias": "frozen_encoder", "no_fusion": "frozen_encoder",
        "no_two_step": "prectr_v2",
    }  # fmt: skip
    assert set(result["ablations"]) == set(result["ablation_of"])


def test_the_best_rival_is_chosen_measure_by_measure(cells: list[Cell]) -> None:
    gains = compute_results("", cells, 20)["gains"]
    assert gains["exposed.auc"]["ours"] == 1 and gains["exposed.auc"]["theirs"] == 0.875
    assert gains["exposed.auc"]["over"] == "prectr_v1" and gains["exposed.auc"]["mean"] == pytest.approx(0.125)
    # Of calibration the nearest to 1 is best; ablations are no rivals.
    systems = {
        "prectr_v2": {"exposed.pcoc": [1.0], "exposed.logloss": [0.1], "exposed.auc": [0.9]},
        "prectr_v1": {"exposed.pcoc": [1.3], "exposed.logloss": [0.3], "exposed.auc": [0.7]},
        "lightgbm": {"exposed.pcoc": [0.9], "exposed.logloss": [0.2], "exposed.auc": [None]},
        "no_debias": {"exposed.pcoc": [1.0], "exposed.logloss": [0.0], "exposed.auc": [1.0]},
    }
    best = {name: best_rival(systems, name) for name in systems["prectr_v2"]}
    assert best == {"exposed.pcoc": "lightgbm", "exposed.logloss": "lightgbm", "exposed.auc": "prectr_v1"}
    assert best_rival({"prectr_v2": {"exposed.auc": [1.0]}}, "exposed.auc") is None


def test_relevance_and_speed_are_told_of_the_systems_that_have_them(cells: list[Cell]) -> None:
    result = compute_results("", cells, 5)
    assert result["level_accuracy"]["stage_one"] == 0.8
    assert result["level_accuracy"]["prectr_v2"] == [pytest.approx(0.6)] * 2  # level 1 for all
    assert result["violations"]["prectr_v2"] == [0.5, 0.5] and "no_fusion" not in result["violations"]
    assert result["seconds"]["lightgbm"] == [2.0, 2.0] and "lightgbm" not in result["level_accuracy"]
    assert result["samples_per_second"]["prectr_v1"] == [3.0, 3.0]
    assert result["cell_seconds"]["lightgbm"] == result["cell_seconds"]["prectr_v2"] == [12.0, 14.0]
    assert result["encoder_share"] == {"frozen_encoder": [0.25, 0.25]}


def test_the_result_says_that_its_rivals_were_fair_and_which_encoder_all_started_from(cells: list[Cell]) -> None:
    result = compute_results("", cells, 5)
    assert result["fair"] is True
    assert result["encoder"] == {"folder": "other", "data": "toy"}, "no path of this machine"


def test_other_impressions_are_refused(cells: list[Cell]) -> None:
    protocol = Protocol(cells[0].workspace())
    path = cells[0].folder / "ranker" / "predictions.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    rival = cells[-1]
    np.save(rival.folder / "open.npy", np.zeros(5))
    for cell in (cells[0], rival):
        with pytest.raises(PrectrError, match=f"{cell.name} judged other impressions"):
            read_probabilities(cell, protocol)


def test_the_tables_show_systems_gains_and_where_the_figures_are(
    cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    show(compute_results("python -m benchmarks.ranker", cells, 20), Path("ranker_toy.json"), Path("report.html"))
    shown = capsys.readouterr().out
    assert "0.8750 ± 0.0000" in shown and "+0.1250" in shown and "mean ± sd over 2 seeds" in shown
    assert "What the encoder is worth" in shown and "What each part is worth" in shown
    gain = next(line for line in shown.splitlines() if line.strip(" │|").startswith("exposed.auc"))
    assert [cell for cell in gain.replace("│", " ").split()][1:5] == ["1.0000", "0.8750", "prectr_v1", "+0.1250"]
    assert "The pages are reconstructed." in shown and "ranker_toy.json" in shown and "report.html" in shown
