"""What is compared: each system's settings are valid, its own, and change what its name says."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ranker import systems
from benchmarks.ranker.__main__ import BUDGET
from benchmarks.ranker.cell import Cell
from benchmarks.ranker.systems import (
    ABLATIONS,
    DEFAULT,
    NETWORKS,
    PACKAGES,
    RIVALS,
    SYSTEMS,
    TREES,
    choose,
    flags_of,
    is_ours,
    order_of,
)
from benchmarks.rivals.fit import SYSTEMS as FITTED
from prectr.rank.__main__ import CONFIGS
from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import read_config

OURS = [system for system in SYSTEMS if is_ours(system)]
WITHOUT_PACKAGES = [system for system in SYSTEMS if system not in PACKAGES]


def settings(system: str, *flags: str) -> dict[str, Any]:
    cell = Cell(system, 0, Path("b"), ("--profile", "smoke", *flags))
    return {name: value for group in cell.settings() for name, value in vars(group).items() if name != "name"}


def test_the_default_systems_are_those_of_the_comparison() -> None:
    assert DEFAULT == (
        "prectr_v2", "prectr_v1", "lightgbm", "xgboost", "catboost", "lambdarank", "cutoff_lightgbm", "din", "dcnv2",
        "finalmlp", "sim_or_twin", "frozen_emb_mlp", "frozen_encoder", "no_user_preference", "no_cross_preference",
        "no_incentive", "no_debias", "no_consistency", "no_exact_match", "no_stage_one_features",
        "no_engagement_teacher", "no_text_vectors", "no_soft_counts", "no_fusion",
        "noise_isotropic", "no_two_step", "no_replay", "random_encoder",
    )  # fmt: skip
    assert set(FITTED) == {*TREES, *NETWORKS} and set(FITTED) < set(RIVALS)


@pytest.mark.parametrize("profile", ["smoke", "default", "full"])
def test_every_system_of_ours_is_a_valid_setting_of_its_own(profile: str) -> None:
    found = [settings(system, "--profile", profile) for system in OURS if system != "random_encoder"]
    assert all(one not in found[:number] for number, one in enumerate(found))
    history = [[one[name] for name in ("history_in_category", "cross_history", "cold_share")] for one in found]
    assert all(one == history[0] for one in history), "features are shared"


AT_REST = {"encoder_learning_rate": 0.0, "warmup_share": 0.0}


@pytest.mark.parametrize(
    ("system", "changed"),
    [
        ("no_user_preference", {"user_preference": False, **AT_REST}),
        ("no_exact_match", {"exact_match": False, **AT_REST}),
        ("no_stage_one_features", {"stage_one_features": False, **AT_REST}),
        ("no_engagement_teacher", {"engagement_weight": 0.0, **AT_REST}),
        ("no_text_vectors", {"text_vectors": False, **AT_REST}),
        ("no_soft_counts", {"soft_counts": False, **AT_REST}),
        ("no_two_step", {"warmup_share": 0.0}),
        ("no_fusion", {"fusion": "sigmoid", "consistency_weight": 0.0, **AT_REST}),
        ("frozen_encoder", AT_REST),
        ("random_encoder", {"encoder": "b/untrained_encoder-seed0", "replay_pairs": 0}),
        (
            "prectr_v1",
            {
                "cross_preference": False,
                "debias_weight": 0.0,
                "engagement_weight": 0.0,
                "encoder_learning_rate": 0.0,
                "warmup_share": 0.0,
                "relevance_weight": 0.0,
                "replay_share": 0.0,
                "text_vectors": False,
            },
        ),
    ],
)
def test_a_system_changes_what_it_says_and_nothing_else(system: str, changed: dict[str, Any]) -> None:
    whole, part = settings("prectr_v2"), settings(system)
    assert {name: part[name] for name in part if part[name] != whole[name]} == changed


def test_v1_of_the_comparison_is_the_profile_that_ships() -> None:
    shipped = read_config(CONFIGS / "prectr_v1.yaml")
    flags = flags_of("prectr_v1")
    assert dict(zip(flags[::2], flags[1::2], strict=True)) == {
        f"--{name}": str(value) for name, value in shipped.items() if name not in ("name", "seed")
    }


def test_the_embedding_network_is_frozen_and_has_no_part_of_ours() -> None:
    plain = settings("frozen_emb_mlp")
    assert not (plain["user_preference"] or plain["cross_preference"])
    assert (plain["incentive"], plain["fusion"]) == ("none", "sigmoid")
    assert (plain["text_vectors"], plain["members"]) == (False, 1)
    weights = ("debias_weight", "consistency_weight", "relevance_weight", "replay_share", "encoder_learning_rate")
    assert plain["engagement_weight"] == 0
    assert all(plain[name] == 0 for name in weights)


def test_systems_are_chosen_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert choose(["prectr_v2"]) == ["prectr_v2"]
    assert choose(["no_two_step", "lightgbm", "no_two_step"]) == ["prectr_v2", "lightgbm", "no_two_step"]
    assert choose(["noise_isotropic"]) == ["prectr_v2", "frozen_encoder", "noise_isotropic"]
    assert choose(["all"]) == list(SYSTEMS)


def test_rivals_without_their_package_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems.importlib.util, "find_spec", lambda name: None)
    wanted = "^catboost, din, sim_or_twin: not installed: catboost, fuxictr; run .* --systems.$"
    with pytest.raises(PrectrError, match=wanted):
        choose(["sim_or_twin", "din", "lightgbm", "catboost"])
    assert choose(WITHOUT_PACKAGES) == WITHOUT_PACKAGES


def test_what_a_comparison_is_made_for_is_trained_first() -> None:
    assert sorted(SYSTEMS, key=order_of)[:9] == [
        "prectr_v2", "lightgbm", "xgboost", "catboost", "frozen_encoder", "random_encoder", "no_debias",
        "no_cross_preference", "prectr_v1",
    ]  # fmt: skip


def test_the_untrained_encoder_takes_the_place_of_any_that_is_given() -> None:
    given = ("--profile", "smoke", "--encoder", "other/encoder")
    assert Cell("frozen_encoder", 3, Path("b"), given).settings()[0].encoder == "other/encoder"
    assert Cell("random_encoder", 3, Path("b"), given).settings()[0].encoder == "b/untrained_encoder-seed3"


def test_an_unknown_system_is_told_the_nearest() -> None:
    with pytest.raises(PrectrError, match="unknown system 'no_debais'; did you mean 'no_debias'?"):
        choose(["no_debais"])


def test_a_command_hands_on_the_flags_and_ends_with_the_systems_own() -> None:
    cell = Cell("no_incentive", 4, Path("b"), ("--profile", "smoke", "--incentive", "outside"))
    run, _, model, *_ = cell.settings()
    assert cell.command()[1:4] == ["-m", "benchmarks.ranker.cell", "no_incentive"]
    assert (run.artifacts, run.name, run.seed, model.incentive) == ("b", "no_incentive-seed4", 4, "none")


def test_a_rival_reads_the_features_of_the_ranker_of_its_seed() -> None:
    run, *_ = Cell("lambdarank", 2, Path("b"), ("--profile", "smoke")).settings()
    assert (run.name, run.seed) == ("prectr_v2-seed2", 2)


def test_the_budget_holds_for_every_system_and_gives_way_to_flags() -> None:
    flags = systems.flags_in(BUDGET)
    assert settings("prectr_v1", *flags)["bootstrap_resamples"] == read_config(BUDGET)["bootstrap_resamples"]
    assert settings("no_debias", *flags, "--bootstrap_resamples", "7")["bootstrap_resamples"] == 7


def test_ablations_leave_the_features_alone() -> None:
    shared = {name for flags in ABLATIONS.values() for name in flags if name.startswith("--")}
    assert not any(
        name.startswith(("--history", "--cold", "--cross_history", "--item_id", "--user_id")) for name in shared
    )
