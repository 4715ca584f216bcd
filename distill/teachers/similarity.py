"""A judge for every shop: gradient-boosted trees over a few measures of how alike two texts are, taught on gold pairs.

Where human levels are few and noisy this can beat a small language model [O, measured: EXPERIMENTS.md]: it has seven
numbers to learn from, not a million weights, and one of them is what a trained sentence encoder knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.atomic import atomic_write
from prectr.shared.training.device import compute_device

FEATURES = (
    "cosine of character 2-5-grams",
    "cosine of words",
    "share of the query's word weight that the item has",
    "cosine of sentence vectors",
    "words in the query",
    "words in the item",
    "the item has the beginning of the query's last word",
)
BOOSTERS = 5
"""Trees grown from as many seeds and averaged."""

TREES, PATIENCE = 500, 30
SETTINGS = {
    "objective": "multiclass",
    "learning_rate": 0.03,
    "num_leaves": 7,
    "min_child_samples": 40,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "feature_fraction": 0.7,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,
}
STEM = 5
"""Letters of the last word that must be found: `shelves` has those of `shelving`."""


class Similarities:
    """The features of pairs of texts.

    Args:
        location: sentence encoder, folder or hub id.
        idf: inverse document frequencies by hashed term: `char` [2¹⁸], `word` [2¹⁸].
        bf16: bfloat16 matrix products in the sentence encoder.
    """

    def __init__(self, location: str, idf: dict[str, np.ndarray], bf16: bool) -> None:
        self.encoder = SentenceTransformer(location, device=compute_device().type, trust_remote_code=False)
        self.idf, self.bf16 = idf, bf16

    def __call__(self, pairs: Sequence[Pair]) -> np.ndarray:
        """[n, 7] float64, in the order of `FEATURES`; each distinct text is read once."""
        queries, items = (np.asarray(side, dtype=object) for side in zip(*pairs, strict=True))
        (query, query_row), (item, item_row) = (np.unique(side, return_inverse=True) for side in (queries, items))
        cosines = {
            kind: _rowwise(self._tfidf(kind, query)[query_row], self._tfidf(kind, item)[item_row]) for kind in self.idf
        }
        weights = self._tfidf("word", query)
        found = self._tfidf("word", item)[item_row]
        found.data[:] = 1
        share = _rowwise(weights[query_row], found) / np.maximum(weights.sum(1), 1e-9)[query_row]
        vectors = self._vectors(query)[query_row], self._vectors(item)[item_row]
        words = [np.array([len(text.split()) for text in side]) for side in (query, item)]
        last = [
            bool(words_of_query) and words_of_query[-1].lower()[:STEM] in text.lower()
            for words_of_query, text in zip((text.split() for text in queries), items, strict=True)
        ]
        meaning = (vectors[0] * vectors[1]).sum(1)
        columns = [cosines["char"], cosines["word"], share, meaning, words[0][query_row], words[1][item_row], last]
        return np.column_stack(columns).astype(float)

    def _tfidf(self, kind: str, texts: np.ndarray) -> csr_array:
        counts = _count(kind, texts)
        counts.data = np.log(counts.data) + 1
        counts.data *= self.idf[kind][counts.indices]
        norm = np.sqrt(counts.multiply(counts).sum(1))
        counts.data /= np.repeat(np.maximum(norm, 1e-12), np.diff(counts.indptr))
        return counts

    def _vectors(self, texts: np.ndarray) -> np.ndarray:
        device = self.encoder.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16):
            return self.encoder.encode(
                texts.tolist(), batch_size=64, normalize_embeddings=True, show_progress_bar=False
            ).astype(np.float32)


class SimilarityTeacher:
    """What `teach_similarity` left in a folder, behind the `Teacher` interface; it has no state.

    Args:
        folder: holds the trees and the idf.
        location: the sentence encoder they were grown with.
        bf16: as then.
        identity: of encoder and folder, for the fingerprint.
    """

    def __init__(self, folder: Path, location: str, *, bf16: bool, identity: str = "") -> None:
        self.similarities = Similarities(location, load_file(folder / "idf.safetensors"), bf16)
        self.boosters = [lightgbm.Booster(model_file=str(file)) for file in sorted(folder.glob("trees-*.txt"))]
        self.fingerprint = hashlib.sha256(repr((identity or str(folder), bf16, FEATURES)).encode()).hexdigest()

    def padded_length(self, pair: Pair) -> int:
        """0: nothing is padded to a common length."""
        return 0

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        if not pairs:
            return Judgement(np.zeros((0, self.boosters[0].num_model_per_iteration()), np.float32))
        features = self.similarities(pairs)
        level_prob = np.mean([booster.predict(features) for booster in self.boosters], axis=0)
        return Judgement(np.log(np.maximum(level_prob, 1e-9)).astype(np.float32))


def teach_similarity(
    location: str,
    texts: Sequence[str],
    pairs: Pairs,
    validation: Pairs,
    num_levels: int,
    *,
    bf16: bool,
    seed: int,
    work: Path,
) -> None:
    """Grows the trees on gold `pairs`, as many as help on `validation`, and saves them to `work`.

    Args:
        location: sentence encoder, folder or hub id.
        texts: items and training queries, for the idf of words and letters.
    """
    idf = {kind: TfidfTransformer().fit(_count(kind, texts)).idf_.astype(np.float32) for kind in ("char", "word")}
    with atomic_write(work / "idf.safetensors") as temporary:
        save_file(idf, temporary)
    similarities = Similarities(location, idf, bf16)
    taught, held_out = (
        (similarities(list(zip(some.query, some.item_text, strict=True))), some.level) for some in (pairs, validation)
    )
    for booster in range(BOOSTERS):
        settings = {**SETTINGS, "num_class": num_levels, "seed": seed * BOOSTERS + booster}
        data = lightgbm.Dataset(*taught)
        trees = lightgbm.train(
            settings,
            data,
            num_boost_round=TREES,
            valid_sets=[lightgbm.Dataset(*held_out, reference=data)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        with atomic_write(work / f"trees-{booster}.txt") as temporary:
            trees.save_model(str(temporary), num_iteration=trees.best_iteration)


def _count(kind: str, texts: Sequence[str] | np.ndarray) -> csr_array:
    terms = {"analyzer": "char_wb", "ngram_range": (2, 5)} if kind == "char" else {"token_pattern": r"\S+"}
    hashing = HashingVectorizer(**terms, n_features=1 << 18, alternate_sign=False, norm=None)
    return csr_array(hashing.transform(texts))


def _rowwise(left: csr_array, right: csr_array) -> np.ndarray:
    return np.asarray(left.multiply(right).sum(1)).ravel()
