"""The whole pipeline on the toy shop: tables, both stages, results; then again, and with one thing changed."""

import itertools
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.distill.publishing.model_card import FILES as ENCODER
from prectr.rank import Ranker
from prectr.rank.__main__ import main as rank_main
from prectr.rank.reports.model_card import FILES as RANKER
from prectr.rank.reports.terminal import next_commands
from prectr.shared.errors import PrectrError
from prectr.shared.hub import published_files
from prectr.shared.run.cli import run_main
from prectr.shared.run.steps import read_record, require_whole
from tests.damages import DAMAGES, damaged, is_sentence

ROOT = Path(__file__).parent.parent
STEPS = (
    *("data", "teacher", "labels", "encoder"),
    *("level_prob", "replay", "behaviours", "texts", "text_vectors", "features", "lightgbm", "engagement"),
    "pair_features",
    *("trained", "ranker"),
)


def run_all(artifacts: Path, *rank_flags: str) -> Path:
    """`make rank PROFILE=smoke`, in this process."""
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    data_main(["build", *where])
    distill_main(["run", *where])
    rank_main(["run", *where, *rank_flags])
    return artifacts / "toy"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def finished(folder: Path) -> dict[str, str]:
    """When each step was finished, and of what it was made."""
    records = {step: read(folder / step / "step.json") for step in STEPS}
    return {step: record["fingerprint"] + record["finished"] for step, record in records.items()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(tmp_path_factory.mktemp("first") / "artifacts")


def without_seconds(metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures, to four digits."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rounded(inner) for inner in value]
        return round(value, 4) if isinstance(value, float) else value

    of_the_run = ("seconds", "impressions_per_second", "encoder_share", "latency", "command", "date", "git_commit")
    return {name: rounded(value) for name, value in metrics.items() if name not in of_the_run}


def test_the_results_have_their_stable_keys(shop: Path) -> None:
    metrics = read(shop / "ranker" / "metrics.json")
    exposed = {"auc", "gauc_page", "gauc_user", "ndcg@10", "mrr", "logloss", "pcoc", "ece", "n", "ci95", "coverage"}
    for system in (metrics, metrics["lightgbm"]):
        assert set(system["exposed"]) == exposed
        assert {"ndcg@10", "auc", "excess_low@10"} <= set(system["open"])
        assert list(system["new_users"]) == ["0", "1", "3", "10", "30"]
    measured = {"position_gain", "position", "importance", "data", "size", "latency"}
    assert {*measured, "seed", "git_commit", "slices"} <= set(metrics)
    stage_one = {"convert", "teach", "label", "distill", "sft", "evaluate_encoder"}
    stage_two = {step for step in STEPS if step not in ("teacher", "labels", "encoder", "trained", "ranker")}
    assert {*stage_one, *stage_two, "rank", "evaluate"} <= set(metrics["seconds"])
    judges = {"tfidf", "teacher", "student", "student_maxsim"}
    encoder = read(shop / "encoder" / "metrics.json")
    for split in ("test", "test_types"):
        for judge in judges:
            assert {"auc", "macro_f1", "qwk", "spearman"} <= set(encoder[judge][split])


def test_text_and_history_are_worth_something_even_in_the_toy_shop(shop: Path) -> None:
    assert read(shop / "ranker" / "metrics.json")["exposed"]["auc"] > 0.6


def test_every_judged_impression_has_a_prediction(shop: Path) -> None:
    table = pq.read_table(shop / "ranker" / "predictions.parquet")
    n = read(shop / "ranker" / "metrics.json")
    expected = n["exposed"]["n"]["impressions"] + n["open"]["n"]["impressions"] + 5 * n["new_users_n"]["impressions"]
    assert table.num_rows == expected
    p = table["p_click"].to_numpy()
    assert ((p > 0) & (p < 1)).all()
    assert np.allclose(np.stack(table["level_prob"].to_pylist()).sum(1), 1, atol=1e-4)


def test_score_repeats_the_predictions_of_the_run(shop: Path, tmp_path: Path) -> None:
    where = ["--profile", "smoke", "--artifacts", str(shop.parent), "--output", str(tmp_path / "scores.parquet")]
    rank_main(["score", *where, "--impressions", str(shop / "data" / "impressions.parquet")])
    scores = pq.read_table(tmp_path / "scores.parquet").to_pandas().set_index("impression_id")["p_click"]
    expected = pq.read_table(shop / "ranker" / "predictions.parquet").to_pandas()
    expected = expected[expected["split"] == "test"].set_index("impression_id")["p_click"]
    assert len(expected) and abs(scores.loc[expected.index] - expected).max() < 1e-5


def test_a_warm_start_goes_on_from_the_trained_ranker(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(shop, tmp_path / "toy")
    where = ["--profile", "smoke", "--artifacts", str(tmp_path), "--warm_start", str(shop / "ranker")]
    still = [f"--{rate}=0" for rate in ("learning_rate", "embedding_learning_rate", "encoder_learning_rate")]
    rank_main(["run", *where, *still, "--warmup_share", "0", "--epochs", "0.2", "--frozen_epochs", "0.2"])
    first, second = (Ranker.from_pretrained(folder / "ranker") for folder in (shop, tmp_path / "toy"))
    assert first.feature_map == second.feature_map
    theirs = second.model.state_dict()
    assert all((tensor == theirs[name]).all() for name, tensor in first.model.state_dict().items())
    # The second's text encoder never learnt, so that what is stored of the pairs was judged in the place of texts.
    assert (tmp_path / "toy" / "judged_pair_features").is_dir() and not (shop / "judged_pair_features").exists()
    texts, stored = (
        pq.read_table(folder / "ranker" / "predictions.parquet")["p_click"].to_numpy()
        for folder in (shop, tmp_path / "toy")
    )
    assert np.abs(texts - stored).max() < 1e-5


def test_a_second_run_does_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = finished(shop)
    capsys.readouterr()
    run_all(shop.parent)
    data, distill, *results = capsys.readouterr().out.splitlines()
    assert data == f"✓ data: up to date ({shop / 'data'})" and distill.startswith("✓ distill: up to date")
    assert "Exposed pages" in results[0] and results[-1] == f"Report: {shop / 'report.html'}"
    shutil.rmtree(shop / ".finished")
    run_all(shop.parent)
    long_way = capsys.readouterr().out
    assert all(f"✓ {step}: up to date" in long_way for step in ("data", "sft", "replay", "features", "ranker"))
    assert "building" not in long_way and "Tables" not in long_way
    assert finished(shop) == before


FAULTS = {
    "data": "items.parquet",
    "teacher": "adapter_config.json",
    "labels": "labels.parquet",
    "student/hidden_states": "model.safetensors",
    "student/distilled": "model.safetensors",
    "student/sft": "model.safetensors",
    "encoder": "model.safetensors",
    "level_prob": "level_prob.parquet",
    "replay": "replay.parquet",
    "pairs": "pairs.npy",
    "behaviours": "user.npy",
    "texts": "item_input_ids.npy",
    "text_vectors": "items.npy",
    "features": "feature_map.json",
    "pair_features": "values.npy",
    "lightgbm": "rival.json",
    "engagement": "click_prob.npy",
    "trained": "model.safetensors",
    "ranker": "metrics.json",
}
"""A file of each step's folder."""


@pytest.mark.parametrize("kind", ["truncated", "a bit flipped", "deleted"])
def test_what_stage_one_left_is_not_used_once_it_is_damaged(shop: Path, kind: str) -> None:
    flags = ["--profile", "smoke", "--artifacts", str(shop.parent)]
    publish = ["publish", *flags, "--repo", "someone/model", "--dry_run"]
    for command, main, file in (
        (["run", *flags], rank_main, "encoder/model.safetensors"),
        (["run", *flags], rank_main, "encoder/level_head/config.json"),
        (publish, distill_main, "encoder/tokenizer.json"),
        ([*publish, "--what", "labels"], distill_main, "labels/labels.parquet"),
        (["merge-teacher", *flags, "--output", str(shop / "merged")], distill_main, "teacher/adapter_config.json"),
        (["check-teacher", *flags], distill_main, "teacher/adapter_model.safetensors"),
    ):
        step, _, name = file.partition("/")
        with (
            damaged(shop / file, kind),
            pytest.raises(PrectrError, match=f"{step}: {name} is (damaged|missing): run make distill again") as raised,
        ):
            main(command)
        assert is_sentence(raised.value)
    assert not (shop / "merged").exists()


@pytest.fixture(scope="module")
def remade(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run again, after every one of its steps was damaged."""
    run = Path(shutil.copytree(shop, tmp_path_factory.mktemp("second") / "artifacts" / "toy"))
    shutil.rmtree(run / "label_cache")  # or the teacher would not be asked again
    for (step, file), kind in zip(FAULTS.items(), itertools.cycle(DAMAGES), strict=False):
        DAMAGES[kind](run / step / file)
        with pytest.raises(PrectrError):
            require_whole(run / step)
    return run_all(run.parent)


def test_whatever_is_damaged_is_made_again(shop: Path, remade: Path) -> None:
    for step in FAULTS:
        assert require_whole(remade / step).fingerprint == read_record(shop / step).fingerprint


def test_the_same_seed_gives_the_same_figures_in_both_stages(shop: Path, remade: Path) -> None:
    for part in ("encoder", "ranker"):
        first, second = (without_seconds(read(folder / part / "metrics.json")) for folder in (shop, remade))
        assert first == second


def with_another_setting(shop: Path, tmp_path: Path, *flags: str) -> tuple[Path, set[str]]:
    """A copy of the run on which stage two ran again with another setting, and the steps that it took."""
    copy = Path(shutil.copytree(shop, tmp_path / "artifacts" / "toy"))
    before = finished(copy)
    rank_main(["run", "--profile", "smoke", "--artifacts", str(copy.parent), *flags])
    after = finished(copy)
    return copy, {step for step in STEPS if after[step] != before[step]}


def test_another_setting_of_stage_two_reruns_stage_two_alone_and_says_what_is_ahead(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, again = with_another_setting(shop, tmp_path, "--debias_weight", "0.02")
    assert again == {"trained", "ranker"}
    assert read(copy / "trained" / "step.json")["inputs"]["debias_weight"] == 0.02
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("11 steps: 9 done, 2 to do, about ") and first.endswith("(as before)")
    assert "✓ pair_features · trained " in second and " · ranker " in second and "✓ ranker" not in second


def test_another_setting_of_the_evaluation_trains_nothing(shop: Path, tmp_path: Path) -> None:
    _, again = with_another_setting(shop, tmp_path, "--bootstrap_resamples", "7")
    assert again == {"ranker"}


def test_the_next_commands_run_as_they_are_printed(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of another data set's name, in another folder of artifacts, and none of the settings typed again."""
    shutil.copytree(shop.parent, tmp_path / "my artifacts")
    folder = (tmp_path / "my artifacts" / "toy").rename(tmp_path / "my artifacts" / "mine") / "ranker"
    commands = next_commands(read(folder / "metrics.json"), folder)
    assert [shlex.split(command)[3] for command in commands[:3]] == ["explain", "serve", "publish"]
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "python"
        if "serve" in words:
            with subprocess.Popen(
                [sys.executable, *words, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
            ) as service:
                assert service.stdout is not None and any("The page: http" in line for line in service.stdout)
                service.kill()
        elif words[:2] == ["-m", "rank"]:  # in this process: another would load the libraries again
            rank_main(words[2:])
        else:
            option, code = words
            assert option == "-c"
            exec(code, {})
        assert "serve" in words or capsys.readouterr().out, command


def test_a_trial_says_everywhere_that_its_figures_mean_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--profile", "smoke", "--artifacts", str(shop.parent)]
    capsys.readouterr()
    rank_main(["table", *where])
    assert "TRIAL RUN: these figures mean nothing (profile smoke" in " ".join(capsys.readouterr().out.split())
    rank_main(["publish", *where, "--repo", "someone/model", "--dry_run"])
    for page in ("report.html", "ranker/README.md", "encoder/README.md"):
        assert "TRIAL RUN: these figures mean nothing" in (shop / page).read_text(encoding="utf-8"), page


@pytest.mark.slow
def test_a_downloaded_encoder_needs_nothing_of_stage_one(shop: Path, tmp_path: Path) -> None:
    encoder, home = tmp_path / "downloaded", tmp_path / "artifacts" / "toy"
    for name in published_files(shop / "encoder", ENCODER):
        (encoder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shop / "encoder" / name, encoder / name)
    shutil.copytree(shop / "data", home / "data")
    flags = ["run", "--profile", "smoke", "--artifacts", str(home.parent), "--epochs", "0.2", "--encoder"]
    rank_main([*flags, str(encoder)])
    for name, table in (("level_prob", "level_prob.parquet"), ("replay", "replay.parquet")):
        theirs, ours = (pq.read_table(folder / name / table) for folder in (home, shop))
        assert theirs.drop_columns("level_prob").equals(ours.drop_columns("level_prob"))
        ours, theirs = (np.array(rows["level_prob"].to_pylist()) for rows in (ours, theirs))
        assert np.allclose(ours, theirs, atol=1e-5), "the same encoder, the same judgement"
    assert "+" in read(home / "trained" / "step.json")["inputs"]["encoder"] and not (home / "encoder").exists()
    assert "teach" not in read(home / "ranker" / "metrics.json")["seconds"]
    with pytest.raises(PrectrError, match=r"no \*\.safetensors there"):
        rank_main([*flags, str(tmp_path / "none")])
    # A newer data set without an encoder of its own goes on with the one that the ranker's run was given.
    shutil.rmtree(encoder)
    shutil.copytree(shop / "data", home.parent / "newer" / "data")
    rank_main([*flags[:-1], "--name", "newer", "--warm_start", str(home / "ranker")])
    again = pq.read_table(home.parent / "newer" / "level_prob" / "level_prob.parquet")
    assert again.equals(pq.read_table(home / "level_prob" / "level_prob.parquet"))


def test_the_ranker_opens_again_and_scores_a_page(shop: Path) -> None:
    ranker = Ranker.from_pretrained(shop / "ranker")
    items = [
        {"item_id": "never seen", "text": "red wool scarf small", "category": "clothing"},
        {"text": "steel pot large", "category": "kitchen", "num_price": 12.0},
        {"text": "blue cotton shirt", "category": "clothing"},
    ]
    cold = ranker.score("wool muffler", items)
    assert cold["p_click"].shape == (3,) and cold["level_prob"].shape == (3, 4) == cold["p_click_given_level"].shape
    assert ((cold["p_click"] > 0) & (cold["p_click"] < 1)).all() and np.isfinite(cold["tau"]).all()
    mixture = (cold["level_prob"] * cold["p_click_given_level"]).sum(1)
    assert np.allclose(cold["p_click"], mixture, atol=1e-5)
    past = [{**items[0], "timestamp": 1_480_000_000, "query": "scarf"}, {**items[1], "timestamp": 1_480_000_000}]
    warm = ranker.score("wool muffler", items, past, {"timestamp": 1_481_000_000})
    assert not np.allclose(
        warm["p_click"], ranker.score("wool muffler", items, [], {"timestamp": 1_481_000_000})["p_click"]
    )


def test_an_event_of_the_future_changes_no_score(shop: Path) -> None:
    ranker = Ranker.from_pretrained(shop / "ranker")
    items = [
        {"item_id": str(n), "text": f"{c} wool scarf", "category": "clothing"} for n, c in enumerate(("red", "blue"))
    ]
    past = [{**items[0], "timestamp": 1_480_000_100, "query": "scarf"}]
    future = [{**items[1], "timestamp": 1_480_000_200, "query": "scarf"}]
    now = {"timestamp": 1_480_000_200}
    known = ranker.score("scarf", items, past, dict(now))
    planted = ranker.score("scarf", items, past + future, dict(now))
    for name, values in known.items():
        assert np.array_equal(values, planted[name]), name


def test_a_published_ranker_holds_no_people_queries_or_behaviours(shop: Path) -> None:
    users = set(pq.read_table(shop / "data" / "users.parquet")["user_id"].to_pylist())
    queries = {q for q in pq.read_table(shop / "data" / "queries.parquet")["query"].to_pylist() if " " in q}
    assert users and queries
    feature_map = read(shop / "ranker" / "feature_map.json")
    words = {word for column in feature_map["categorical"] for word in column["vocabulary"]}
    assert not words & users and not words & queries
    with safe_open(shop / "ranker" / "model.safetensors", "np") as weights:
        assert not [name for name in list(weights.keys()) if "user_id" in name or "query_table" in name]


def test_both_models_are_ready_to_be_published_and_name_nobody(shop: Path) -> None:
    flags = ["publish", "--profile", "smoke", "--artifacts", str(shop.parent), "--repo", "someone/model", "--dry_run"]
    distill_main(flags)
    rank_main(flags)
    users = set(pq.read_table(shop / "data" / "users.parquet")["user_id"].to_pylist())
    queries = {q for q in pq.read_table(shop / "data" / "queries.parquet")["query"].to_pylist() if q.count(" ") > 1}
    assert users and queries
    for folder, allowed in ((shop / "encoder", ENCODER), (shop / "ranker", RANKER)):
        contents = {name: (folder / name).read_bytes() for name in published_files(folder, allowed)}
        assert {"README.md", "config.json", "model.safetensors"} <= set(contents)
        for name, content in contents.items():
            assert not [word for word in users | queries if word.encode() in content], name


def test_a_wrong_teacher_is_one_sentence_and_touches_nothing(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = finished(shop)
    where = ["--profile", "smoke", "--artifacts", str(shop.parent)]
    monkeypatch.setattr(sys, "argv", ["distill", "run", *where, "--teacher", "no/such/folder"])
    with pytest.raises(SystemExit) as stop:
        run_main(distill_main)
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "no/such/folder" in said and len(said.splitlines()) == 1
    assert finished(shop) == before


@pytest.mark.slow
def test_tables_that_somebody_else_wrote_are_trained_on(shop: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(shop / "data", artifacts / "mine" / "data")
    for file in ("step.json", "summary.json"):
        (artifacts / "mine" / "data" / file).unlink()
    few = ["--teacher_epochs", "0.2", "--distill_epochs", "0.2", "--sft_epochs", "0.2", "--label_pairs", "64"]
    distill_main(["run", "--profile", "smoke", "--name", "mine", "--artifacts", str(artifacts), *few])
    rank_main(["run", "--profile", "smoke", "--name", "mine", "--artifacts", str(artifacts), "--epochs", "0.2"])
    assert read(artifacts / "mine" / "ranker" / "metrics.json")["seconds"]["data"] is None
