"""The judge that measures likeness: what it measures, that it learns, and that it opens again as it was."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.models.sources import find_teacher
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.similarity import FEATURES, Similarities, SimilarityTeacher, teach_similarity
from prectr.shared.errors import PrectrError

WORDS = np.array(["red", "blue", "green", "shirt", "lamp", "table", "milk", "bread", "soda", "chair"], object)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("encoder")
    random_text_encoder(folder / "bert", WORDS, seed=0)
    words = Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())]).save(str(folder / "st"))
    return str(folder / "st")


def matches(rows: int, seed: int) -> Pairs:
    """Level 1 where the item holds the query."""
    random = np.random.default_rng(seed)
    query, other = random.choice(WORDS, rows), random.choice(WORDS, rows)
    level = random.integers(0, 2, rows)
    last = np.where(level == 1, query, other)
    level = (query == last).astype(int)
    return Pairs(query, np.array([f"{a} {b}" for a, b in zip(random.choice(WORDS, rows), last, strict=True)]), level)


def test_features_by_hand(encoder: str) -> None:
    idf = {"char": np.ones(1 << 18, np.float32), "word": np.ones(1 << 18, np.float32)}
    pairs = [("red shirts", "a shirt red"), ("", "lamp"), ("red", "red")]
    found = dict(zip(FEATURES, Similarities(encoder, idf, bf16=False)(pairs).T, strict=True))
    assert found["cosine of words"] == pytest.approx([1 / np.sqrt(2) / np.sqrt(3), 0, 1], abs=1e-6)
    assert found["share of the query's word weight that the item has"] == pytest.approx([0.5, 0, 1], abs=1e-6)
    assert found["words in the query"].tolist() == [2, 0, 1]
    assert found["the item has the beginning of the query's last word"].tolist() == [1, 0, 1]
    assert found["cosine of character 2-5-grams"][2] == pytest.approx(1, abs=1e-6)
    assert found["cosine of sentence vectors"][2] == pytest.approx(1, abs=1e-5)


def test_it_learns_and_opens_again(encoder: str, tmp_path: Path) -> None:
    gold, validation = matches(400, 0), matches(100, 1)
    texts = [*gold.query, *gold.item_text]
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        teach_similarity(encoder, texts, gold, validation, 2, bf16=False, seed=0, work=folder)
    unseen = matches(200, 2)
    asked = list(zip(unseen.query, unseen.item_text, strict=True))
    first, second = (SimilarityTeacher(folder, encoder, bf16=False).score(asked) for folder in folders)
    assert ((first.level_prob[:, 1] > 0.5) == unseen.level).mean() > 0.9
    assert np.array_equal(first.log_odds, second.log_odds), "the same seed grows the same trees"
    np.testing.assert_allclose(first.level_prob.sum(1), 1, atol=1e-5)


def test_how_pairs_are_grouped_changes_nothing(encoder: str, tmp_path: Path) -> None:
    gold = matches(200, 0)
    teach_similarity(encoder, gold.query, gold, gold, 2, bf16=False, seed=0, work=tmp_path)
    teacher = SimilarityTeacher(tmp_path, encoder, bf16=False)
    asked = list(zip(gold.query[:40], gold.item_text[:40], strict=True))
    together = teacher.score(asked).log_odds
    apart = np.concatenate([teacher.score(asked[:7]).log_odds, teacher.score(asked[7:]).log_odds])
    np.testing.assert_allclose(apart, together, atol=1e-4)


def test_it_is_named_by_its_encoder(encoder: str) -> None:
    source = find_teacher(f"similarity:{encoder}")
    assert source.role == "similarity" and source.location == encoder
    with pytest.raises(PrectrError, match="name the sentence encoder"):
        find_teacher("similarity:")
    with pytest.raises(PrectrError, match="no/such/folder/here"):
        find_teacher("similarity:no/such/folder/here")
