"""The scale benchmark from its command line to its file, on a log of two hundred pages."""

import json
import time

import numpy as np
import pyarrow.compute as pc
import pytest

import benchmarks.scale.__main__ as scale
import benchmarks.scale.measure as measuring
import benchmarks.scale.training as training
from benchmarks.scale import engine_runs, engines
from benchmarks.scale.engine_runs import Run
from benchmarks.scale.log import SHOWN, Log
from prectr.data.checks.defects import DataError
from prectr.data.checks.validate import validate
from prectr.data.contract import read_table
from prectr.shared.errors import PrectrError


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    log = Log(tmp_path_factory.mktemp("scale"), 2000)
    log.write()
    log.write_level_prob()
    return log


def test_the_log_keeps_the_contract_but_for_the_splits_it_needs_not_and_is_skewed(log):
    with pytest.raises(DataError) as raised:
        validate(log.data)
    told = [line.strip() for line in str(raised.value).splitlines()[1:] if line.startswith("  ")]
    assert told and all(line.startswith("split: no row is ") for line in told)
    impressions, behaviours = read_table(log.data, "impressions"), read_table(log.data, "behaviours")
    assert impressions.num_rows == 2000 and behaviours.num_rows == 2060
    pages = impressions.group_by("page_id").aggregate([("item_id", "count_distinct"), ("item_id", "count")])
    assert set(pages["item_id_count"].to_pylist()) == set(pages["item_id_count_distinct"].to_pylist()) == {SHOWN}
    assert 0.05 < pc.mean(impressions["clicked"]).as_py() < 0.3
    most = pc.value_counts(impressions["user_id"]).field("counts").to_numpy()
    assert most.max() > 3 * np.median(most)


def test_the_same_seed_writes_the_same_log(log, tmp_path):
    again = Log(tmp_path, 2000)
    again.write()
    assert read_table(again.data, "behaviours").equals(read_table(log.data, "behaviours"))


def test_a_size_is_measured_once_and_lands_in_the_file(tmp_path, monkeypatch, log):
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(measuring, "SLICED_PAGES", 100)
    monkeypatch.setattr(scale, "ProcessPoolExecutor", Here)
    arguments = ["--rows", "2000", "--artifacts", str(tmp_path / "made"), "--results", str(tmp_path)]
    scale.main(arguments)
    written = json.loads((tmp_path / "scale.json").read_text())
    assert list(written) == ["2000", "command", "commit", "date", "machine"]
    figures = written["2000"]
    assert set(scale.KEYS) < set(figures)
    assert all(figures[key] > 0 for key in scale.KEYS) and figures["slicing_share"] < 1
    assert figures["rows"] == 2000 and figures["events"] == 2060
    assert figures["peak_mb"] == max(figures["peak_mb_of"].values()) < figures["peak_rss_mb"]
    assert np.isfinite(list(figures["loss"].values())).all()
    assert [path.name for path in (tmp_path / "made" / "2000").iterdir() if not path.name.startswith(".")] == [
        "figures.json"
    ]
    monkeypatch.setattr(scale, "measure", lambda *_: pytest.fail("measured again"))
    scale.main(arguments)


def test_too_small_a_log_is_refused(tmp_path):
    with pytest.raises(PrectrError, match="at least 1000"):
        scale.main(["--rows", "10", "--artifacts", str(tmp_path)])


class Here:
    """Runs in this process what would run in a child."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, call, *arguments):
        found = call(*arguments)
        return type("Done", (), {"result": staticmethod(lambda: found)})


def test_engines_are_measured_anew_for_another_commit_or_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "run_step", lambda *given, **named: None)
    paths = []

    def measured(path, *given):
        paths.append(path)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return {}

    monkeypatch.setattr(engines, "kept", measured)
    for seed, commit in ((0, "a" * 40), (1, "a" * 40), (0, "b" * 40), (0, "a" * 40 + "-dirty"), (0, "a" * 40)):
        log, runs = Log(tmp_path / "log", 2000, seed), {engines.PLAIN: Run()}
        engines.measured_of(tmp_path / "2000", log, runs, {"commit": commit})
    assert len(set(paths)) == 4 and paths[0] == paths[4]


def test_what_watching_takes_is_not_the_drivers(tmp_path, monkeypatch):
    looks = []

    def look():
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        looks.append(0.05)
        return []

    def prepare_log(log, work, history, seed, engine):
        work.mkdir()
        while len(looks) < 6:
            time.sleep(0.01)

    monkeypatch.setattr(engine_runs, "workers", look)
    monkeypatch.setattr(engine_runs, "prepare_log", prepare_log)
    figures = engine_runs.prepare(Log(tmp_path / "log", 2000, 0), tmp_path / "work", 0, Run())
    assert 0 <= figures["driver_cpu_seconds"] < sum(looks) / 2
