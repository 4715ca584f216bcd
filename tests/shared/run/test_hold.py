"""Two runs on one folder come one after the other, and a killed one keeps nobody waiting."""

import io
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from prectr.shared.run import console
from prectr.shared.run.hold import hold


def hold_until(folder: Path, holds: Event, let_go: Event) -> None:
    with hold(folder):
        holds.set()
        let_go.wait(60)
        (folder / "log").open("a").write("first ")


@pytest.mark.parametrize("killed", [False, True])
def test_the_second_waits_for_the_first(
    tmp_path: Path, killed: bool, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prectr.shared.run.hold.console", console.console)
    forked = multiprocessing.get_context("fork")
    holds, let_go = forked.Event(), forked.Event()
    first = forked.Process(target=hold_until, args=(tmp_path, holds, let_go))
    first.start()
    assert holds.wait(60) and first.pid
    if killed:
        os.kill(first.pid, signal.SIGKILL)
    else:
        releaser = forked.Process(target=lambda: (time.sleep(0.5), let_go.set()))
        releaser.start()
    with hold(tmp_path):
        (tmp_path / "log").open("a").write("second")
    first.join()
    assert (tmp_path / "log").read_text() == ("second" if killed else "first second")
    assert ("another run works in" in shown.getvalue()) or killed


def test_other_folders_are_free_and_one_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with hold(tmp_path / "one"), hold(tmp_path / "none"):
        assert not (tmp_path / "none").exists()
    with hold(tmp_path / "one"):
        pass
