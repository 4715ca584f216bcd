"""The benchmark of engines from its command line to its file, on a log of two hundred pages."""

import json

import pytest

from benchmarks.scale import engines

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_engines_are_compared_and_parts_are_counted(tmp_path):
    made, parts = str(tmp_path / "made"), ["--parts", "20", "200", "--workers", "2"]
    deaths = ["--kills", "1", "--nodes", "1", "--seconds_between", "0.05"]
    command = ["--rows", "2000", "3000", "--artifacts", made, "--results", str(tmp_path), *parts, *deaths]
    engines.main(command)
    written = json.loads((tmp_path / "ray.json").read_text())
    assert written["bytes_equal"] is True and written["rows"] == [2000, 3000]
    assert {"speedup_2_workers", "peak_mb_per_worker", "worker_kills", "node_kills", "commit", "date"} <= set(written)
    assert written["speedup_2_workers"] > 0 and written["driver_us_per_part"] > 0
    assert written["driver_us_per_part"] == written["driver"]["200"]["cpu_us_per_part"]
    undisturbed = [engines.PLAIN, engines.ONE, engines.TWO]
    assert list(written["preparation"]["2000"]) == [*undisturbed, engines.WORKERS_KILLED, engines.NODES_KILLED]
    assert list(written["preparation"]["3000"]) == undisturbed
    assert not list((tmp_path / "made").rglob("*.npz"))
    engines.main(command)  # nothing is measured again
    assert json.loads((tmp_path / "ray.json").read_text()) == written
