"""The toy shop from and to an object store: what a run on folders gives, another machine goes on with it, and so does a
cluster that loses a node.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prectr.data.__main__ import main as data_main
from prectr.shared.run.steps import RECORD, read_record, require_whole
from prectr.shared.store.fetched import CACHE
from prectr.shared.store.kept import copy_of
from prectr.shared.store.uri import place_of
from tests.shared.engine.clusters import losing, started
from tests.shared.store.server import BUCKET, SECRET, holds
from tests.test_end_to_end import STEPS

ROOT = Path(__file__).parents[3]
TABLES, ARTIFACTS = f"s3://{BUCKET}/tables/mine", f"s3://{BUCKET}/artifacts"
OF_THE_RUN = (
    *("seconds", "impressions_per_second", "encoder_share", "latency", "command", "date", "git_commit"),
    "base_model_name_or_path",  # where the teacher lies on the machine
)

pytestmark = pytest.mark.slow


def command(cache: Path, *words: str) -> str:
    """A command on a machine with that cache; what it printed."""
    environment = {**os.environ, CACHE: str(cache)}
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def make_rank(cache: Path, data: str, artifacts: str, engine: str = "plain") -> str:
    """The commands of `make rank PROFILE=smoke DATA=data ARTIFACTS=artifacts ENGINE=engine`."""
    where = ("--name", "mine", "--artifacts", artifacts)
    fetched = command(cache, "data", "fetch", data, *where)
    how = ("--profile", "smoke", "--engine", engine)
    return fetched + "".join(command(cache, stage, "run", *how, *where) for stage in ("distill", "rank"))


@pytest.fixture(scope="module")
def on_folders(server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on folders of the tables that are put into the store meanwhile."""
    folder = tmp_path_factory.mktemp("local")
    data_main(["build", "--profile", "smoke", "--artifacts", str(folder / "source")])
    tables = folder / "source" / "toy" / "data"
    for file in tables.iterdir():
        if file.name != RECORD:
            (place_of(TABLES) / file.name).put(file)
    make_rank(folder / "none", str(tables), str(folder))
    assert not (folder / "none").exists()
    return folder / "mine"


def results(folder: Path) -> dict[str, Any]:
    """Every file of every finished step, as bytes, or as figures without what tells of the run alone."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        # The cache of labels is named after who judged and where that judge lies; the labels themselves are compared.
        if path.is_dir() or any(part.startswith(".") for part in name.parts) or {"runs", "label_cache"} & {*name.parts}:
            continue
        if path.name == "seconds.json":
            continue
        if path.suffix == ".json" and path.name != RECORD:
            found[str(name)] = without_the_run(json.loads(path.read_text()))
        elif path.name not in (RECORD, "README.md", "report.html"):
            found[str(name)] = path.read_bytes()
    return found


def without_the_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_the_run(inner) for key, inner in value.items() if key not in OF_THE_RUN}
    return [without_the_run(inner) for inner in value] if isinstance(value, list) else value


def test_a_run_from_and_to_a_store_is_the_run_on_folders(on_folders: Path, tmp_path: Path) -> None:
    make_rank(tmp_path / "one", TABLES, ARTIFACTS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE, str(tmp_path / "one"))
        first = copy_of(ARTIFACTS) / "mine"
        patched.setenv(CACHE, str(tmp_path / "two"))
        second = copy_of(ARTIFACTS) / "mine"
    expected, found = results(on_folders), results(first)
    assert found.keys() == expected.keys() and len(found) > 100
    assert [name for name in expected if found[name] != expected[name]] == []
    there = place_of(f"{ARTIFACTS}/mine").list_files()
    assert there.keys() >= {"ranker/step.json", "ranker/metrics.json", "report.html"}

    again = make_rank(tmp_path / "two", TABLES, ARTIFACTS)
    # Only the random teacher, which no store keeps, is made on each machine.
    assert all("convert: building" in line for line in again.splitlines() if "building" in line)
    assert again.count("up to date") > 10
    assert results(second) == found
    assert holds(tmp_path / "one", SECRET) == holds(tmp_path / "two", SECRET) == []
    assert not any(SECRET.encode() in (place_of(f"{ARTIFACTS}/mine") / name).read() for name in there)


def test_a_run_on_nodes_from_and_to_a_store_ends_though_one_dies(on_folders: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    artifacts = f"s3://{BUCKET}/on-nodes"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE, str(tmp_path / "all"))
        copy = copy_of(artifacts) / "mine"
        with started(3) as nodes, losing(nodes, 1) as died:
            make_rank(tmp_path / "all", TABLES, artifacts, "ray")
    assert len(died) == 1
    # Behind the labels come trainings of several processes, each with dropout of its own.
    assert read_record(copy / "labels").files == read_record(on_folders / "labels").files
    there = place_of(f"{artifacts}/mine")
    names = there.list_files().keys()
    for step in STEPS:
        require_whole(copy / step)
        for name in ("step.json", *read_record(copy / step).files):
            assert f"{step}/{name}" in names, (step, name)
            assert (there / step / name).read() == (copy / step / name).read_bytes(), (step, name)
    assert "report.html" in names and not any(".part" in name for name in names)
    assert holds(tmp_path / "all", SECRET) == []
    assert not any(SECRET.encode() in (there / name).read() for name in names)
