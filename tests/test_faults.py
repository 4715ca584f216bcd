"""A fault table: kinds of damage × files of a run. Whatever is opened afterwards refuses in one sentence, or does what
it did before; nothing ends in a traceback, and nothing damaged is used.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.rank.reports.model_card import upload
from prectr.rank.reports.terminal import show_results
from prectr.rank.serving.ranker import Ranker
from prectr.rank.serving.scorer import Scorer
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import fingerprint_of_tables, run_step
from tests.damages import ABSENT, DAMAGES, damaged, is_sentence
from tests.rank.toy_run import copy_run, split_of

ITEMS = [{"text": "red wool scarf small", "category": "clothing"}, {"text": "steel pot large", "category": "kitchen"}]


def score_a_page(run: Path) -> np.ndarray:
    """As `rank score` and `rank serve` do, with the memory of the run."""
    scorer = Scorer.open(run / "ranker", run / "data", batch_size=64)
    shop, _, prepared = scorer.prepare(split_of(run, "test").slice(0, 8))
    return scorer.predict(shop, prepared)["p_click"]


def score_alone(run: Path) -> np.ndarray:
    """As a program that has nothing but the ranker's folder."""
    return Ranker.from_pretrained(run / "ranker").score("wool muffler", ITEMS)["p_click"]


def judge_pairs(run: Path) -> np.ndarray:
    """By the encoder's folder alone."""
    return LevelEncoder.from_pretrained(run / "ranker" / "encoder").score_pairs(["scarf"], ["red wool scarf"])


def show(run: Path) -> np.ndarray:
    show_results(run)
    return np.zeros(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, each of its folders with the record that a step leaves."""
    folder = copy_run(tmp_path_factory, tmp_path_factory.mktemp("run"))
    for name in ("level_prob", "text_vectors"):
        made = folder / f"{name}.made"
        (folder / name).rename(made)
        inputs = {"data": fingerprint_of_tables(folder / "data")}
        run_step(name, folder / name, inputs, partial(shutil.copytree, made, dirs_exist_ok=True))
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """A ranker as it comes from a hub: there is no record, so that its files have to speak for themselves."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(run / "ranker", folder / "ranker")
    (folder / "ranker" / "step.json").unlink()
    return folder


def outcome(use: Callable[[Path], Any], run: Path) -> Any:
    """What `use` gives, or the sentence that refuses; anything else is raised."""
    try:
        return use(run)
    except PrectrError as error:
        assert is_sentence(error), str(error)
        return str(error)


RANKER = (
    *("config.json", "feature_map.json", "model.safetensors"),
    *("encoder/config.json", "encoder/model.safetensors", "encoder/tokenizer.json", "encoder/tokenizer_config.json"),
    *("encoder/level_head/config.json", "encoder/level_head/model.safetensors"),
    *("encoder/1_Dense/config.json", "encoder/1_Dense/model.safetensors"),
)
STORED = (
    *("level_prob/level_prob.parquet", "level_prob/encoder/model.safetensors", "level_prob/encoder/config.json"),
    *("behaviours/log.json", "behaviours/user.npy", "behaviours/items.parquet", "behaviours/index_user.rows.npy"),
    *("text_vectors/items.npy", "text_vectors/item_axes.npy"),
)


@pytest.fixture(scope="module")
def before(run: Path) -> np.ndarray:
    """What the run scores while it is whole."""
    return score_a_page(run)


@pytest.mark.parametrize("file", [*(f"ranker/{name}" for name in RANKER), *STORED])
def test_a_damaged_file_of_a_finished_run_is_named_with_the_command(run: Path, before: np.ndarray, file: str) -> None:
    for kind in DAMAGES:
        with damaged(run / file, kind):
            said = outcome(score_a_page, run)
            step, _, inside = file.partition("/")
            fault = "missing" if kind in ABSENT else "damaged"
            assert said == f"{run / step}: {inside} is {fault}: run make rank again, which makes it anew.", kind


@pytest.mark.parametrize("file", RANKER)
def test_nothing_damaged_is_published(run: Path, file: str) -> None:
    for kind in DAMAGES:
        with damaged(run / "ranker" / file, kind):
            said = outcome(partial(upload, repo="someone/model", dry_run=True), run / "ranker")
            assert isinstance(said, str) and f"ranker: {file} is " in said and "make rank" in said, kind


@pytest.mark.parametrize("file", ["ranker/metrics.json", "ranker/config.json"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_results_are_not_shown(run: Path, file: str, kind: str) -> None:
    with damaged(run / file, kind):
        assert "make rank" in str(outcome(show, run))


@pytest.mark.parametrize("step", ["ranker", "behaviours", "level_prob", "text_vectors"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_record_is_a_sentence_or_harmless(run: Path, before: np.ndarray, step: str, kind: str) -> None:
    with damaged(run / step / "step.json", kind):
        found = outcome(score_a_page, run)
        assert isinstance(found, str) or np.allclose(found, before, atol=1e-5)


@pytest.mark.parametrize("file", RANKER)
def test_a_published_ranker_is_refused_or_the_same(published: Path, file: str) -> None:
    """Without a record a flipped bit shows only where what it makes means nothing; all else is seen."""
    before = score_alone(published)
    for kind in DAMAGES:
        with damaged(published / "ranker" / file, kind):
            found = outcome(score_alone, published)
        if not kind.startswith("a bit"):
            assert isinstance(found, str) or np.array_equal(found, before), kind
        assert not isinstance(found, np.ndarray) or np.isfinite(found).all(), kind


@pytest.mark.parametrize("file", [name for name in RANKER if name.startswith("encoder/")])
def test_a_published_encoder_is_refused_or_the_same(published: Path, file: str) -> None:
    before = judge_pairs(published)
    for kind in DAMAGES:
        with damaged(published / "ranker" / file, kind):
            found = outcome(judge_pairs, published)
        if not kind.startswith("a bit"):
            assert isinstance(found, str) or np.array_equal(found, before), kind


@pytest.mark.parametrize("file", ["items.parquet", "behaviours.parquet", "summary.json"])
def test_tables_are_read_as_they_are_or_refused(run: Path, file: str) -> None:
    if not (run / "data" / file).is_file():
        pytest.skip("the toy shop alone has none")
    for kind in DAMAGES:
        with damaged(run / "data" / file, kind):
            outcome(score_a_page, run)


def test_what_is_whole_again_is_used_again(run: Path, before: np.ndarray) -> None:
    assert np.array_equal(score_a_page(run), before)
