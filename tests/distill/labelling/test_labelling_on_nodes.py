"""The labelling job on nodes, one of which dies; in a file of its own: a process is in one cluster at a time."""

from pathlib import Path

import pytest

from tests.distill.labelling.test_labelling_on_ray import labelled, labelled_plainly
from tests.shared.engine.clusters import losing, started

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_a_lost_node_loses_no_label(tmp_path: Path) -> None:
    from prectr.shared.engine.ray import RayEngine

    expected = labelled_plainly(tmp_path)
    with started(3) as nodes, losing(nodes, 1) as died:
        assert labelled(tmp_path / "cluster", RayEngine(), seconds=0.05) == expected
    assert len(died) == 1
