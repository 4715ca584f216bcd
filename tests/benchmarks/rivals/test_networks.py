"""FuxiCTR's networks on a small shop: they learn, the same seed repeats itself, and users without a past are scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("fuxictr", reason="FuxiCTR is not installed (extra `bench`)")

from benchmarks.rivals import networks
from benchmarks.rivals.fit import SYSTEMS, fit_and_score
from benchmarks.rivals.networks import GRID, MODELS, NETWORKS, Inputs, find_model, fit_network, fuxictr_features
from benchmarks.rivals.system import Sets
from benchmarks.rivals.text_vectors import TextVectors
from prectr.shared import metrics
from tests.benchmarks.rivals.rivals_shop import PAGES, small_stage

SETTING = {"learning_rate": 1e-2, "embedding_dim": 4, "dropout": 0.0, "embedding_regularizer": 0.0}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return small_stage(tmp_path_factory.mktemp("shop"))


@pytest.fixture(autouse=True)
def small_and_without_minilm(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = TextVectors(*(rng.normal(size=(n, 5)).astype(np.float32) for n in (4, 8)))
    monkeypatch.setattr(networks, "text_vectors", lambda *arguments: vectors)
    monkeypatch.setattr(networks, "BATCH_SIZE", 64)


@pytest.mark.parametrize("model", list(MODELS))
def test_each_network_learns(model, workspace, tmp_path):
    sets = Sets(workspace, tmp_path)
    rival = fit_network(sets, {"model": model, **SETTING}, 0)
    test, p = sets.prepared["test"], rival.probability("test")
    assert p.shape == (len(test),) and p.dtype == np.float64 and (p > 0).all() and (p < 1).all()
    assert metrics.auc(test.clicked, p) > 0.65
    assert rival.facts["history"] == (150 if MODELS[model].long else 8)


@pytest.mark.parametrize("model", ["DIN", "TWIN"])
def test_the_same_seed_gives_the_same_scores_and_another_seed_others(model, workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "EPOCHS", 1)
    sets = Sets(workspace, tmp_path)
    one, two, other = (
        fit_network(sets, {"model": model, **SETTING, "dropout": 0.2}, seed).probability("test") for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_sim_or_twin_is_whichever_validates_better(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "EPOCHS", 1)
    settings = tuple({"model": model, **SETTING} for model in ("SIM", "TWIN"))
    monkeypatch.setitem(SYSTEMS, "sim_or_twin", NETWORKS["sim_or_twin"]._replace(settings=settings))
    fit_and_score("sim_or_twin", workspace, 0, tmp_path / "work")
    assert {path.stem for path in (tmp_path / "work").glob("*.npy")} == set(PAGES) - {"train"}


@pytest.mark.parametrize("model", list(MODELS))
def test_a_user_without_a_past_is_scored_alike_alone_and_beside_others(model, workspace, tmp_path):
    sets = Sets(workspace, tmp_path)
    inputs = Inputs(sets, long=False)
    torch.manual_seed(0)
    network = find_model(model)(
        fuxictr_features(inputs.widths, 4, str(tmp_path)),
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["logloss"],
        verbose=0,
        model_root=str(tmp_path),
        embedding_dim=4,
        **{**MODELS[model].arguments({"dropout": 0.0}), **({"short_seq_len": 4} if MODELS[model].long else {})},
    ).eval()
    batches = inputs.batches("new_users_0", 8)
    assert (batches.history < 0).all()
    with torch.no_grad():
        together = network(batches.batch(np.arange(8)))["y_pred"]
        alone = network(batches.batch(np.arange(2)))["y_pred"]
    assert torch.isfinite(together).all()
    assert torch.allclose(together[:2], alone, atol=1e-6)


def test_every_network_has_four_settings_that_differ():
    for name, system in NETWORKS.items():
        assert len(system.settings) == len(GRID) == 4, name
        assert len({str(setting) for setting in system.settings}) == 4
    assert {setting["model"] for setting in NETWORKS["sim_or_twin"].settings} == {"SIM", "TWIN"}


def test_the_models_are_fuxictr_s_own():
    assert find_model("DIN").__module__.startswith("model_zoo.LongCTR")
