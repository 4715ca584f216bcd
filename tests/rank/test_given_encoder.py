"""Stage two knows stage one as an encoder's folder alone: what it makes of one, and of another one."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import prectr.data.toy as toy
from prectr.data.contract import read_table
from prectr.rank.__main__ import CONFIGS
from prectr.rank.config import ARGUMENTS
from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.pipeline import build_behaviours, build_level_prob, build_replay, build_text_vectors
from prectr.rank.workspace import Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import run_step
from tests.rank.toy_run import LEVEL_NAMES
from tests.shared.encoder.tiny_encoder import tiny_encoder


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """`toy/` with the tables alone, and untrained encoders one/ and two/ beside it."""
    toy.build(tmp_path / "toy" / "data", 5, num_users=12, pages_per_user=10, train_pages=40)
    for seed, name in enumerate(("one", "two")):
        tiny_encoder(tmp_path / "words", LEVEL_NAMES, seed).save_pretrained(tmp_path / name)
    return tmp_path


def opened(artifacts: Path, *flags: str) -> Workspace:
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    return Workspace(*parse_arguments(ARGUMENTS, CONFIGS, [*where, *flags]))


def made(workspace: Workspace) -> dict[str, list[list[float]]]:
    build_level_prob(workspace)
    build_replay(workspace)
    names = ("level_prob", "replay")
    tables = {name: pq.read_table(workspace.folder / name / f"{name}.parquet") for name in names}
    return {name: table["level_prob"].to_pylist() for name, table in tables.items()}


def test_the_log_is_judged_by_the_encoder_that_is_named(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = made(opened(artifacts, "--encoder", str(artifacts / "one")))
    second = made(opened(artifacts, "--encoder", str(artifacts / "two")))
    for name in first:
        assert np.shape(first[name]) == np.shape(second[name]) and not np.allclose(first[name], second[name])
    scored = pq.read_table(artifacts / "toy" / "level_prob" / "level_prob.parquet")
    items = read_table(artifacts / "toy" / "data", "items", ["item_id", "text"])
    text = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    texts = [text[item] for item in scored["item_id"].to_pylist()]
    for folder in (artifacts / "two", kept_encoder(artifacts / "toy")):
        expected = LevelEncoder.from_pretrained(folder).score_pairs(scored["query"].to_pylist(), texts)
        np.testing.assert_allclose(second["level_prob"], expected, atol=1e-6)
    capsys.readouterr()
    assert made(opened(artifacts, "--encoder", str(artifacts / "two"))) == second
    assert "building" not in capsys.readouterr().out


def test_how_many_are_replayed_is_a_setting_of_the_replay_alone(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--encoder", str(artifacts / "one"))
    judged, gold = (made(opened(artifacts, *named, "--replay_pairs", size)) for size in ("50", "0"))
    assert len(judged["replay"]) == len(gold["replay"]) + 50 and np.isin(gold["replay"], (0, 1)).all()
    assert "replay_pairs: 50 → 0" in " ".join(capsys.readouterr().out.split())
    assert judged["level_prob"] == gold["level_prob"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["no", "yes"], r"tells 2 relevance levels apart \(no, yes\), the data has 4 \(irrelevant, "),
        (["bad", "fair", "good", "perfect"], "its levels are bad, fair, good, perfect, the data's irrelevant, .* name"),
        (["0", "1", "2", "3"], "its levels are 0, 1, 2, 3, the data's irrelevant, related"),
        ([*LEVEL_NAMES[:3], "excact"], "substitute, excact, the data's irrelevant"),
        ([LEVEL_NAMES[k] for k in (0, 2, 1, 3)], "put the data's in the encoder's order, the lowest first"),
        (LEVEL_NAMES[::-1], "its levels are exact, substitute, related, irrelevant, the data's irrelevant, related"),
    ],
)
def test_an_encoder_of_other_levels_is_refused(artifacts: Path, names: list[str], sentence: str) -> None:
    tiny_encoder(artifacts / "words", names).save_pretrained(artifacts / "other")
    workspace = opened(artifacts, "--encoder", str(artifacts / "other"))
    for build in (build_level_prob, build_replay):
        with pytest.raises(PrectrError, match=sentence):
            build(workspace)


def test_a_warm_start_judges_by_its_own_encoder_where_the_data_set_has_none(artifacts: Path) -> None:
    run = artifacts / "older"
    warm_start = ("--warm_start", str(run / "ranker"))
    with pytest.raises(PrectrError, match="neither .*toy/encoder nor .*older/level_prob/encoder"):
        opened(artifacts, *warm_start)
    theirs = LevelEncoder.from_pretrained(artifacts / "one")
    theirs.save_pretrained(kept_encoder(run))
    workspace = opened(artifacts, *warm_start)
    assert workspace.encoder == kept_encoder(run)
    assert np.allclose(
        made(workspace)["replay"], made(opened(artifacts, "--encoder", str(artifacts / "one")))["replay"]
    )
    run_step("encoder", artifacts / "toy" / "encoder", {}, theirs.save_pretrained)
    assert opened(artifacts, *warm_start).encoder == artifacts / "toy" / "encoder"


def test_a_warm_start_compares_texts_by_the_encoder_that_judges_the_log(artifacts: Path) -> None:
    run = artifacts / "older"
    first, learnt = (LevelEncoder.from_pretrained(artifacts / name) for name in ("one", "two"))
    first.save_pretrained(kept_encoder(run))
    learnt.save_pretrained(run / "ranker" / "encoder")
    workspace = opened(artifacts, "--warm_start", str(run / "ranker"))
    for build in (build_level_prob, build_behaviours, build_text_vectors):
        build(workspace)
    found = FrozenVectors.open(workspace.folder / "text_vectors").items
    theirs, others = (FrozenVectors.of_texts(each, workspace.shop().item_texts, False) for each in (first, learnt))
    np.testing.assert_allclose(found, theirs.items, atol=1e-3)
    assert not np.allclose(found, others.items, atol=1e-2)
    assert {path.name for path in (workspace.folder / "text_vectors").iterdir() if path.is_dir()} == set()


def test_a_warm_start_from_the_ranker_that_it_would_replace_is_refused(artifacts: Path) -> None:
    LevelEncoder.from_pretrained(artifacts / "one").save_pretrained(kept_encoder(artifacts / "toy"))
    (artifacts / "toy" / "ranker").mkdir()
    with pytest.raises(PrectrError, match="is what this run would write: .* run with --name NEWER"):
        opened(artifacts, "--warm_start", str(artifacts / "toy" / "ranker"))
