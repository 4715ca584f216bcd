"""What many modules start from is made once for all processes of a run of the tests."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` filled, in whichever process came first. It is read only: who changes it copies it."""
    base = factory.getbasetemp()
    # The folders of xdist's processes lie beside one another.
    whole = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made_once"
    whole.mkdir(exist_ok=True)
    folder, work = whole / name, whole / f".{name}.part"
    with FileLock(whole / f"{name}.lock"):
        if not folder.exists():
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            make(work)
            work.rename(folder)
    return folder
