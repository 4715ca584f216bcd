"""How good a judge of relevance is: the same figures for TF-IDF, the teacher and the students."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from distill.pairs import Pairs
from shared.metrics import auc, macro_f1, qwk, spearman

Metrics = dict[str, float | int | None]


def judge(level: np.ndarray, level_prob: np.ndarray, score: np.ndarray | None = None) -> Metrics:
    """Metrics of predicted level probabilities [n, K] against gold levels [n].

    `auc`: level in the upper half of the scale (>= K/2) or not, and `spearman`: with the level, both of `score` (by
    default the expected level); `macro_f1` and `qwk` of the most probable level; `n` pairs.
    """
    num_levels = level_prob.shape[1]
    if score is None:
        score = level_prob @ np.arange(num_levels)
    predicted = level_prob.argmax(1)
    return {
        "auc": auc(level >= num_levels / 2, score),
        "macro_f1": macro_f1(level, predicted),
        "qwk": qwk(level, predicted),
        "spearman": spearman(level, score),
        "n": len(level),
    }


class TfidfJudge:
    """Cosine of character 2-5-grams, with the level read off by a logistic regression on that one number.

    Vocabulary and idf come from `texts` (all items and training queries); the regression from the gold training pairs.
    """

    def __init__(self, texts: Sequence[str], train: Pairs) -> None:
        self.vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit(texts)
        self.levels = LogisticRegression(max_iter=1000, C=100.0).fit(self.cosine(train)[:, None], train.level)

    def cosine(self, pairs: Pairs) -> np.ndarray:
        """[n] in [0, 1]."""
        query, item = (self.vectorizer.transform(texts) for texts in (pairs.query, pairs.item_text))
        return np.asarray(query.multiply(item).sum(1)).ravel()

    def judge(self, pairs: Pairs, num_levels: int) -> Metrics:
        cosine = self.cosine(pairs)
        level_prob = np.zeros((len(pairs), num_levels))
        level_prob[:, self.levels.classes_] = self.levels.predict_proba(cosine[:, None])
        return judge(pairs.level, level_prob, cosine)


def fit_temperature(logits: np.ndarray, level: np.ndarray) -> float:
    """The T > 0 that minimises the cross-entropy of logits/T [n, K] on gold levels [n]; 1 without pairs."""
    if not len(level):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(level)), level]))

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def cross_entropy(level: np.ndarray, level_prob: np.ndarray) -> float:
    """Mean −log P(gold level) in nats."""
    return float(-np.log(np.clip(level_prob[np.arange(len(level)), level], 1e-12, 1)).mean())
