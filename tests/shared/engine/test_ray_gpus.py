"""Where a part takes a GPU, processes that hold one are kept, and replaced when they die."""

import pytest

from tests.shared.engine.clusters import cluster
from tests.shared.engine.jobs import die_once, noted, squares

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_parts_on_gpus_are_worked_on_by_actors(tmp_path) -> None:
    with cluster(2, gpus=2) as engine:
        found = list(engine.map(squares(tmp_path, die_once, gpus=1.0), range(9), kept=tmp_path / "kept"))
    assert [each["square"].item() for each in found] == [number**2 for number in range(9)]
    assert len({process for process, _ in noted(tmp_path / "opened")}) == 4  # two, and two in the place of the dead
