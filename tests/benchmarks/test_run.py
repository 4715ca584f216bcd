"""The benchmark's own work, on folders that look like finished runs: nothing is trained here."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import run as bench
from rank.config import ARGUMENTS
from shared.config import PrectrError, parse_arguments
from shared.metrics import auc
from shared.steps import run_step

CLICKED = np.array([True, False, False, True, False, False])
USERS = ["ann", "ann", "ann", "bob", "bob", "bob"]
# AUC against CLICKED: 1, 7/8 (the second click behind one of four) and 1/2.
PERFECT, GOOD, USELESS = (
    np.array([0.9, 0.2, 0.1, 0.8, 0.3, 0.1]),
    np.array([0.9, 0.2, 0.1, 0.4, 0.5, 0.1]),
    np.full(6, 0.5),
)
SCORES = {"full": PERFECT, "no_debias": GOOD, "lightgbm": USELESS}
COUNTS = {"pages": 2, "users": 2, "impressions": 6, "clicks": 2}


def metrics_of(system: str, seed: int) -> dict[str, Any]:
    """One system's part of metrics.json; its figures tell system and seed apart."""
    value = float(cast(float, auc(CLICKED, SCORES[system]))) + seed / 100
    exposed = dict.fromkeys(("auc", "gauc_page", "gauc_user", "logloss", "pcoc", "ece"), value)
    candidates = dict.fromkeys(("ndcg@10", "auc", "excess_low@10"), value / 2)
    return {
        "exposed": {**exposed, "n": COUNTS},
        "open": {**candidates, "n": COUNTS},
        "new_users": {"0": None, "30": value},
        "new_users_n": COUNTS,
    }


def write_ranker(folder: Path, variant: str, seed: int) -> None:
    """`ranker/` as `rank run` leaves it, rows shuffled by seed, and with the other sets' predictions among them."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"git_commit": "c0ffee", "date": "2026-01-01", "reconstructed": "The pages are reconstructed."}
    metrics = {**metrics_of(variant, seed), "lightgbm": metrics_of("lightgbm", seed), **facts}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    order = np.random.default_rng(seed).permutation(6)
    test: dict[str, Any] = {
        "impression_id": np.arange(6)[order],
        "split": ["test"] * 6,
        "clicked": CLICKED[order],
        "p_click": SCORES[variant][order].astype(np.float32),
        "p_click_lightgbm": SCORES["lightgbm"][order].astype(np.float32),
    }
    others = {**test, "impression_id": np.arange(6) + 100, "split": ["open"] * 6, "p_click": 1 - test["p_click"]}
    pq.write_table(pa.concat_tables([pa.table(test), pa.table(others)]), folder / "predictions.parquet")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A data set with finished inputs, and a stage two that writes its results at once; `started` lists what it ran."""
    artifacts, started = tmp_path / "artifacts", []
    home = artifacts / "toy"
    for name in ("data", "encoder", "level_prob", "behaviours"):
        run_step(name, home / name, {"of": name}, lambda work: None)
    stage = SimpleNamespace(
        folder=home, data=home / "data", encoder=home / "encoder", run=SimpleNamespace(name="toy", artifacts=artifacts)
    )

    def launch(command: list[str], **_: Any) -> SimpleNamespace:
        flag = dict(zip(command, command[1:], strict=False))
        folder = Path(flag["--artifacts"]) / flag["--name"]
        variant = flag["--name"].partition("-seed")[0]
        started.append((variant, int(flag["--seed"])))
        for step in ("features", "lightgbm"):
            run_step(step, folder / step, {"seed": flag["--seed"]}, lambda work: None)
        run_step("ranker", folder / "ranker", {}, lambda work: write_ranker(work, variant, int(flag["--seed"])))
        return SimpleNamespace(returncode=0)

    impressions = {"impression_id": [*range(6), 7], "user_id": [*USERS, "eve"], "split": ["test"] * 6 + ["train"]}
    monkeypatch.setattr(bench, "read_table", lambda folder, name, columns: pa.table(impressions))
    monkeypatch.setattr(bench, "Stage", lambda *arguments: stage)
    monkeypatch.setattr(bench, "build_behaviours", lambda stage: None)
    monkeypatch.setattr(bench, "subprocess", SimpleNamespace(run=launch, STDOUT=None))
    return SimpleNamespace(
        stage=stage, started=started, results=tmp_path / "results", bench=artifacts / "bench" / "toy"
    )


def run_bench(shop: SimpleNamespace, *flags: str) -> dict[str, Any]:
    where = ["--profile", "smoke", "--results", str(shop.results), "--resamples", "50"]
    bench.main([*where, *flags])
    result: dict[str, Any] = json.loads((shop.results / "ranker_toy.json").read_text(encoding="utf-8"))
    return result


def test_the_file_holds_a_figure_for_every_system_metric_and_seed(shop: SimpleNamespace) -> None:
    result = run_bench(shop, "--seeds", "0", "1", "--variants", "no_debias")
    described = {"command", "commit", "date", "machine", "reconstructed", "n"}
    assert set(result) == described | {"seeds", "systems", "differences"}
    assert result["commit"] == "c0ffee" and result["seeds"] == [0, 1] and result["n"]["open"] == COUNTS
    assert result["command"].startswith("python -m benchmarks.run --profile smoke")
    assert set(result["machine"]) == {"cpu", "cores", "memory_gib"} and result["machine"]["memory_gib"] > 0
    assert list(result["systems"]) == ["full", "no_debias", "lightgbm"]
    for system, scores in SCORES.items():
        value = auc(CLICKED, scores)
        assert value is not None
        parts = result["systems"][system]
        assert parts["exposed auc"] == parts["exposed ece"] == parts["new_users 30"] == [value, value + 0.01]
        assert parts["open ndcg@10"] == [value / 2, (value + 0.01) / 2]
        assert parts["new_users 0"] == [None, None]
        assert "exposed n" not in parts


def test_differences_are_paired_by_impression_and_hold_the_sets_apart(shop: SimpleNamespace) -> None:
    differences = run_bench(shop, "--seeds", "3", "5", "--variants", "no_debias")["differences"]
    expected = {"full - lightgbm": 0.5, "no_debias - lightgbm": 0.375, "no_debias - full": -0.125}
    assert list(differences) == list(expected)
    for pair, value in expected.items():
        part = differences[pair]["exposed auc"]
        assert part["per_seed"] == [pytest.approx(value)] * 2
        assert part["mean"] == pytest.approx(value)
    # A household alone: the scores of `full` are perfect for either, and LightGBM's are one constant.
    assert differences["full - lightgbm"]["exposed auc"]["ci95"] == [0.5, 0.5]
    low, high = differences["no_debias - full"]["exposed auc"]["ci95"]
    assert low == pytest.approx(-0.5) and high == 0  # bob alone: the click is behind one of two; ann alone: perfect


def test_the_tables_show_every_system_and_where_the_figures_are(
    shop: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    run_bench(shop, "--seeds", "0", "1", "--variants", "no_debias")
    shown = capsys.readouterr().out
    assert "1.0050 ± 0.0071" in shown  # full: 1.00 and 1.01
    assert "mean ± sd over 2 seeds" in shown
    assert "no_debias - full" in shown and "-0.1250" in shown
    assert "The pages are reconstructed." in shown and "ranker_toy.json" in shown


def test_full_comes_first_and_the_others_borrow_its_features(shop: SimpleNamespace) -> None:
    run_bench(shop, "--seeds", "0", "1", "--variants", "no_debias")
    assert shop.started == [("full", 0), ("full", 1), ("no_debias", 0), ("no_debias", 1)]
    for seed in (0, 1):
        own, borrower = shop.bench / f"full-seed{seed}", shop.bench / f"no_debias-seed{seed}"
        for name in ("features", "lightgbm"):
            assert not (own / name).is_symlink()
            assert (borrower / name).readlink() == (own / name).resolve()
        for folder in (own, borrower):
            for name in ("data", "encoder", "level_prob", "behaviours"):
                assert (folder / name).readlink() == (shop.stage.folder / name).resolve()


def test_a_step_is_skipped_through_a_link_and_its_folder_stays(shop: SimpleNamespace) -> None:
    bench.link_inputs(bench.Run("full", 0, shop.bench), shop.stage)
    link = shop.bench / "full-seed0" / "data"

    def build(work: Path) -> None:
        raise AssertionError("built again")

    assert run_step("data", link, {"of": "data"}, build).inputs == {"of": "data"}
    assert link.is_symlink()


def test_links_follow_their_targets_and_replace_no_folder(shop: SimpleNamespace, tmp_path: Path) -> None:
    one = bench.Run("full", 0, shop.bench)
    bench.link_inputs(one, shop.stage)
    bench.link_inputs(one, shop.stage)
    other = tmp_path / "another_encoder"
    run_step("encoder", other, {"of": "another"}, lambda work: None)
    shop.stage.encoder = other
    bench.link_inputs(one, shop.stage)
    assert (one.folder / "encoder").readlink() == other.resolve()
    (one.folder / "data").unlink()
    (one.folder / "data").mkdir()
    with pytest.raises(PrectrError, match="in the way"):
        bench.link_inputs(one, shop.stage)


def test_inputs_that_are_not_there_are_named_with_their_command(shop: SimpleNamespace) -> None:
    (shop.stage.folder / "level_prob" / "step.json").unlink()
    with pytest.raises(PrectrError, match="level_prob is not there or not finished.*make distill"):
        bench.link_inputs(bench.Run("full", 0, shop.bench), shop.stage)


def test_a_failed_run_is_one_sentence_with_its_last_line(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], stdout: Any, **_: Any) -> SimpleNamespace:
        stdout.write("working\nerror: no memory\n")
        return SimpleNamespace(returncode=2)

    monkeypatch.setattr(bench, "subprocess", SimpleNamespace(run=fail, STDOUT=None))
    with pytest.raises(PrectrError, match=r"full-seed7 failed, exit code 2 \(error: no memory\); see .*run\.log"):
        run_bench(shop, "--seeds", "7")
    assert not shop.results.exists()


def test_runs_that_judged_other_impressions_are_refused(shop: SimpleNamespace) -> None:
    runs = {"full": [bench.Run("full", seed, shop.bench) for seed in (0, 1)]}
    for one in runs["full"]:
        write_ranker(one.folder / "ranker", one.variant, one.seed)
    path = runs["full"][1].folder / "ranker" / "predictions.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(PrectrError, match="judged other impressions"):
        bench.compare(runs, shop.stage.data, 10)


def test_a_command_hands_on_the_flags_and_ends_with_the_variants_own() -> None:
    command = bench.Run("no_incentive", 4, Path("b")).command(["--profile", "smoke", "--incentive", "outside"])
    run, _, model, *_ = parse_arguments(ARGUMENTS, bench.CONFIGS, command[4:])
    assert command[1:4] == ["-m", "rank", "run"]
    assert (run.artifacts, run.name, run.seed, model.incentive) == ("b", "no_incentive-seed4", 4, "none")


@pytest.mark.parametrize("profile", ["smoke", "default", "full"])
def test_every_variant_is_a_valid_setting_of_its_own(profile: str) -> None:
    def settings(variant: str) -> Mapping[str, Any]:
        instances = parse_arguments(ARGUMENTS, bench.CONFIGS, ["--profile", profile, *bench.VARIANTS[variant]])
        return {name: value for instance in instances for name, value in vars(instance).items()}

    all_settings = [settings(variant) for variant in bench.VARIANTS]
    assert all(one not in all_settings[:number] for number, one in enumerate(all_settings))
    history = vars(parse_arguments(ARGUMENTS, bench.CONFIGS, ["--profile", profile])[1])
    assert all(one[name] == value for one in all_settings for name, value in history.items())


def test_variants_are_chosen_once_and_in_order() -> None:
    assert bench.choose(["full"]) == ["full"]
    assert bench.choose(["no_warmup", "no_debias", "no_warmup"]) == ["full", "no_debias", "no_warmup"]
    assert bench.choose(["all"]) == list(bench.VARIANTS)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--variants", "no_debais"], "unknown variant 'no_debais'; did you mean 'no_debias'?"),
        (["--seeds", "0", "1", "0"], "names a seed twice"),
        (["--seeds", "a"], "argument --seeds: invalid int value: 'a'"),
        (["--seed", "1"], "--seed is set for every run from --seeds"),
        (["--epoch", "1"], "unknown flag '--epoch'; did you mean '--epochs'?"),
        (["--replay_share", "0"], "replay_share is 0"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(flags: list[str], sentence: str) -> None:
    with pytest.raises((PrectrError, SystemExit)) as error:
        bench.read_arguments(["--profile", "smoke", *flags])
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_without_flags_it_is_three_seeds_of_the_ranker() -> None:
    arguments, flags = bench.read_arguments([])
    assert (arguments.seeds, arguments.variants, flags) == ([0, 1, 2], ["full"], [])


def test_seeds_widen_the_interval() -> None:
    """Every household agrees, seeds do not: an interval over households alone would have no width."""
    clicked, users = np.array([1, 0]), np.array(["ann", "ann"])
    right, wrong = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    part = bench.difference(clicked, users, [right, wrong, right], [right] * 3, resamples=200)
    assert part["per_seed"] == [0, -1, 0] and part["mean"] == pytest.approx(-1 / 3)
    assert part["ci95"] == [-1, 0]
    assert bench.difference(clicked, users, [wrong], [right], resamples=20)["ci95"] == [-1, -1]


def test_an_undefined_difference_stays_undefined() -> None:
    clicked, users, score = np.zeros(2), np.array(["ann", "bob"]), np.array([0.1, 0.2])
    part = bench.difference(clicked, users, [score], [score], resamples=5)
    assert part == {"per_seed": [None], "mean": None, "ci95": None}
