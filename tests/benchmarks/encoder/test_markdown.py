"""The encoder's tables: figures by hand, and the document that holds them."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.encoder.beside import SYSTEMS
from benchmarks.encoder.cells import RESULTS
from benchmarks.encoder.markdown import MEASURES, gains_table, judges_table, main, title
from prectr.shared.errors import PrectrError

FILES = [RESULTS / f"{name}.json" for name in ("encoder_homedepot", "encoder_chorus", "encoder_journey")]
FILES.append(RESULTS / "unseen_types_journey.json")


def result(clocked: bool) -> dict[str, Any]:
    clock = {"ms_50_cold": [256.4], "ms_50_stored": [0.21]} if clocked else {}
    figures = {measure: [0.25, 0.5] for measure in MEASURES} | clock
    gain = {"mean": 0.0231, "ci95": [-0.001, 0.0477]}
    return {
        "systems": {system: figures for system in SYSTEMS},
        "versus": {system: {"within_query_spearman": gain} for system in SYSTEMS if system != "student"},
    }


def test_a_row_has_the_mean_over_seeds_and_what_a_query_takes() -> None:
    head, _, *rows = judges_table({"`a`": result(True), "`b`": result(False)})
    assert "| `a` | `b` |" in head and len(rows) == len(SYSTEMS)
    assert rows[-1] == "| **student** | .375 / .375 / .375 / .375 | .375 / .375 / .375 / .375 | 256 / 0.2 |"
    assert judges_table({"`b`": result(False)})[-1].endswith("| – |")


def test_a_gain_has_its_interval() -> None:
    rows = gains_table({"`a`": result(True)})[2:]
    assert len(rows) == len(SYSTEMS) - 1
    assert rows[0].endswith("| + .023 [− .001, + .048] |")


def test_files_are_called_by_their_data() -> None:
    assert [title(path) for path in FILES[2:]] == ["`journey`", "`journey`, types without gold"]


def test_the_document_holds_what_the_result_files_say() -> None:
    results = {title(path): json.loads(path.read_text(encoding="utf-8")) for path in FILES}
    full = (Path(__file__).parents[3] / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    for table in (judges_table(results), gains_table(results)):
        assert "\n".join(table) in full


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="is not there; python -m benchmarks.encoder.beside writes it"):
        main([str(tmp_path / "encoder_toy.json")])
    with pytest.raises(PrectrError, match="name result files"):
        main([])
