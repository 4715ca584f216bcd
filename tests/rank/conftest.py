"""A run of stage two that the tests of what comes after it share."""

from pathlib import Path

import pytest

from prectr.rank.serving.scorer import Scorer
from prectr.rank.training.trees import FittedTrees, Rows, fit_lightgbm
from tests.rank.toy_run import copy_run
from tests.rank.training.random_rows import SMALL, make_rows


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder; a module's own, since some tests write into it."""
    return copy_run(tmp_path_factory, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def scorer(home: Path) -> Scorer:
    return Scorer.open(home / "ranker", home / "data", batch_size=4096)


@pytest.fixture(scope="module")
def splits() -> dict[str, Rows]:
    """Random rows of train, validation and test that trees can learn from."""
    return {split: make_rows(seed) for seed, split in enumerate(("train", "validation", "test"))}


@pytest.fixture(scope="module")
def rival(splits: dict[str, Rows]) -> FittedTrees:
    return fit_lightgbm(splits["train"], splits["validation"], seed=0, num_threads=1, settings=SMALL)
