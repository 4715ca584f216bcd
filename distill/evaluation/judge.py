"""How good a judge of relevance is: the same figures for TF-IDF, the teacher and the students."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer

from prectr.distill.pairs import Pairs
from prectr.distill.teachers.calibration import Calibration
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.metric_modules.front import open_metric
from prectr.shared.metrics import ece, query_order

Metrics = dict[str, float | int | None]


def judge(level: np.ndarray, level_prob: np.ndarray) -> Metrics:
    """Metrics of predicted level probabilities [n, K] against gold levels [n]: `shared.metrics.graded_relevance`."""
    found: Metrics = open_metric("graded_relevance").compute(predictions=level_prob, references=level)
    return found


def judge_order(pairs: Pairs, score: np.ndarray, random_score: np.ndarray) -> Metrics:
    """How a judge's scores [n] order the items of each query of `pairs`, and part these from random ones [m]:
    `shared.metrics.query_order`.
    """
    return dict(query_order(pairs.query, pairs.level, score, random_score))


Score = Callable[[Pairs], np.ndarray]
"""A judge that gives one number a pair: [n], more is better."""


def tfidf_vectorizer(texts: Sequence[str]) -> TfidfVectorizer:
    """Unit vectors of character 2-5-grams; vocabulary and idf come from `texts`."""
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit(texts)


def tfidf_cosine(texts: Sequence[str]) -> Score:
    """Cosine of character 2-5-grams in [0, 1]; vocabulary and idf come from `texts` (all items, training queries)."""
    vectorizer = tfidf_vectorizer(texts)

    def cosine(pairs: Pairs) -> np.ndarray:
        query, item = (vectorizer.transform(texts) for texts in (pairs.query, pairs.item_text))
        return np.asarray(query.multiply(item).sum(1)).ravel()

    return cosine


def levels_of_score(score: Score, gold: Pairs, num_levels: int) -> Callable[[Pairs], np.ndarray]:
    """P(level) [n, K] of a judge that gives one number, its levels fitted on gold pairs."""
    calibration = Calibration.fit(score(gold)[:, None], gold.level, num_levels)
    return lambda pairs: np.exp(calibration(score(pairs)[:, None]))


def judge_encoder(encoder: LevelEncoder, pairs: Pairs, temperature: float | None = None) -> Metrics | None:
    """`judge` of a student, with `logloss` (nats) and `ece`: of the most probable level, 15 equal-mass bins. None
    without pairs.

    Args:
        temperature: the one that was folded in; then `ece_before`, the `ece` without it, is told too.
    """
    if not len(pairs):
        return None
    logits = np.log(encoder.score_pairs(pairs.query.tolist(), pairs.item_text.tolist()))
    level_prob = softmax(logits, axis=1)
    found: Metrics = {"logloss": cross_entropy(pairs.level, level_prob), "ece": _ece(pairs.level, level_prob)}
    if temperature is not None:
        found["ece_before"] = _ece(pairs.level, softmax(logits * temperature, axis=1))
    return judge(pairs.level, level_prob) | found


def _ece(level: np.ndarray, level_prob: np.ndarray) -> float | None:
    return ece(level == level_prob.argmax(1), level_prob.max(1))


def cross_entropy(level: np.ndarray, level_prob: np.ndarray) -> float:
    """Mean −log P(gold level) in nats."""
    return float(-np.log(np.clip(level_prob[np.arange(len(level)), level], 1e-12, 1)).mean())
