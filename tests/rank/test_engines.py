"""What a training reads is the same, byte for byte, from one process and from a cluster, whoever dies meanwhile."""

import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

import prectr.data.toy as toy
from prectr.rank import pipeline
from prectr.rank.config import (
    EvaluateArguments,
    HistoryArguments,
    LossArguments,
    ModelArguments,
    RunArguments,
    TrainArguments,
)
from prectr.rank.features.page_reader import PageParts
from prectr.rank.history.log import BehaviourLog
from prectr.rank.workspace import Workspace
from prectr.shared.engine.plain import PLAIN
from prectr.shared.run.steps import read_record
from tests.rank.toy_run import LEVEL_NAMES
from tests.shared.encoder.tiny_encoder import tiny_encoder
from tests.shared.engine.carried import Carried
from tests.shared.engine.clusters import cluster, killing, losing, started

pytest.importorskip("ray")

BUILT = (*pipeline.INPUTS, "lightgbm", "engagement")
STEPS = ("level_prob", "pairs", "behaviours", "text_vectors", "features", "lightgbm", "engagement")


@pytest.fixture(scope="module", autouse=True)
def many_parts():
    with pytest.MonkeyPatch.context() as patched:
        in_small_parts(patched)
        yield


def in_small_parts(patched: pytest.MonkeyPatch) -> None:
    """The toy shop in parts of a few rows."""
    patched.setattr("prectr.rank.history.score_log.PAIRS_AT_ONCE", 2048)  # a vector of DuckDB
    patched.setattr("prectr.rank.history.stage_one.PAIRS_AT_ONCE", 2048)
    patched.setattr("prectr.rank.features.frozen_vectors.TEXTS_OF_A_PART", 512)
    patched.setattr("prectr.rank.workspace.PageParts", partial(PageParts, rows_at_once=400))
    patched.setattr(BehaviourLog, "build", staticmethod(partial(BehaviourLog.build, rows_at_once=1000)))


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    """Tables and an encoder."""
    folder = tmp_path_factory.mktemp("start")
    toy.build(folder / "toy" / "data", 5)
    tiny_encoder(folder / "vocabulary", LEVEL_NAMES).save_pretrained(folder / "encoder")
    return folder


def build(start: Path, artifacts: Path, engine: str) -> Workspace:
    (artifacts / "toy").mkdir(parents=True, exist_ok=True)
    if not (artifacts / "toy" / "data").exists():
        (artifacts / "toy" / "data").symlink_to(start / "toy" / "data")
    run = RunArguments(name="toy", artifacts=str(artifacts), encoder=str(start / "encoder"), engine=engine)
    history = HistoryArguments(history_in_category=6, history_overall=6, cross_history=6, cold_lengths=[0, 3])
    others = (ModelArguments(), LossArguments(), TrainArguments(), EvaluateArguments())
    workspace = Workspace(run, history, *others)
    for name in BUILT:
        pipeline.builds(workspace)[name](workspace)
    return workspace


def made(artifacts: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Fingerprint of every step, and the sha256 of all its files."""
    records = {name: read_record(artifacts / "toy" / name) for name in STEPS}
    return {name: (record.fingerprint, record.files) for name, record in records.items()}


@pytest.fixture(scope="module")
def plain(start, tmp_path_factory) -> Path:
    artifacts = tmp_path_factory.mktemp("plain")
    build(start, artifacts, "plain")
    return artifacts


@pytest.mark.parametrize("rows_of_an_index", [1 << 26, 100])
def test_every_step_is_the_same_from_another_process(start, plain, tmp_path, monkeypatch, rows_of_an_index) -> None:
    engine = Carried()
    monkeypatch.setattr("prectr.rank.workspace.open_engine", lambda name: engine)
    monkeypatch.setattr("prectr.rank.history.index_parts.ROWS_OF_AN_INDEX", rows_of_an_index)
    build(start, tmp_path, "ray")
    assert made(tmp_path) == made(plain)
    counts = Counter(engine.worked)
    several = ("past events", "features: train", "inputs of the network", "trees", "trees that teach engagement")
    assert min(counts[name] for name in several) > 1
    assert ("index user_item: sort" in counts) == (rows_of_an_index == 100)


def test_a_killed_driver_goes_on_from_the_parts_that_are_there(start, plain, tmp_path, monkeypatch) -> None:
    engines = [Carried(), Carried()]
    monkeypatch.setattr("prectr.rank.workspace.open_engine", lambda name: engines[0])
    with monkeypatch.context() as patched:
        patched.setattr("prectr.rank.features.build.apply_feature_map", killed)
        with pytest.raises(KeyboardInterrupt):
            build(start, tmp_path, "ray")
    first = engines.pop(0).worked
    build(start, tmp_path, "ray")
    assert made(tmp_path) == made(plain)
    assert "features: train" in first and "features: train" not in engines[0].worked


def killed(*arguments) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(1, 0), (2, 0), (2, 10)])
def test_every_step_is_the_same_from_a_cluster(start, plain, tmp_path, workers, kills) -> None:
    with cluster(workers), killing(kills) as killed:
        build(start, tmp_path, "ray")
    assert len(killed) == kills
    assert_the_same(tmp_path, plain)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kills"), [(1, 0), (2, 0), (3, 0), (4, 3)])
def test_every_step_is_the_same_from_nodes(start, plain, tmp_path, count, kills) -> None:
    with started(count) as nodes, losing(nodes, kills) as died:
        build(start, tmp_path, "ray")
        assert len(died) == kills and len(nodes) == count - kills
    assert_the_same(tmp_path, plain)


DRIVER = """
import sys
from pathlib import Path
import pytest
from tests.rank.test_engines import build, in_small_parts
with pytest.MonkeyPatch.context() as patched:
    in_small_parts(patched)
    build(Path(sys.argv[1]), Path(sys.argv[2]), "ray")
"""


@pytest.mark.slow
def test_a_driver_that_is_killed_again_and_again_ends_in_the_same(start, plain, tmp_path) -> None:
    command = [sys.executable, "-c", DRIVER, str(start), str(tmp_path)]
    for step in ("behaviours", "features", "lightgbm"):
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not list(tmp_path.glob(f"toy/.{step}*/checkpoints/**/*.npz")):
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert_the_same(tmp_path, plain)


def assert_the_same(artifacts: Path, plain: Path) -> None:
    assert made(artifacts) == made(plain)
    hidden = [path for path in (artifacts / "toy").iterdir() if path.name.startswith(".") and path.is_dir()]
    assert not hidden and not list(artifacts.rglob("checkpoints"))


def test_a_finished_step_stays_finished_whatever_the_engine(start, plain, capsys) -> None:
    import ray

    before = made(plain)
    workspace = build(start, plain, "ray")
    assert capsys.readouterr().out.count("up to date") == len(BUILT)
    assert made(plain) == before and not ray.is_initialized() and "engine" not in vars(workspace)


def test_the_default_engine_is_one_process(start, tmp_path) -> None:
    assert RunArguments().engine == "plain"
    assert build(start, tmp_path, "plain").engine is PLAIN
