"""Boosted trees: they learn, undo the thinning of a log, and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from prectr.rank.training import trees
from prectr.rank.training.trees import SETTINGS, Rows, fit_lightgbm
from tests.rank.training.random_rows import SMALL


def test_it_learns_from_numbers_and_categories(rival, splits):
    test = splits["test"]
    score = rival.predict(test)
    assert ((score > 0) & (score < 1)).all()
    shuffled = test._replace(categorical=test.categorical[::-1])
    auc, without_categories = (roc_auc_score(test.clicked, rival.predict(rows)) for rows in (test, shuffled))
    assert auc > 0.87 and auc > without_categories + 0.03
    assert score.mean() == pytest.approx(test.clicked.mean(), abs=0.03)


def test_trees_that_were_kept_say_the_same(rival, splits, tmp_path):
    rival.save(tmp_path / "trees.txt")
    again = trees.FittedTrees.read(tmp_path / "trees.txt", rival.settings)
    assert np.array_equal(again.predict(splits["test"], num_threads=1), rival.predict(splits["test"]))
    carried = trees.FittedTrees.of_arrays(rival.to_arrays(), rival.settings)
    assert np.array_equal(carried.predict(splits["test"], num_threads=1), rival.predict(splits["test"]))
    assert carried.validation_logloss == rival.validation_logloss
    assert carried.booster.num_trees() == rival.booster.best_iteration
    carried.save(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text() == (tmp_path / "trees.txt").read_text()


def test_weights_undo_the_thinning_of_the_unclicked(splits):
    rng = np.random.default_rng(0)

    def thinned(rows: Rows) -> Rows:
        keep = (rows.clicked == 1) | (rng.random(len(rows.clicked)) < 0.25)
        weight = np.where(rows.clicked == 1, 1.0, 4.0)
        return Rows(rows.numeric[keep], rows.categorical[keep], rows.clicked[keep], weight[keep])

    rival = fit_lightgbm(thinned(splits["train"]), thinned(splits["validation"]), 0, 1, SMALL[:1])
    test = splits["test"]
    assert rival.predict(test).mean() == pytest.approx(test.clicked.mean(), abs=0.04)


def test_the_setting_with_the_lowest_validation_logloss_is_kept(rival, splits):
    validation = splits["validation"]
    losses = []
    for chosen in SMALL:
        alone = fit_lightgbm(splits["train"], validation, seed=0, num_threads=1, settings=(chosen,))
        losses.append(log_loss(validation.clicked, alone.predict(validation)))
    assert rival.settings == SMALL[int(np.argmin(losses))]
    assert rival.validation_logloss == pytest.approx(min(losses), abs=1e-6)
    assert losses[0] < losses[1] - 0.01


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(rival, splits):
    again = fit_lightgbm(splits["train"], splits["validation"], seed=0, num_threads=1, settings=SMALL)
    other = fit_lightgbm(splits["train"], splits["validation"], seed=1, num_threads=1, settings=SMALL)
    assert np.array_equal(again.predict(splits["test"]), rival.predict(splits["test"]))
    assert not np.array_equal(other.predict(splits["test"]), rival.predict(splits["test"]))


def test_every_setting_of_the_grid_trains(splits):
    for chosen in SETTINGS:
        rival = fit_lightgbm(splits["train"], splits["validation"], seed=0, num_threads=1, settings=(chosen,))
        assert rival.validation_logloss < log_loss(splits["validation"].clicked, np.full(1500, 0.5))


def test_trees_without_categoricals_read_numbers_alone(splits):
    numbers_alone = {**SMALL[0], "categoricals": False}
    rival = fit_lightgbm(splits["train"], splits["validation"], seed=0, num_threads=1, settings=(numbers_alone,))
    test = splits["test"]
    mixed = test._replace(categorical=np.random.default_rng(0).permutation(test.categorical))
    assert np.array_equal(rival.predict(test), rival.predict(mixed))
    every = fit_lightgbm(splits["train"], splits["validation"], seed=0, num_threads=1, settings=(SMALL[0],))
    assert not np.array_equal(every.predict(test), every.predict(mixed))
    chosen = fit_lightgbm(
        splits["train"], splits["validation"], seed=0, num_threads=1, settings=(numbers_alone, SMALL[0])
    )
    assert chosen.settings == SMALL[0], "here a category tells of clicks"


def test_threads_are_those_of_torch_and_fewer_on_few_rows(monkeypatch):
    monkeypatch.setattr(trees.torch, "get_num_threads", lambda: 3)
    assert [trees.num_threads(rows) for rows in (10, 50_000, 10**6)] == [1, 2, 3]
