"""Both stages of the toy shop on three nodes, one of which dies: the run ends by itself.

Labels are those of one process, byte for byte. Both trainings run in several processes there, each with dropout of its
own, so what is made of their weights is compared where those are the same: `tests/rank/test_engines.py`,
`tests/shared/engine/test_ray_train.py`.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.rank.__main__ import main as rank_main
from prectr.shared.run.steps import read_record, require_whole
from tests.shared.engine.clusters import losing, started
from tests.test_end_to_end import STEPS

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def run_all(artifacts: Path, engine: str) -> Path:
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    data_main(["build", *where])
    distill_main(["run", *where, "--engine", engine])
    rank_main(["run", *where, "--engine", engine])
    return artifacts / "toy"


def test_a_run_on_nodes_ends_whoever_dies(tmp_path: Path) -> None:
    plain = run_all(tmp_path / "plain", "plain")
    with started(3) as nodes, losing(nodes, 1) as died:
        found = run_all(tmp_path / "nodes", "ray")
    assert len(died) == 1
    for step in ("data", "labels"):
        assert read_record(found / step).files == read_record(plain / step).files, step
    for step in STEPS:
        require_whole(found / step)
    ours, theirs = (pq.read_table(at / "ranker" / "predictions.parquet") for at in (found, plain))
    for name in ("impression_id", "split"):
        assert ours[name].equals(theirs[name])
    assert np.isfinite(ours["p_click"].to_numpy()).all()
