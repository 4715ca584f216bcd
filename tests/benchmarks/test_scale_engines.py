"""The benchmark of engines from its command line to its file, on a log of two hundred pages."""

import json

import pytest

from benchmarks.scale import engines

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_engines_are_compared_and_parts_are_counted(tmp_path):
    made, parts = str(tmp_path / "made"), ["--parts", "20", "200", "--workers", "2", "--kills", "1"]
    engines.main(["--rows", "2000", "--artifacts", made, "--results", str(tmp_path), *parts])
    written = json.loads((tmp_path / "ray.json").read_text())
    assert written["bytes_equal"] is True and written["node_kills"] is None
    assert written["speedup_2_workers"] > 0 and written["driver_us_per_part"] > 0
    assert written["driver_us_per_part"] == written["driver"]["200"]["cpu_us_per_part"]
    assert list(written["preparation"]) == ["plain", "1 worker", "2 workers", "2 workers, killed"]
    assert not list((tmp_path / "made").rglob("*.npz"))
