"""Both stages of the toy shop on three nodes, one of which dies: the tables, vectors and figures of one process."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.rank.__main__ import main as rank_main
from prectr.shared.run.steps import read_record
from tests.shared.engine.clusters import losing, started
from tests.test_end_to_end import STEPS, without_seconds

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MADE_OF_BYTES = tuple(step for step in STEPS if step not in ("teacher", "encoder", "trained", "ranker"))
"""Steps that note no date and no seconds."""


def run_all(artifacts: Path, engine: str) -> Path:
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    data_main(["build", *where])
    distill_main(["run", *where, "--engine", engine])
    rank_main(["run", *where, "--engine", engine])
    return artifacts / "toy"


def test_a_run_on_nodes_is_that_of_one_process(tmp_path: Path) -> None:
    plain = run_all(tmp_path / "plain", "plain")
    with started(3) as nodes, losing(nodes, 1) as died:
        found = run_all(tmp_path / "nodes", "ray")
    assert len(died) == 1
    for step in MADE_OF_BYTES:
        assert read_record(found / step).files == read_record(plain / step).files, step
    for part in ("encoder", "ranker"):
        ours, theirs = (without_seconds(json.loads((at / part / "metrics.json").read_text())) for at in (found, plain))
        assert ours == theirs
    ours, theirs = (pq.read_table(at / "ranker" / "predictions.parquet") for at in (found, plain))
    for name in ours.column_names:
        if name in ("p_click", "tau", "p_click_lightgbm"):
            assert np.abs(ours[name].to_numpy() - theirs[name].to_numpy()).max() < 1e-6
        elif name not in ("level_prob", "p_click_given_level"):
            assert ours[name].equals(theirs[name])
