"""Three nodes on loopback: all of them work, and where one is lost, the others do what it had."""

from collections import Counter

import pytest

from prectr.shared.engine.plain import PLAIN
from tests.shared.engine.clusters import started
from tests.shared.engine.jobs import noted, slowly, squares

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

PARTS = 24


@pytest.mark.parametrize("kept", [False, True])
def test_a_killed_node_changes_nothing(tmp_path, kept) -> None:
    from prectr.shared.engine.ray import RayEngine

    with started(3) as nodes:
        folder = tmp_path / "kept" if kept else None
        found = RayEngine().map(squares(tmp_path, slowly), range(PARTS), kept=folder)
        results = [next(found) for _ in range(9)]
        processes = {process for process, _ in noted(tmp_path / "worked")}
        nodes.kill_one()
        results += found
    assert len(processes) >= 3
    expected = PLAIN.map(squares(tmp_path), range(PARTS))
    assert [each["square"].item() for each in results] == [each["square"].item() for each in expected]
    assert not list(tmp_path.rglob("*.node"))
    if kept:
        assert len(list((tmp_path / "kept").iterdir())) == PARTS
    worked = Counter(part for _, part in noted(tmp_path / "worked"))
    # Once by the cluster and once by this process; the lost node's, twice there at most.
    assert set(worked.values()) <= {2, 3} and sum(worked.values()) <= 2 * PARTS + 3 + (0 if kept else PARTS)
