"""Where a part takes a GPU, processes that hold one are kept, and replaced when they die or their node does."""

import pytest

from prectr.shared.errors import PrectrError
from tests.shared.engine.clusters import cluster, started
from tests.shared.engine.jobs import die_once, noted, slowly, squares

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_parts_on_gpus_are_worked_on_by_actors(tmp_path) -> None:
    with cluster(2, gpus=2) as engine:
        found = list(engine.map(squares(tmp_path, die_once, gpus=1.0), range(9), kept=tmp_path / "kept"))
    assert [each["square"].item() for each in found] == [number**2 for number in range(9)]
    assert len({process for process, _ in noted(tmp_path / "opened")}) == 4  # two, and two in the place of the dead


def test_parts_of_a_node_that_is_gone_for_good_go_to_the_others(tmp_path, monkeypatch) -> None:
    from prectr.shared.engine import ray as on_ray

    monkeypatch.setattr(on_ray, "PATIENCE", 3.0)
    with started(2, gpus=1) as nodes:
        found = on_ray.RayEngine().map(squares(tmp_path, slowly, gpus=1.0), range(24), kept=tmp_path / "kept")
        first = next(found)
        nodes.kill_one()
        rest = list(found)
    assert [each["square"].item() for each in [first, *rest]] == [number**2 for number in range(24)]


def test_a_cluster_without_the_node_that_a_part_takes_says_so(tmp_path, monkeypatch) -> None:
    from prectr.shared.engine import ray as on_ray

    with started(1, gpus=1):
        engine = on_ray.RayEngine()
        found = engine.map(squares(tmp_path, slowly, gpus=1.0), range(24))
        next(found)
        monkeypatch.setattr(on_ray, "PATIENCE", 0.01)
        monkeypatch.setattr(on_ray, "_resources", lambda: [{"CPU": 1.0}])
        with pytest.raises(PrectrError, match="squares: no node .* is left with the 1 CPU and 1 GPU that a part takes"):
            list(found)
