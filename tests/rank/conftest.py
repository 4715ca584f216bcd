"""A run of stage two that the tests of what comes after it share."""

from pathlib import Path

import pytest

from prectr.rank.serving.scorer import Scorer
from tests.rank.toy_run import build_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder; a module's own, since some tests write into it."""
    folder = tmp_path_factory.mktemp("run")
    build_run(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(home: Path) -> Scorer:
    return Scorer.open(home / "ranker", home / "data", bf16=False, batch_size=4096)
