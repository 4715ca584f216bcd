"""The teacher of engagement: no row is scored by trees that saw its user, and what they say is of the full log."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from prectr.rank.config import LossArguments
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training import engagement
from prectr.rank.training.engagement import FOLDS, cross_fitted, folds, write_engagement
from prectr.rank.training.trees import Rows
from prectr.shared.engine.plain import PLAIN
from tests.rank.training.random_rows import SMALL, make_rows

USERS, PAGES, PER_PAGE = 20, 150, 10
SETTING = SMALL[0]


def make_set(seed: int) -> PreparedSet:
    """Pages of 20 users and of nobody; the last number of a row tells whose page it is on."""
    rows, rng = make_rows(seed, PAGES * PER_PAGE), np.random.default_rng(seed)
    page = np.repeat(np.arange(PAGES, dtype=np.int32), PER_PAGE)
    user = rng.integers(-1, USERS, PAGES).astype(np.int32)
    owner = np.where(user >= 0, user, -1 - np.arange(PAGES))[page]
    nothing = PreparedSet(*[np.zeros(len(page), np.float32)] * len(fields(PreparedSet)))
    return replace(
        nothing,
        numeric=np.column_stack([rows.numeric, owner]).astype(np.float32),
        categorical=rows.categorical.astype(np.int32),
        clicked=rows.clicked,
        page=page,
        user=user,
        seconds=np.arange(PAGES),
        position=np.tile(np.arange(PER_PAGE, dtype=np.int32), PAGES),
        weight=None,
    )


TRAIN, VALIDATION = make_set(0), make_set(1)


class Spy:
    """In the place of trees: keeps what they are fitted on and asked about, and gives them back the fold's number."""

    def __init__(self) -> None:
        self.fitted: list[Rows] = []
        self.asked: list[tuple[int, Rows]] = []
        self.held: list[Rows] = []
        self.settings: list[Any] = []

    def __call__(self, train: Rows, validation: Rows, seed: int, num_threads: int, settings: Any) -> SimpleNamespace:
        number = len(self.fitted)
        self.fitted.append(train)
        self.held.append(validation)
        self.settings.append(settings)

        def predict(rows: Rows) -> np.ndarray:
            self.asked.append((number, rows))
            return np.full(len(rows.clicked), (number + 1) / 10)

        return SimpleNamespace(predict=predict)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    found = Spy()
    monkeypatch.setattr(engagement, "fit_lightgbm", found)
    return found


def test_a_user_is_in_one_fold_and_a_page_of_nobody_by_itself() -> None:
    found = folds(TRAIN, 0)
    for user in range(USERS):
        assert len(set(found[TRAIN.user == user])) == 1
    nobody = found[TRAIN.user < 0]
    assert len(nobody) > 3 and len(set(nobody)) > 1
    owners = np.unique(np.where(TRAIN.user >= 0, TRAIN.user, USERS + np.arange(PAGES)), return_index=True)[1]
    sizes = np.bincount(found[owners], minlength=FOLDS)
    assert len(sizes) == FOLDS and sizes.max() - sizes.min() <= 1
    assert np.array_equal(found, folds(TRAIN, 0)) and not np.array_equal(found, folds(TRAIN, 1))


def test_no_row_is_scored_by_trees_that_saw_its_user(spy: Spy) -> None:
    found = cross_fitted(TRAIN, VALIDATION, SETTING, 0)
    assert len(spy.fitted) == FOLDS and found.dtype == np.float32
    for number, rows in spy.asked:
        seen, asked = set(spy.fitted[number].numeric[:, -1]), set(rows.numeric[:, -1])
        assert seen and asked and not seen & asked
    assert sum(len(rows.clicked) for _, rows in spy.asked) == len(TRAIN)
    np.testing.assert_allclose(found, (folds(TRAIN, 0)[TRAIN.page] + 1) / 10, rtol=1e-6)
    assert all(settings == (SETTING,) for settings in spy.settings)


def test_trees_learn_from_so_many_rows_at_most_and_score_all(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engagement, "MOST_ROWS", 200)
    monkeypatch.setattr(engagement, "ROWS_AT_ONCE", 64)
    found = cross_fitted(TRAIN, VALIDATION, SETTING, 0)
    assert all(100 < len(rows.clicked) <= 200 for rows in spy.fitted)
    assert max(len(rows.clicked) for _, rows in spy.asked) == 64
    np.testing.assert_allclose(found, (folds(TRAIN, 0)[TRAIN.page] + 1) / 10, rtol=1e-6)


def test_a_thinned_log_is_weighed_as_the_full_one(spy: Spy) -> None:
    weighed = replace(TRAIN, weight=np.linspace(0.5, 2, len(TRAIN)).astype(np.float32))
    cross_fitted(weighed, VALIDATION, SETTING, 0, negative_sampling_rate=0.25)
    others = folds(TRAIN, 0)[TRAIN.page] != 0
    expected = np.where(TRAIN.clicked == 1, weighed.weight, weighed.weight / 0.25)[others]
    np.testing.assert_allclose(spy.fitted[0].weight, expected, rtol=1e-6)
    np.testing.assert_allclose(spy.held[0].weight, np.where(VALIDATION.clicked == 1, 1.0, 4.0))


def test_trees_read_the_place_where_its_bias_is_learnt_apart(spy: Spy) -> None:
    cross_fitted(TRAIN, VALIDATION, SETTING, 0, reads_position=True)
    width = TRAIN.numeric.shape[1] + 1
    for rows in (*spy.fitted, *spy.held, *(rows for _, rows in spy.asked)):
        assert rows.numeric.shape[1] == width and set(rows.numeric[:, -1]) == set(range(PER_PAGE))


def test_the_probabilities_are_those_of_clicks_and_depend_on_the_seed_alone() -> None:
    found = cross_fitted(TRAIN, VALIDATION, SETTING, 0)
    assert ((found > 0) & (found < 1)).all() and roc_auc_score(TRAIN.clicked, found) > 0.85
    assert log_loss(TRAIN.clicked, found) < 0.5 and found.mean() == pytest.approx(TRAIN.clicked.mean(), abs=0.03)
    assert np.array_equal(found, cross_fitted(TRAIN, VALIDATION, SETTING, 0))
    assert not np.array_equal(found, cross_fitted(TRAIN, VALIDATION, SETTING, 1))


def test_of_a_thinned_log_they_are_those_of_the_full_one() -> None:
    keep = (TRAIN.clicked == 1) | (np.random.default_rng(2).random(len(TRAIN)) < 0.3)
    found = cross_fitted(TRAIN.take(keep), VALIDATION, SETTING, 0, negative_sampling_rate=0.3)
    whole = cross_fitted(TRAIN, VALIDATION, SETTING, 0)
    assert found.mean() == pytest.approx(whole[keep].mean(), abs=0.06)


def test_rows_whose_trees_have_nothing_to_learn_keep_their_clicks() -> None:
    alone = replace(TRAIN, user=np.zeros_like(TRAIN.user))
    assert np.array_equal(cross_fitted(alone, VALIDATION, SETTING, 0), TRAIN.clicked)
    # One of two users never clicks: trees that saw that one alone know no click.
    two = replace(TRAIN, user=(np.arange(PAGES) % 2).astype(np.int32))
    clicks = two.user[two.page] == 0
    two = replace(two, clicked=np.where(clicks, TRAIN.clicked, 0).astype(np.uint8))
    found = cross_fitted(two, VALIDATION, SETTING, 0)
    assert np.array_equal(found[clicks], two.clicked[clicks]) and (found[~clicks] > 0).all()


def test_the_step_writes_them_by_the_settings_that_the_rival_chose(tmp_path: Path, spy: Spy) -> None:
    for name, prepared in (("train", TRAIN), ("validation", VALIDATION)):
        prepared.save(tmp_path / "features" / name)
    (tmp_path / "lightgbm").mkdir()
    (tmp_path / "lightgbm" / "rival.json").write_text(json.dumps({"settings": SETTING, "rounds": 7}))
    run = SimpleNamespace(seed=3)
    workspace: Any = SimpleNamespace(folder=tmp_path, run=run, losses=LossArguments(), engine=PLAIN)
    write_engagement(workspace, tmp_path)
    assert spy.settings == [(SETTING,)] * FOLDS
    found = np.load(tmp_path / "click_prob.npy")
    np.testing.assert_allclose(found, (folds(TRAIN, 3)[TRAIN.page] + 1) / 10, rtol=1e-6)
