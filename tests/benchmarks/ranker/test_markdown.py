"""The tables of RESULTS.md, as they are made of result files."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ranker.markdown import difference, encoder_table, figure, main, rivals_table
from benchmarks.ranker.systems import RIVALS
from prectr.shared.errors import PrectrError


def result(**changed: Any) -> dict[str, Any]:
    gain = {"over": "catboost", "ours": 0.9191, "theirs": 0.907, "mean": 0.0121, "ci95": [0.0098, 0.0146]}
    pcoc = {"over": "din", "ours": 1.022, "theirs": 1.01, "mean": 0.012, "ci95": None}
    return {
        "fair": True,
        "seeds": [0, 1, 2],
        "versus": {name: {} for name in ("lightgbm", "catboost", "din")},
        "systems": {"lightgbm": {"exposed.auc": [0.9, 0.906, 0.903], "exposed.pcoc": [0.975] * 3}},
        "gains": {"exposed.auc": gain, "exposed.pcoc": pcoc},
        "ablations": {"frozen_encoder": {"exposed.auc": {"mean": -0.0004, "ci95": [-0.002, 0.001]}}},
        **changed,
    }


def test_a_row_has_ours_lightgbm_the_best_rival_and_the_gain_over_it() -> None:
    head, _, auc, pcoc = rivals_table("journey", result())
    assert "`journey`, 3 seeds" in head and "best of 3 fair rivals" in head
    assert auc == "| pages as shown: AUC | **.9191** | .9030 | .9070 CatBoost | + .0121 [+ .0098, + .0146] |"
    assert pcoc.endswith("| 1.022 | .975 | **1.010** DIN | 2.2 % more clicks predicted than made |")


def test_each_data_set_is_a_column_of_what_the_encoder_is_worth() -> None:
    lines = encoder_table({"journey": result(), "listings": result(ablations={})})
    assert lines[0] == "| what the encoder is worth | `journey` | `listings` |" and len(lines) == 3
    assert lines[2].endswith("| − .0004 [− .0020, + .0010] | – |")


def test_what_is_undefined_is_a_dash() -> None:
    assert figure("exposed.auc", None) == difference({"mean": None, "ci95": None}) == "–"
    assert difference({"mean": 0.5, "ci95": None}) == "+ .5000"


def test_every_rival_has_a_name_in_the_table() -> None:
    for rival in RIVALS:
        gains = {"exposed.auc": {**result()["gains"]["exposed.auc"], "over": rival}}
        assert rival not in rivals_table("journey", result(gains=gains))[2]


def test_the_tables_of_all_files_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"ranker_{name}.json" for name in ("journey", "listings")]
    for path in paths:
        path.write_text(json.dumps(result()), encoding="utf-8")
    main([str(path) for path in paths])
    shown = capsys.readouterr().out
    assert shown.count("| pages as shown: AUC | **.9191**") == 2 and shown.count("`listings`") == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "is not there; make bench writes it"), ({}, "its rivals did not read the ranker's counts")],
)
def test_a_result_that_is_missing_or_unfair_is_refused(
    content: dict[str, Any] | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "ranker_toy.json"
    if content is not None:
        path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PrectrError, match=sentence):
        main([str(path)])
    with pytest.raises(PrectrError, match="name result files"):
        main([])
