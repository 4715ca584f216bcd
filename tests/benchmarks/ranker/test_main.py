"""The comparison's loop: what is run, in which order, with which inputs, and what is not run again."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.ranker import __main__ as bench
from benchmarks.ranker import cell as module_of_cell
from benchmarks.ranker import plan
from benchmarks.ranker.cell import Cell
from benchmarks.ranker.plan import estimates, run_all, told
from benchmarks.ranker.systems import DEFAULT, is_ours
from prectr.rank.pipeline import SEEDLESS
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import is_finished, run_step

FLAGS = ("--profile", "smoke")
SHARED = ("data", *SEEDLESS, "pair_features", "judged_pair_features")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A data set with finished inputs, and trainings that end at once; `started` lists them."""
    artifacts, started = tmp_path / "artifacts", []
    home = artifacts / "toy"
    for name in (*SHARED, "encoder"):
        run_step(name, home / name, {"of": name}, lambda work: None)
    workspace = SimpleNamespace(
        folder=home,
        data=home / "data",
        encoder=home / "encoder",
        encoder_fingerprint=lambda: "encoder",
        run=SimpleNamespace(name="toy", artifacts=str(artifacts), encoder=None),
    )
    folder = artifacts / "bench" / "toy"

    def launch(command: list[str], **_: Any) -> SimpleNamespace:
        system, seed = command[3], command[len(command) - 1 - command[::-1].index("--seed") + 1]
        started.append((system, int(seed)))
        own = folder / f"{system}-seed{seed}"
        steps = [own / name for name in ("features", "lightgbm", "engagement", "ranker")] if is_ours(system) else [own]
        for step in steps:
            run_step("step", step, {"seed": seed}, lambda work: None)
        return SimpleNamespace(returncode=0)

    def untrained(source: Path, data: Path, seed: int, folder: Path) -> None:
        run_step("random encoder", folder, {"seed": seed}, lambda work: None)

    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=launch, STDOUT=None))

    monkeypatch.setattr(plan, "build_random_encoder", untrained)
    monkeypatch.setattr(plan, "_training_impressions", lambda home: 100_000)
    return SimpleNamespace(workspace=workspace, started=started, bench=folder, results=tmp_path / "results")


def cells_of(shop: SimpleNamespace, *systems: str, seeds: tuple[int, ...] = (0, 1)) -> list[Cell]:
    return [Cell(system, seed, shop.bench, FLAGS) for system in systems for seed in seeds]


def test_each_training_runs_once_and_borrows_what_it_shares(shop: SimpleNamespace) -> None:
    cells = cells_of(shop, "prectr_v2", "lightgbm", "no_debias")
    run_all(cells, shop.workspace)
    systems = ("prectr_v2", "lightgbm", "no_debias")
    assert shop.started == [(system, seed) for seed in (0, 1) for system in systems]
    for seed in (0, 1):
        own, borrower = shop.bench / f"prectr_v2-seed{seed}", shop.bench / f"no_debias-seed{seed}"
        for name in ("features", "lightgbm", "engagement"):
            assert not (own / name).is_symlink()
            assert (borrower / name).readlink() == (own / name).resolve()
        for folder in (own, borrower):
            for name in (*SHARED, "encoder"):
                assert (folder / name).readlink() == (shop.workspace.folder / name).resolve()
        assert not (shop.bench / f"lightgbm-seed{seed}" / "features").exists()
    run_all(cells, shop.workspace)
    assert len(shop.started) == len(cells)


def test_the_telling_systems_of_every_seed_come_before_the_rest(shop: SimpleNamespace) -> None:
    run_all(cells_of(shop, "prectr_v2", "lambdarank", "no_debias", "no_fusion", "xgboost"), shop.workspace)
    telling, rest = ("prectr_v2", "xgboost", "no_debias"), ("lambdarank", "no_fusion")
    assert shop.started == [(system, seed) for some in (telling, rest) for seed in (0, 1) for system in some]


def test_a_killed_comparison_continues(shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, launch = cells_of(shop, "prectr_v2", "no_debias"), plan.subprocess.run

    def kill(command: list[str], **given: Any) -> SimpleNamespace:
        if len(shop.started) == 3:
            raise KeyboardInterrupt
        return launch(command, **given)

    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=kill, STDOUT=None))
    with pytest.raises(KeyboardInterrupt):
        run_all(cells, shop.workspace)
    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=launch, STDOUT=None))
    run_all(cells, shop.workspace)
    assert shop.started == [("prectr_v2", 0), ("no_debias", 0), ("prectr_v2", 1), ("no_debias", 1)]


def test_two_at_a_time_wait_for_whom_they_borrow_from_and_a_rival_for_its_own_tuning(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, running, together, launch = threading.Lock(), [], [], plan.subprocess.run
    threads = set()

    def slow(command: list[str], env: dict[str, str], **given: Any) -> SimpleNamespace:
        cell = command[3], command[len(command) - 1 - command[::-1].index("--seed") + 1]
        threads.add(env["OMP_NUM_THREADS"])
        with lock:
            running.append(cell)
            together.append(tuple(running))
        time.sleep(0.3)
        with lock:
            running.remove(cell)
            return launch(command, **given)

    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=slow, STDOUT=None))
    monkeypatch.setattr(plan.os, "cpu_count", lambda: 8)
    cells = cells_of(shop, "prectr_v2", "lightgbm", "no_debias")
    run_all(cells, shop.workspace, 2)
    assert sorted(shop.started) == sorted((cell.system, cell.seed) for cell in cells)
    assert max(map(len, together)) == 2 and threads == {"4"}
    assert [system for system, _ in together[1]] == ["prectr_v2", "prectr_v2"]
    for group in together:
        seeds = {seed for system, seed in group if system == "prectr_v2"}
        rivals = [system for system, _ in group if system == "lightgbm"]
        assert len(rivals) <= 1
        assert not any(seed in seeds for system, seed in group if system != "prectr_v2")


def test_other_settings_or_a_lost_result_are_trained_again(shop: SimpleNamespace) -> None:
    (cell,) = cells_of(shop, "prectr_v2", seeds=(0,))
    run_all([cell], shop.workspace)
    other = Cell("prectr_v2", 0, shop.bench, (*FLAGS, "--epochs", "3"))
    run_all([other], shop.workspace)
    assert len(shop.started) == 2
    (other.result / "step.json").unlink()
    run_all([other], shop.workspace)
    assert len(shop.started) == 3


def test_code_that_makes_features_trains_rivals_again_and_code_that_trains_the_ranker_does_not(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rival,) = cells_of(shop, "lightgbm", seeds=(0,))
    before, sources = rival.inputs(shop.workspace), module_of_cell.SOURCES
    for step in ("training", "features"):
        monkeypatch.setattr(module_of_cell, "SOURCES", {**sources, step: ("prectr.shared.errors",)})
        assert (rival.inputs(shop.workspace) == before) is (step == "training")


def test_the_random_encoder_takes_the_place_of_the_distilled_one(shop: SimpleNamespace) -> None:
    run_all(cells_of(shop, "prectr_v2", "random_encoder", seeds=(4,)), shop.workspace)
    cell = Cell("random_encoder", 4, shop.bench, FLAGS)
    run, _, _, losses, *_ = cell.settings()
    assert Path(run.encoder) == shop.bench / "untrained_encoder-seed4" and losses.replay_pairs == 0
    assert [link.name for link in cell.folder.iterdir() if link.is_symlink()] == ["data"], (
        "nothing of the distilled one"
    )


def test_what_an_earlier_version_linked_is_no_longer_shared(shop: SimpleNamespace) -> None:
    cell = Cell("random_encoder", 4, shop.bench, FLAGS)
    cell.folder.mkdir(parents=True)
    (cell.folder / "level_prob").symlink_to(shop.workspace.folder / "level_prob")
    cell.link_inputs(shop.workspace)
    assert not (cell.folder / "level_prob").is_symlink() and (shop.workspace.folder / "level_prob").is_dir()


def test_a_failed_training_is_one_sentence_with_its_last_line(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], stdout: Any, **_: Any) -> SimpleNamespace:
        stdout.write("working\nerror: no memory\n")
        return SimpleNamespace(returncode=2)

    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=fail, STDOUT=None))
    with pytest.raises(PrectrError, match=r"prectr_v2-seed7 failed, exit code 2 \(error: no memory\); see .*\.log"):
        run_all(cells_of(shop, "prectr_v2", seeds=(7,)), shop.workspace)


def test_a_step_is_skipped_through_a_link_and_its_folder_stays(shop: SimpleNamespace) -> None:
    cells_of(shop, "prectr_v2")[0].link_inputs(shop.workspace)
    link = shop.bench / "prectr_v2-seed0" / "data"

    def build(work: Path) -> None:
        raise AssertionError("built again")

    record = run_step("data", link, {"of": "data"}, build)
    assert is_finished(link, record.fingerprint) and link.is_symlink()


def test_links_follow_their_targets_and_replace_no_folder(shop: SimpleNamespace, tmp_path: Path) -> None:
    (one,) = cells_of(shop, "prectr_v2", seeds=(0,))
    one.link_inputs(shop.workspace)
    other = tmp_path / "another_encoder"
    run_step("encoder", other, {"of": "another"}, lambda work: None)
    shop.workspace.encoder = other
    one.link_inputs(shop.workspace)
    assert (one.folder / "encoder").readlink() == other.resolve()
    (one.folder / "data").unlink()
    (one.folder / "data").mkdir()
    with pytest.raises(PrectrError, match="in the way"):
        one.link_inputs(shop.workspace)


def test_an_encoder_that_is_given_is_read_where_it_lies(shop: SimpleNamespace) -> None:
    shop.workspace.run.encoder = "other/encoder"
    (one,) = cells_of(shop, "prectr_v2", seeds=(0,))
    one.link_inputs(shop.workspace)
    assert not (one.folder / "encoder").exists() and (one.folder / "level_prob").exists()


def test_inputs_that_are_not_there_are_named_with_their_command(shop: SimpleNamespace) -> None:
    (shop.workspace.folder / "level_prob" / "step.json").unlink()
    with pytest.raises(PrectrError, match="level_prob is not there or not finished.*make rank"):
        cells_of(shop, "prectr_v2")[0].link_inputs(shop.workspace)


def test_the_plan_learns_from_what_is_done(shop: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    cells = cells_of(shop, "prectr_v2", "lightgbm", "no_debias")
    before = estimates(cells, cells, shop.workspace)
    assert before[2] == 4 * before[3], "a rival's first seed tunes it"
    run_all(cells[:2], shop.workspace)
    cells[0].mark_finished(cells[0].inputs(shop.workspace), 30)
    cells[1].mark_finished(cells[1].inputs(shop.workspace), 50)
    after = estimates(cells, cells, shop.workspace)
    assert after[:2] == [30, 30] and after[4:] == [40, 40] and after[2:4] == before[2:4]
    shown = capsys.readouterr().out
    assert "Plan: 2 of 2 trainings to do, about 8 min" in shown and "prectr_v2-seed1 (2 of 2, about" in shown


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (600, "10 min"), (7500, "2 h 05 min")])
def test_times_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert told(seconds) == words


def test_one_command_writes_figures_and_report(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(bench, "Workspace", lambda *arguments: shop.workspace)
    for name in ("inputs", "pair_features"):
        monkeypatch.setattr(bench, f"build_{name}", lambda *_: None)
    monkeypatch.setattr(bench, "compute_results", lambda command, cells, resamples: {"command": command})
    monkeypatch.setattr(bench, "write_report", lambda folder: folder / "report.html")
    monkeypatch.setattr(bench, "show", lambda *arguments: shown.append(arguments))
    bench.main([*FLAGS, "--seeds", "1", "--systems", "no_debias", "--results", str(shop.results)])
    assert shop.started[0] == ("prectr_v2", 1)
    assert sorted(shop.started[1:]) == [("frozen_encoder", 1), ("no_debias", 1)], "with what it is compared with"
    written = json.loads((shop.results / "ranker_toy.json").read_text())
    assert written["command"].startswith("python -m benchmarks.ranker --profile smoke --seeds 1")
    assert json.loads((shop.workspace.folder / "bench.json").read_text()) == written
    assert shown == [(written, shop.results / "ranker_toy.json", shop.workspace.folder / "report.html")]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--systems", "no_debais"], "unknown system 'no_debais'; did you mean 'no_debias'?"),
        (["--seeds", "0", "1", "0"], "names a seed twice"),
        (["--seeds", "a"], "argument --seeds: invalid int value: 'a'"),
        (["--seed", "1"], "--seed is set for every run from --seeds"),
        (["--resamples", "0"], "--resamples is 0"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--epoch", "1", "--systems", "prectr_v2"], "unknown flag '--epoch'; did you mean '--epochs'?"),
        (["--replay_share", "0", "--systems", "prectr_v2"], "replay_share is 0"),
        (["--cross_history", "0", "--systems", "no_debias"], "cross_history is 0"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(flags: list[str], sentence: str) -> None:
    with pytest.raises((PrectrError, SystemExit)) as error:
        bench.read_arguments(["--profile", "smoke", *flags])
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_without_flags_it_is_three_seeds_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    arguments, flags = bench.read_arguments([])
    assert (arguments.seeds, tuple(arguments.systems), arguments.resamples) == ([0, 1, 2], DEFAULT, 500)
    assert "--bootstrap_resamples" in flags
