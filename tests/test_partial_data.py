"""Both stages on data that lack what the default data have: users, categories, gold levels, splits, clicks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from prectr.data import toy
from prectr.data.checks.defects import DataError
from prectr.data.checks.validate import validate
from prectr.data.contract import levels, read_table, table_path
from prectr.distill.__main__ import main as distill_main
from prectr.rank import Ranker
from prectr.rank.__main__ import main as rank_main
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from tests.data.checks.edits import change, put

QUICK = ["--hidden_state_epochs", "0", "--distill_epochs", "1", "--sft_epochs", "1", "--teacher_epochs", "1"]
QUICK += ["--label_pairs", "96", "--teacher_pairs", "64"]
SAMPLED = "Skipped items are sampled, not logged: three for each click."


def small_shop(folder: Path) -> Path:
    toy.build(folder, 5, num_users=20, pages_per_user=12, train_pages=60)
    return folder


def drop(folder: Path, *tables: str) -> None:
    for table in tables:
        table_path(folder, table).unlink()


def without(*columns: str) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.drop_columns(list(columns))


def workspace(main: Callable[[list[str]], None], data: Path, *flags: str) -> Path:
    where = ["--profile", "smoke", "--name", data.parent.name, "--artifacts", str(data.parent.parent)]
    main(["run", *where, *flags])
    return data.parent


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare click log: who, which category and which level are not known, and only the usual three splits."""
    data = small_shop(tmp_path_factory.mktemp("artifacts") / "clicks" / "data")
    drop(data, "users", "queries", "gold")
    change(data, "items", without("category", "cat_product", "cat_material", "cat_colour", "cat_size"))
    three = pc.field("split").isin(["train", "validation", "test"])
    change(data, "impressions", lambda rows: rows.filter(three).drop_columns(["user_id", "query_category"]))
    change(data, "behaviours", without("user_id", "query_category"))
    change(data, "pairs", lambda rows: rows.filter(pc.field("split") == "unlabelled"))
    (data / "summary.json").write_text(json.dumps({"reconstructed": SAMPLED}))
    validate(data)
    workspace(distill_main, data, *QUICK)
    return workspace(rank_main, data, "--epochs", "0.5")


def test_clicks_alone_train_both_stages(clicks: Path) -> None:
    encoder = read(clicks / "encoder" / "metrics.json")
    assert encoder["student"] == {"test": None, "test_types": None} and "tfidf" not in encoder
    assert encoder["temperature"] == 1 and encoder["agreement"]["n"] > 0
    assert encoder["agreement"]["cross_entropy"] >= encoder["agreement"]["entropy"] > 0
    assert not (clicks / "student" / "sft").exists()
    metrics = read(clicks / "ranker" / "metrics.json")
    assert set(metrics["not_measured"]) == {"open", "new_users"} and not {"open", "new_users"} & set(metrics)
    for system in (metrics, metrics["lightgbm"]):
        assert system["exposed"]["n"]["users"] == 0 and system["exposed"]["gauc_user"] is None
        assert 0 < system["exposed"]["auc"] < 1 and system["exposed"]["ci95"]["auc"] is not None
    assert "NaN" not in (clicks / "ranker" / "metrics.json").read_text()


def test_of_anonymous_shoppers_without_categories_nothing_is_known_but_the_query(clicks: Path) -> None:
    features = clicks / "features" / "train"
    assert (np.load(features / "user.npy") == -1).all() and (np.load(features / "user_rows.npy") == -1).all()
    assert (np.load(features / "category.npy") == -1).all()
    assert np.isfinite(np.load(features / "numeric.npy")).all()
    depth = np.load(features / "cross_depth.npy")
    assert set(depth.tolist()) == {0, 2}, "events of the query, and where there are none, none"
    assert (np.load(features / "cross_rows.npy")[depth == 0] >= 0).any(1).all()


def test_every_report_says_what_was_sampled_and_what_was_not_measured(
    clicks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--profile", "smoke", "--name", "clicks", "--artifacts", str(clicks.parent)]
    rank_main(["table", *where])
    printed = " ".join(capsys.readouterr().out.split())
    rank_main(["publish", *where, "--repo", "someone/model", "--dry_run"])
    distill_main(["publish", *where, "--repo", "someone/model", "--dry_run"])
    page, card = (clicks / "report.html").read_text(), (clicks / "ranker" / "README.md").read_text()
    for text in (printed, page, card):
        assert SAMPLED in " ".join(text.split())
        assert "impressions.parquet has no split" in text.replace("&#39;", "'")
    assert SAMPLED in (clicks / "encoder" / "README.md").read_text()
    assert read(clicks / "ranker" / "metrics.json")["reconstructed"] == SAMPLED


def test_a_page_of_nobody_is_scored(clicks: Path, tmp_path: Path) -> None:
    ranker = Ranker.from_pretrained(clicks / "ranker")
    scores = ranker.score("wool scarf", [{"text": "red wool scarf small"}, {"text": "steel pot"}])
    assert np.isfinite(scores["p_click"]).all()
    where = ["--profile", "smoke", "--name", "clicks", "--artifacts", str(clicks.parent)]
    output = tmp_path / "scores.parquet"
    impressions = str(clicks / "data" / "impressions.parquet")
    rank_main(["score", *where, "--impressions", impressions, "--output", str(output)])
    assert np.isfinite(pq.read_table(output)["p_click"].to_numpy()).all()


def test_tables_of_somebody_else_are_checked_before_they_are_indexed(clicks: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(clicks, tmp_path / "artifacts" / "clicks"))
    change(copy / "data", "behaviours", lambda rows: pa.concat_tables([rows.slice(9), rows.slice(0, 9)]))
    change(copy / "data", "impressions", put("position", 3, -1))
    with pytest.raises(DataError) as error:
        workspace(rank_main, copy / "data", "--epochs", "0.5")
    for said in ("position, row 3: found -1", "sort the table by (timestamp, page_id)"):
        assert said in str(error.value)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judged pairs and nothing else, in a script of their own; the student starts from nothing."""
    data = small_shop(tmp_path_factory.mktemp("artifacts") / "pairs" / "data")
    drop(data, "users", "queries", "gold", "impressions", "behaviours")
    change(data, "items", in_cyrillic("text"))
    change(data, "pairs", in_cyrillic("query"))
    change(data, "pairs", lambda rows: rows.filter(pc.field("split") != "unlabelled").slice(0, 600))
    validate(data)
    return workspace(distill_main, data, *QUICK, "--init_from", "scratch", "--vocabulary_size", "300")


def in_cyrillic(column: str) -> Callable[[pa.Table], pa.Table]:
    letters = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувжьыз")
    return lambda rows: rows.set_column(
        rows.column_names.index(column),
        column,
        pa.array([text.translate(letters) for text in rows[column].to_pylist()]),
    )


def test_pairs_alone_train_stage_one_in_any_script(pairs: Path) -> None:
    texts = read_table(pairs / "data", "items", ["text"])["text"].to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(pairs / "encoder")
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in {token for row in ids for token in row} and len(tokenizer) <= 300
    encoder = LevelEncoder.from_pretrained(pairs / "encoder")
    prob = encoder.score_pairs(["ред сцарф"], [texts[0]])
    assert prob.shape == (1, len(levels(pairs / "data"))) and np.isfinite(prob).all()
    metrics = read(pairs / "encoder" / "metrics.json")
    assert metrics["student"]["test"]["n"] > 0 and metrics["labelled_pairs"] > 0 and metrics["pairs"]["unlabelled"] == 0
    strategies = set(pq.read_table(pairs / "labels" / "labels.parquet")["strategy"].to_pylist())
    assert strategies == {"near_misses_lexical", "random"}


def test_without_clicks_stage_two_says_so(pairs: Path) -> None:
    with pytest.raises(PrectrError, match=r"impressions.parquet is missing: stage two learns from clicks"):
        workspace(rank_main, pairs / "data")


def test_a_teacher_that_must_learn_needs_gold(clicks: Path) -> None:
    with pytest.raises(PrectrError, match="it has to learn what the 4 levels are, and no pair of split 'train' has a"):
        workspace(distill_main, clicks / "data", "--teacher", "random-cross-encoder")
