"""Metrics, as pure functions of arrays.

A metric depends on the set of rows alone: their order never matters, and equal scores count as if every order among
them were equally likely. Where a metric is undefined it is None, never NaN.

`weights` [n] counts each row that many times, as a bootstrap does. A metric that sorts its rows also comes as
`<metric>_of_weights`, which sorts once and returns the metric as a function of the weights; within a group these must
be equal, unless the metric has no groups.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import comb
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, roc_auc_score

from prectr.shared.errors import PrectrError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WeightedMetric = Callable[[Floats], float | None]

LEAST_USERS = 10
"""Users that an interval needs [O]."""


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Area under the ROC curve in [0, 1]; None if only one class has weight. `labels` are 0/1, all arrays [n]."""
    y, s, w = _rows(labels, scores, weights)
    if not (w[y > 0].sum() > 0 and w[y == 0].sum() > 0):
        return None
    return float(roc_auc_score(y, s, sample_weight=w))


def auc_of_weights(labels: ArrayLike, scores: ArrayLike) -> WeightedMetric:
    """`auc` as a function of row weights."""
    y, s, _ = _rows(labels, scores)
    order = np.argsort(s, kind="stable")
    starts = np.flatnonzero(_run_starts(s[order]))
    positive = y[order] > 0

    def weighted_auc(weights: Floats) -> float | None:
        w = weights[order]
        positives = np.add.reduceat(np.where(positive, w, 0.0), starts)
        negatives = np.add.reduceat(np.where(positive, 0.0, w), starts)
        pairs = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2)).sum() / pairs) if pairs > 0 else None

    return weighted_auc


def gauc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> tuple[float | None, float]:
    """AUC inside each group (page, user), averaged over groups by their number of impressions.

    Groups with one class have no AUC and are left out.

    Returns:
        value in [0, 1], None if no group has both classes; coverage in [0, 1], the share of impressions kept.
    """
    y, s, w = _rows(labels, scores)
    codes, sizes = _group_codes(groups, len(y))
    values, mixed = _auc_by_group(y, s, codes, sizes)
    coverage = float(sizes[mixed].sum() / sizes.sum()) if len(y) else 0.0
    return _mean_over_groups(values, mixed, codes)(w), coverage


def gauc_of_weights(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> WeightedMetric:
    """The value of `gauc` as a function of row weights."""
    y, s, _ = _rows(labels, scores)
    codes, sizes = _group_codes(groups, len(y))
    return _mean_over_groups(*_auc_by_group(y, s, codes, sizes), codes)


def logloss(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Mean negative log-likelihood in nats of 0/1 labels [n] under probabilities [n]; None without rows."""
    y, p, w = _rows(labels, probabilities, weights)
    return float(log_loss(y, p, sample_weight=w, labels=[0, 1])) if w.sum() > 0 else None


def pcoc(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Predicted click-through over observed: mean prediction / CTR, 1 if calibrated; None without clicks."""
    y, p, w = _rows(labels, probabilities, weights)
    return float((w * p).sum() / (w * y).sum()) if (w * y).sum() > 0 else None


def ece(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, bins: int = 15) -> float | None:
    """Expected calibration error in [0, 1]: |mean prediction − CTR| over bins of equally many rows.

    Rows are sorted by prediction before they are cut into bins. None without rows.
    """
    y, p, w = _rows(labels, probabilities, weights)
    if not w.sum() > 0:
        return None
    order = np.argsort(p, kind="stable")
    gap = _run_means((w * (p - y))[order], _run_starts(p[order]))
    edges = np.unique(np.arange(bins) * len(gap) // bins)
    return float(np.abs(np.add.reduceat(gap, edges)).sum() / w.sum())


def ndcg_at_k(groups: ArrayLike, scores: ArrayLike, gains: ArrayLike, k: int = 10) -> float | None:
    """Mean over groups of DCG@k / the best possible DCG@k, in [0, 1].

    A row's discount is 1 / log2(1 + rank). `gains` [n] are ≥ 0 and used as given (0/1 for clicks). Groups without a
    positive gain are left out; None if none is left.
    """
    return ndcg_at_k_of_weights(groups, scores, gains, k)(np.ones(len(np.asarray(gains))))


def ndcg_at_k_of_weights(groups: ArrayLike, scores: ArrayLike, gains: ArrayLike, k: int = 10) -> WeightedMetric:
    """`ndcg_at_k` as a function of row weights."""
    values, gained = ndcg_by_group(groups, scores, gains, k)
    codes, sizes = _group_codes(groups, len(np.asarray(gains)))
    return _mean_over_groups(values, gained / sizes, codes)


def ndcg_by_group(
    groups: ArrayLike, scores: ArrayLike, gains: ArrayLike, k: int = 10
) -> tuple[Floats, NDArray[np.bool_]]:
    """What `ndcg_at_k` is the mean of: each group's value [m], 0 without a gain, and which groups have one [m]; groups
    ascending."""
    g, s, _ = _rows(gains, scores, binary=False)
    if (g < 0).any():
        raise PrectrError(f"ndcg_at_k: gain {g.min()} is negative; pass gains of 0 or more.")
    codes, sizes = _group_codes(groups, len(g))
    achieved = _top_k_sums(codes, sizes, s, g, k, discounted=True)
    ideal = _top_k_sums(codes, sizes, g, g, k, discounted=True)
    return achieved / np.where(ideal > 0, ideal, 1.0), ideal > 0


def mrr_of_weights(groups: ArrayLike, scores: ArrayLike, clicked: ArrayLike) -> WeightedMetric:
    """Mean over groups of 1 / the rank of the first clicked row, in (0, 1], as a function of row weights.

    `clicked` [n] are 0/1. Groups without a click are left out; None if none is left.
    """
    y, s, _ = _rows(clicked, scores)
    codes, sizes = _group_codes(groups, len(y))
    best = np.full(len(sizes), -np.inf)
    np.maximum.at(best, codes[y > 0], s[y > 0])
    above = np.bincount(codes[s > best[codes]], minlength=len(sizes))
    level = s == best[codes]
    hits, ties = (np.bincount(codes[mask], minlength=len(sizes)) for mask in (level & (y > 0), level & (y == 0)))
    values = 1.0 / (above + 1)
    for group in np.flatnonzero((hits > 0) & (ties > 0)):
        # The first hit is the j-th of the equal rows as often as j − 1 of the others can stand before it.
        place = np.arange(1, ties[group] + 2)
        chance = comb(ties[group] + hits[group] - place, hits[group] - 1) / comb(ties[group] + hits[group], hits[group])
        values[group] = (chance / (above[group] + place)).sum()
    return _mean_over_groups(values, (hits > 0) / sizes, codes)


def excess_low_at_k(
    groups: ArrayLike, scores: ArrayLike, levels: ArrayLike, low_max: int = 1, k: int = 10
) -> float | None:
    """Avoidable irrelevance: mean over groups of (rows of level ≤ low_max in the top k − the fewest possible) / k.

    In [0, 1], 0 if no order could do better; None without groups.
    """
    return excess_low_at_k_of_weights(groups, scores, levels, low_max, k)(np.ones(len(np.asarray(levels))))


def excess_low_at_k_of_weights(
    groups: ArrayLike, scores: ArrayLike, levels: ArrayLike, low_max: int = 1, k: int = 10
) -> WeightedMetric:
    """`excess_low_at_k` as a function of row weights."""
    level, s, _ = _rows(levels, scores, binary=False)
    codes, sizes = _group_codes(groups, len(level))
    low = (level <= low_max).astype(np.float64)
    shown = _top_k_sums(codes, sizes, s, low, k, discounted=False)
    fewest = _top_k_sums(codes, sizes, -low, low, k, discounted=False)
    return _mean_over_groups((shown - fewest) / k, 1 / sizes, codes)


def qwk(levels: ArrayLike, predicted: ArrayLike) -> float | None:
    """Cohen's kappa with quadratic weights in [-1, 1] of integer levels [n]; None if both are one constant.

    A level that occurs in neither lies between its neighbours all the same. How many lie above or below all that occur
    changes nothing: their weights are a common factor.
    """
    truth, guess = np.asarray(levels), np.asarray(predicted)
    found = np.union1d(truth, guess)
    if len(found) < 2:
        return None
    every = np.arange(found[0], found[-1] + 1)
    return _or_none(cohen_kappa_score(truth, guess, labels=every, weights="quadratic"))


def macro_f1(levels: ArrayLike, predicted: ArrayLike) -> float | None:
    """Unweighted mean in [0, 1] of the F1 of every level that occurs in either array [n]; None without rows."""
    truth = np.asarray(levels)
    return float(f1_score(truth, np.asarray(predicted), average="macro", zero_division=0)) if len(truth) else None


def spearman(targets: ArrayLike, scores: ArrayLike) -> float | None:
    """Spearman's rank correlation in [-1, 1] of two arrays [n]; None if either is constant."""
    x, y = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    return _or_none(spearmanr(x, y).statistic) if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0 else None


def graded_relevance(levels: ArrayLike, level_prob: ArrayLike) -> dict[str, float | int | None]:
    """What a judge of relevance is measured by: predicted level probabilities [n, K] against gold levels [n].

    `auc`: level in the upper half of the scale (>= K/2) or not, and `spearman`: with the level, both of the expected
    level; `macro_f1` and `qwk` of the most probable level; `n` pairs.
    """
    level, probability = np.asarray(levels), np.asarray(level_prob)
    num_levels = probability.shape[1]
    score, predicted = probability @ np.arange(num_levels), probability.argmax(1)
    return {
        "auc": auc(level >= num_levels / 2, score),
        "macro_f1": macro_f1(level, predicted),
        "qwk": qwk(level, predicted),
        "spearman": spearman(level, score),
        "n": len(level),
    }


def within_query_spearman(groups: ArrayLike, levels: ArrayLike, scores: ArrayLike) -> float | None:
    """Mean over groups (queries) of `spearman` inside each, in [-1, 1].

    Groups of one level, or of one row, are left out; where a judge gives a whole group one score it has said nothing,
    which counts as 0. None if no group is left.
    """
    level, s, _ = _rows(levels, scores, binary=False)
    codes, sizes = _group_codes(groups, len(level))
    parts = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes.astype(np.int64))[:-1])
    found = [spearman(level[rows], s[rows]) or 0.0 for rows in parts if len(rows) and np.ptp(level[rows]) > 0]
    return float(np.mean(found)) if found else None


def query_order(
    queries: ArrayLike, levels: ArrayLike, scores: ArrayLike, random_scores: ArrayLike = ()
) -> dict[str, float | None]:
    """How a judge orders the items of a query, and whether it knows what was never a candidate.

    Pooled figures are won by knowing which queries are easy; these are not. `within_query_spearman`, and
    `within_query_ndcg` at 10 with the level as gain, of n graded pairs; `auc_random`: how often a graded pair scores
    above a pair of such a query with an item drawn at random, in [0, 1]; `auc_relevant_random`: how often one of a
    level above 0 does. Where many graded pairs are irrelevant, who knows that loses of the first, not of the second.

    Args:
        queries, levels, scores: [n] of the graded pairs.
        random_scores: [m] of the others; where there are none the last two are None.
    """
    level, s, other = (np.asarray(part, np.float64) for part in (levels, scores, random_scores))

    def above_random(graded: np.ndarray) -> float | None:
        return auc(np.repeat([1.0, 0.0], [len(graded), len(other)]), np.concatenate([graded, other]))

    return {
        "within_query_spearman": within_query_spearman(queries, level, s),
        "within_query_ndcg": ndcg_at_k(queries, s, level),
        "auc_random": above_random(s),
        "auc_relevant_random": above_random(s[level > 0]),
    }


def user_bootstrap(
    users: ArrayLike,
    metric: WeightedMetric,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile interval of a metric when whole users are drawn with replacement.

    A user's rows stand or fall together, so that many rows of few people do not look like much evidence.

    Args:
        users: [n] the user of each row.
        metric: value given how many times each row was drawn, float [n]; a difference of two systems' metrics gives the
            paired interval.

    Returns:
        The 2.5th and 97.5th percentile; None if the metric is undefined on every resample, or there are fewer than
        `LEAST_USERS` users: drawn from so few, an interval is narrow because it knows nothing.

    Example:
        >>> low, high = user_bootstrap(user_id, auc_of_weights(clicked, p_click))
    """
    codes, sizes = _group_codes(users, len(np.asarray(users)))
    if len(sizes) < LEAST_USERS:
        return None
    counts = np.random.default_rng(seed).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples)
    values = [metric(drawn[codes].astype(np.float64)) for drawn in counts]
    defined = [value for value in values if value is not None and np.isfinite(value)]
    if not defined:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _rows(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, binary: bool = True
) -> tuple[Floats, Floats, Floats]:
    y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (y.ndim == 1 and y.shape == s.shape == w.shape):
        raise PrectrError(f"labels {y.shape}, scores {s.shape} and weights {w.shape} must be rows of one length.")
    if not np.isfinite(s).all():
        raise PrectrError(f"score in row {int(np.argmin(np.isfinite(s)))} is not a finite number; check the model.")
    if binary and not np.isin(y, (0, 1)).all():
        raise PrectrError(f"label in row {int(np.argmin(np.isin(y, (0, 1))))} is neither 0 nor 1.")
    return y, s, w


def _group_codes(groups: ArrayLike, rows: int) -> tuple[Ints, Floats]:
    """Group of each row as 0, 1, … [n], and the number of rows of each group [groups]."""
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(codes) != rows:
        raise PrectrError(f"{len(codes)} groups for {rows} rows; pass the group of each row.")
    return codes.astype(np.int64), sizes.astype(np.float64)


def _auc_by_group(y: Floats, s: Floats, codes: Ints, sizes: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """AUC of each group, 0 where it has one class only [groups], and which groups have both [groups]."""
    order = np.lexsort((s, codes))
    ranks = _run_means(np.arange(1.0, len(s) + 1), _run_starts(codes[order], s[order]))
    positives = np.bincount(codes, weights=y, minlength=len(sizes))
    pairs = positives * (sizes - positives)
    # Ranks run through all groups: those of one group start after the rows of the groups before it.
    first = np.cumsum(sizes) - sizes
    rank_sums = np.bincount(codes[order], weights=y[order] * ranks, minlength=len(sizes)) - positives * first
    wins = rank_sums - positives * (positives + 1) / 2
    return wins / np.maximum(pairs, 1), pairs > 0


def _mean_over_groups(values: Floats, share: Floats | NDArray[np.bool_], codes: Ints) -> WeightedMetric:
    """Mean of `values` [groups]; a group's weight is the sum of its rows' weights times its `share` [groups]."""

    def mean(weights: Floats) -> float | None:
        mass = np.bincount(codes, weights=weights, minlength=len(values)) * share
        return float(mass @ values / mass.sum()) if mass.sum() > 0 else None

    return mean


def _run_starts(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Of rows already sorted: where a run of equal rows begins."""
    starts = np.ones(len(columns[0]), dtype=bool)
    if len(starts):
        starts[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return starts


def _run_means(values: Floats, starts: NDArray[np.bool_]) -> Floats:
    """Each value replaced by the mean over its run: its expectation if the order within the run is random."""
    run = np.cumsum(starts) - 1
    means: Floats = np.bincount(run, weights=values) / np.bincount(run)
    return np.asarray(means[run])


def _top_k_sums(codes: Ints, sizes: Floats, scores: Floats, values: Floats, k: int, discounted: bool) -> Floats:
    """Sum of `values` over each group's k highest scores [groups], optionally discounted by 1 / log2(1 + rank)."""
    order = np.lexsort((-scores, codes))
    group = codes[order]
    rank = np.arange(1, len(group) + 1) - (np.cumsum(sizes) - sizes)[group]
    factor = np.where(rank <= k, 1 / np.log2(1 + rank) if discounted else 1.0, 0.0)
    expected = _run_means(values[order], _run_starts(group, scores[order]))
    return np.asarray(np.bincount(group, weights=factor * expected, minlength=len(sizes)), dtype=np.float64)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
