"""Students on types of queries that gold knows nothing of: what the file of record holds, and when there is none."""

import json
from pathlib import Path

import pytest

from benchmarks.encoder.beside import SYSTEMS
from benchmarks.encoder.cells import RESULTS
from benchmarks.encoder.unseen_types import MEASURES, main
from prectr.shared.errors import PrectrError


def test_the_file_of_record_has_every_measure_of_every_system() -> None:
    result = json.loads((RESULTS / "unseen_types_journey.json").read_text(encoding="utf-8"))
    assert set(result["systems"]) == set(SYSTEMS) and result["pairs"] > 1000
    for system, figures in result["systems"].items():
        assert set(figures) == set(MEASURES), system
        assert len(figures["spearman"]) == (len(result["seeds"]) if "student" in system else 1)


def test_what_is_missing_is_named(smoke_artifacts: Path) -> None:
    where = ["--profile", "smoke", "--artifacts", str(smoke_artifacts)]
    with pytest.raises(PrectrError, match="encoder is not there: run `make distill DATA=toy`"):
        main(where)
