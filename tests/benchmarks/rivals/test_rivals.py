"""The rivals that need no extra: trees, the flow of tuning and scoring, histories and batches."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ranker.systems import PACKAGES
from benchmarks.rivals import fit, trees
from benchmarks.rivals.batches import CANDIDATE, Batches, Columns, fit_edges
from benchmarks.rivals.fit import SYSTEMS, fit_and_score
from benchmarks.rivals.histories import history_cut, long_history, short_history
from benchmarks.rivals.networks import find_model
from benchmarks.rivals.system import Rival, Sets, System, best
from benchmarks.rivals.text_vectors import TextVectors
from benchmarks.rivals.trees import FLOOR, TREES, demote
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.inputs.events import Events
from prectr.shared import metrics
from prectr.shared.errors import PrectrError
from tests.benchmarks.rivals.rivals_shop import PAGES, small_stage

SMALL = (
    {"num_leaves": 7, "min_data_in_leaf": 20, "feature_fraction": 0.7, "lambda_l2": 1.0},
    {"num_leaves": 2, "min_data_in_leaf": 400, "feature_fraction": 0.2, "lambda_l2": 100.0},
)

SMALL_XGBOOST = (
    {"max_leaves": 7, "min_child_weight": 1, "colsample_bytree": 0.7},
    {"max_leaves": 2, "min_child_weight": 1, "colsample_bytree": 0.1, "reg_lambda": 1e4},
)
SMALL_CATBOOST = ({"depth": 3, "l2_leaf_reg": 1}, {"depth": 1, "l2_leaf_reg": 1e5})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return small_stage(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def sets(workspace, tmp_path):
    return Sets(workspace, tmp_path)


@pytest.fixture
def small_trees(monkeypatch):
    monkeypatch.setattr(trees, "num_threads", lambda rows: 1)
    for name in TREES:
        small = {"xgboost": SMALL_XGBOOST, "catboost": SMALL_CATBOOST}.get(name, SMALL)
        monkeypatch.setitem(SYSTEMS, name, SYSTEMS[name]._replace(settings=small))


def needs_its_package(system: str) -> None:
    if system in PACKAGES:
        pytest.importorskip(PACKAGES[system], reason="extra `bench`")


def read(folder: Path) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy") for name in PAGES if name != "train"}


@pytest.mark.parametrize("system", list(TREES))
def test_every_set_gets_probabilities_that_know_what_is_clicked(system, workspace, sets, small_trees, tmp_path):
    needs_its_package(system)
    fit_and_score(system, workspace, 0, tmp_path / system)
    scores, facts = read(tmp_path / system), json.loads((tmp_path / system / "facts.json").read_text())
    for name, p in scores.items():
        assert p.shape == (len(sets.prepared[name]),) and p.dtype == np.float64
        assert (p > 0).all() and (p < 1).all()
    test = sets.prepared["test"]
    assert metrics.auc(test.clicked, scores["test"]) > 0.65
    assert metrics.pcoc(test.clicked, scores["test"]) == pytest.approx(1, abs=0.2)
    assert facts["system"] == system and facts["seed"] == 0 and facts["parameters"] > 0
    settings = SYSTEMS[system].settings
    assert [entry["setting"] for entry in facts["tried"]] == list(settings)
    assert facts["setting"] == settings[0]
    assert facts["validation"]["logloss"] < facts["tried"][1]["validation"]["logloss"]


@pytest.mark.parametrize("system", ["lightgbm", "xgboost", "catboost", "lambdarank"])
def test_the_same_seed_gives_the_same_scores_and_another_seed_others(system, workspace, small_trees, tmp_path):
    needs_its_package(system)
    for seed, name in ((0, "one"), (0, "two"), (1, "other")):  # a folder each, or the second would borrow of the first
        fit_and_score(system, workspace, seed, tmp_path / name / system)
    one, two, other = (read(tmp_path / name / system) for name in ("one", "two", "other"))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["test"], other["test"])


def counting_system(trained: list, fail_at: int | None = None) -> System:
    """A system that notes each training, and can be made to die in one."""

    def fit_constant(sets: Sets, setting: dict, seed: int) -> Rival:
        if len(trained) == fail_at:
            raise KeyboardInterrupt
        trained.append((setting["p"], seed))
        return Rival(lambda name: np.full(len(sets.prepared[name]), setting["p"]), 1, {})

    return System(fit_constant, ({"p": 0.9}, {"p": 0.4}, {"p": 0.01}))


def test_all_seeds_use_the_setting_the_first_one_chose(workspace, tmp_path, monkeypatch):
    trained: list = []
    monkeypatch.setitem(SYSTEMS, "constant", counting_system(trained))
    for seed in (0, 1):
        fit_and_score("constant", workspace, seed, tmp_path / f"constant-seed{seed}")
    assert trained == [(0.9, 0), (0.4, 0), (0.01, 0), (0.4, 1)], "the first seed has its scores from the choice"
    for seed in (0, 1):
        assert set(read(tmp_path / f"constant-seed{seed}")["test"]) == {0.4}
    assert json.loads((tmp_path / "constant-seed1" / "facts.json").read_text())["setting"] == {"p": 0.4}


def test_a_killed_run_loses_one_training_at_most(workspace, tmp_path, monkeypatch):
    before: list = []
    monkeypatch.setitem(SYSTEMS, "constant", counting_system(before, fail_at=2))
    with pytest.raises(KeyboardInterrupt):
        fit_and_score("constant", workspace, 0, tmp_path / "work")
    assert not (tmp_path / "work" / "facts.json").exists()
    after: list = []
    monkeypatch.setitem(SYSTEMS, "constant", counting_system(after))
    fit_and_score("constant", workspace, 0, tmp_path / "work")
    assert before == [(0.9, 0), (0.4, 0)] and after == [(0.01, 0)]


def test_scores_of_other_features_are_not_borrowed(workspace, sets, tmp_path, monkeypatch):
    trained: list = []
    monkeypatch.setitem(SYSTEMS, "constant", counting_system(trained))
    fit_and_score("constant", workspace, 0, tmp_path / "constant-seed0")
    record = fit.read_record(sets.folder)
    changed = record.__class__(**{**record.__dict__, "fingerprint": "other code made them"})
    monkeypatch.setattr(fit, "read_record", lambda folder: changed)
    fit_and_score("constant", workspace, 0, tmp_path / "constant-seed0")
    assert trained[3:] == [(0.4, 0)]


def test_every_tree_reads_every_number_of_the_feature_file(workspace, sets, small_trees, monkeypatch):
    """A number that gives the clicks away, put behind all others, makes each of them all but perfect."""
    for prepared in sets.prepared.values():
        told = prepared.clicked[:, None] + np.random.default_rng(0).normal(0, 0.1, (len(prepared), 1))
        prepared.numeric = np.concatenate([prepared.numeric, told], 1, dtype=np.float32)
    test = sets.prepared["test"]
    for system in TREES:
        if system not in PACKAGES or find_spec(PACKAGES[system]):
            rival = SYSTEMS[system].fit(sets, SYSTEMS[system].settings[0], 0)
            assert metrics.auc(test.clicked, rival.probability("test")) > 0.99, system


def test_every_tree_has_four_settings_that_differ():
    for name, system in TREES.items():
        assert len({str(setting) for setting in system.settings}) == len(system.settings) == 4, name


def test_a_choice_holds_for_features_of_another_seed_but_not_of_other_settings(sets, tmp_path, monkeypatch):
    trained: list = []
    monkeypatch.setitem(SYSTEMS, "constant", counting_system(trained))
    record = fit.read_record(sets.folder)
    for features in ({"seed": 0}, {"seed": 1}, {"seed": 1, "history_overall": 5}):
        changed = record.__class__(**{**record.__dict__, "inputs": features})
        monkeypatch.setattr(fit, "read_record", lambda folder, changed=changed: changed)
        fit.tune("constant", sets, 0)
    assert len(trained) == 6


def test_an_unknown_system_is_refused(workspace, tmp_path):
    with pytest.raises(PrectrError, match="no rival 'dinn'; there are lightgbm, xgboost"):
        fit_and_score("dinn", workspace, 0, tmp_path)


def test_the_best_setting_is_by_the_figure_asked_for():
    figures = [{"logloss": 0.3, "ndcg@10": 0.9}, {"logloss": 0.2, "ndcg@10": None}, {"logloss": 0.2, "ndcg@10": 0.8}]
    assert best(figures, "logloss") == 1 and best(figures, "ndcg@10") == 0


def test_a_missing_install_says_how_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="fuxictr")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(PrectrError, match=r"FuxiCTR, which is not installed \(no module fuxictr\): run `pip install"):
        find_model("DIN")


def test_what_is_under_the_cutoff_ranks_below_the_rest_in_its_own_order():
    p = np.array([0.9, 1e-9, 0.5, 0.2, 0.99999])
    demoted = demote(p, np.array([True, False, False, True, True]))
    assert np.argsort(-demoted).tolist() == [2, 1, 4, 0, 3]
    assert (demoted > 0).all() and demoted[2] == 0.5 and demoted[[0, 3, 4]].max() < FLOOR


def test_the_cutoff_is_the_strictest_that_costs_the_clicks_little(sets, small_trees):
    rival, alone = (find(sets, SMALL[0], 0) for find in (trees.fit_cutoff, trees.fit_binary))
    held = sets.prepared["validation"]
    expected, p = held.level_prob @ np.arange(3.0), alone.probability("validation")
    quality = {c: metrics.ndcg_at_k(held.page, demote(p, expected < c), held.clicked) for c in (0, *expected)}
    cutoff = rival.facts["cutoff"]
    given_up = quality[0] - metrics.ndcg_at_k(held.page, rival.probability("validation"), held.clicked)
    assert given_up <= trees.NDCG_GIVEN_UP
    stricter = np.percentile(expected, np.arange(100))
    for other in stricter[stricter > cutoff + 1e-6]:
        assert metrics.ndcg_at_k(held.page, demote(p, expected < other), held.clicked) < quality[0] - 0.005


def test_lambdarank_s_calibration_leaves_the_ranking_as_it_is(sets, small_trees):
    rival = trees.fit_lambdarank(sets, SMALL[0], 0)
    assert rival.facts["calibration"]["slope"] > 0
    held = sets.prepared["validation"]
    assert metrics.pcoc(held.clicked, rival.probability("validation")) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", [name for name in PAGES])
def test_a_long_history_of_the_ranker_s_length_is_the_ranker_s_history(name, sets):
    prepared, log, history = sets.prepared[name], sets.workspace.shop().log, sets.workspace.history
    cut = history_cut(name, prepared.num_pages, history, 0)
    same = long_history(prepared, log, cut, history.history_in_category, history.history_overall)
    assert np.array_equal(same, short_history(prepared))
    longer = long_history(prepared, log, cut)
    assert (longer >= 0).sum() >= (same >= 0).sum()
    seconds = np.where(longer >= 0, log.seconds[np.maximum(longer, 0)], -1)
    assert (seconds < prepared.seconds[:, None]).all() and (np.diff(seconds, axis=1) >= 0).all()


@pytest.fixture
def columns(sets):
    feature_map = FeatureMap.read(sets.folder / "feature_map.json")
    shop, rng = sets.workspace.shop(), np.random.default_rng(0)
    vectors = TextVectors(*(rng.normal(size=(n, 5)).astype(np.float32) for n in (4, 8)))
    events = Events(shop.log, feature_map.transform_items(shop.items).astype(np.int32))
    of_item = feature_map.item_columns
    context = [column for column in range(len(feature_map.cardinalities)) if column not in of_item]
    return Columns(events, vectors, of_item, context, fit_edges(sets.prepared["train"], vectors))


def test_a_batch_holds_the_past_in_order_and_the_candidate_last(sets, columns):
    prepared = sets.prepared["test"]
    batches = Batches(columns, prepared, short_history(prepared), 16)
    rows = np.array([0, 5, 40])
    inputs, items, mask = batches.batch(rows)
    length = mask.shape[1] + 1
    log = columns.events.log
    for place, row in enumerate(rows):
        page = prepared.page[row]
        past = short_history(prepared)[page]
        assert np.array_equal(mask[place].numpy(), past >= 0)
        for number, column in enumerate(columns.item_columns):
            codes = items[f"item_{number}"].reshape(-1, length)[place]
            assert codes[-1] == prepared.categorical[row, column] + 1
            wanted = [columns.events.item_categorical[log.item[r], number] + 1 if r >= 0 else 0 for r in past]
            assert codes[:-1].tolist() == wanted
        action = items["action"].reshape(-1, length)[place]
        assert action[-1] == CANDIDATE
        assert action[:-1].tolist() == [2 + int(log.clicked[r]) + int(log.event[r]) if r >= 0 else 0 for r in past]
        level = items["level_prob"].reshape(-1, length, 3)[place].numpy()
        assert np.array_equal(level[-1], prepared.level_prob[row]) and (level[:-1][past < 0] == 0).all()
    assert (items["gap"].reshape(-1, length)[:, :-1].numpy()[mask.numpy() == 0] == 0).all()
    assert inputs["numbers"].shape == (3, prepared.numeric.shape[1] + 1)
    assert np.array_equal(inputs["clicked"].numpy(), prepared.clicked[rows])


def test_an_epoch_reads_every_row_once_but_for_a_short_rest(sets, columns):
    prepared = sets.prepared["test"]
    in_order = Batches(columns, prepared, short_history(prepared), 100)
    assert sum(len(batch[2]) for batch in in_order) == len(prepared) and len(in_order) == 4
    seen = []
    shuffled = Batches(columns, prepared, short_history(prepared), 100, lambda epoch: np.arange(320)[:: 1 - 2 * epoch])
    for _ in range(2):
        seen.append(np.concatenate([batch[0]["numbers"].numpy() for batch in shuffled]))
    assert len(shuffled) == 3 and seen[0].shape == seen[1].shape
    assert np.array_equal(seen[1], shuffled.numbers[319:19:-1])


def test_bins_are_cut_at_the_training_rows_quantiles(sets, columns):
    prepared = sets.prepared["train"]
    numbers = columns.numbers(prepared)
    bins = columns.bins(numbers)
    count = len(columns.edges)
    assert bins.shape == numbers.shape and bins.min() >= 0 and bins.max() < 16 * count
    share = np.bincount(bins[:, -1] - 16 * (count - 1), minlength=16) / len(bins)  # the cosine has no ties to speak of
    assert share.max() < 0.25
    order = np.argsort(numbers[:, -1])
    assert (np.diff(bins[order, -1]) >= 0).all()
