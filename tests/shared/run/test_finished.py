"""A stage that is finished says so at once, and only then."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prectr.shared.run import finished
from prectr.shared.run.finished import finished_run, remember_run, settings_of


@dataclass
class Settings:
    seed: int = 0
    engine: str = "plain"
    sizes: tuple[int, ...] = (1, 2)


@dataclass
class Others:
    repo: str = ""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a data set whose stage has run."""
    code = tmp_path / "shop_of_runs"
    code.mkdir()
    (code / "__init__.py").touch()
    (code / "pipeline.py").write_text("from shop_of_runs import work\n")
    (code / "work.py").write_text("WEEKS = 26\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "journey"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "items.parquet").write_text("items")
    (folder / "data" / "deep" / "step.json").write_text("{}")
    paths = [folder / "data", folder / "report.html", tmp_path / "prompt.txt"]
    remember_run(folder, "rank", settings_of([Settings()]), paths, ["shop_of_runs.pipeline"])
    return folder


def is_finished(folder: Path, settings: Settings | None = None) -> bool:
    return finished_run(folder, "rank", settings_of([settings or Settings(), Others("user/name")]))


def test_nothing_has_changed(run: Path) -> None:
    assert is_finished(run)
    assert is_finished(run, Settings())
    assert is_finished(run, Settings(engine="ray")), "where parts are worked on decides nothing"
    (run / "data" / ".hidden").touch()
    (run / "data" / "__pycache__").mkdir()
    (run / "data" / "__pycache__" / "a.pyc").touch()
    assert is_finished(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: (run / "data" / "items.parquet").write_text("other"),
        lambda run: (run / "data" / "items.parquet").unlink(),
        lambda run: os.utime(run / "data" / "deep" / "step.json", (1, 1)),
        lambda run: (run / "data" / "gold.parquet").touch(),
        lambda run: (run / "report.html").touch(),
        lambda run: (run.parent / "prompt.txt").touch(),
        lambda run: (run.parent / "shop_of_runs" / "work.py").write_text("WEEKS = 4\n"),
        lambda run: (run / ".finished" / "rank.json").unlink(),
        lambda run: (run / ".finished" / "rank.json").write_text("{"),
        lambda run: (run / ".finished" / "rank.json").write_text("[]"),
        lambda run: run.rename(run.with_name("moved")),
    ],
)
def test_whatever_changes_takes_the_long_way(run: Path, change) -> None:  # type: ignore[no-untyped-def]
    change(run)
    assert not is_finished(run)


def test_other_settings_stages_machines_and_launches_do_too(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_finished(run, Settings(seed=1))
    assert not is_finished(run, Settings(sizes=(1,)))
    assert not finished_run(run, "rank", settings_of([Others()]))
    assert not finished_run(run, "distill", settings_of([Settings()]))
    with monkeypatch.context() as patch:
        patch.setattr(finished, "_machine", lambda: {"bfloat16": ["amx_bf16"]})
        assert not is_finished(run)
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert not is_finished(run)
    assert is_finished(run)


def test_a_note_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "journey").write_text("a file where the folder should be")
    remember_run(tmp_path / "journey", "rank", {}, [], [])
    assert not finished_run(tmp_path / "journey", "rank", {})


def test_the_note_holds_no_more_than_it_needs(run: Path) -> None:
    note = json.loads((run / ".finished" / "rank.json").read_text())
    assert set(note) == {"settings", "machine", "paths", "files"}
    assert note["settings"] == {"Settings": {"seed": 0, "sizes": [1, 2]}}
    assert {Path(file).name for file in note["files"]} == {"items.parquet", "step.json", "pipeline.py", "work.py"}


@pytest.mark.parametrize("module", ["prectr.shared.run.finished", "prectr.rank.reports.terminal"])
def test_asking_loads_no_library(module: str) -> None:
    heavy = ("torch", "numpy", "pyarrow", "transformers", "duckdb", "huggingface_hub", "lightgbm", "yaml")
    program = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
