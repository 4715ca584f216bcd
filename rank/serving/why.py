"""Why one candidate is above another, in a sentence.

The gap of two final logits has a part that is relevance alone: what changes if the two swap P(level | query, item) and
each keeps its P(click | level). Of the rest the sentence names the parts that occlusion finds largest; those of
correlated inputs do not add up. [O]
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RELEVANCE, INCENTIVE = "relevance", "incentive"
WORDS = {
    RELEVANCE: "its relevance to the query",
    INCENTIVE: "the incentive τ",
    "user history": "what this user did before",
    "user matches": "this user's past with it and with items that share its brand or kind",
    "user texts": "this user's past with items that read like it",
    "all users": "its popularity",
    "cross matches": "other users' past with it under this query",
    "cross texts": "other users' past with items that read like it",
    "stage one": "the text encoder's first judgement of it",
    "page": "its rank within the page",
    "context": "its price and place here",
    "item": "its own attributes",
}
"""A part of a score in plain words, by the name that tables give it."""

LEAST = 0.01
"""A part of fewer logits than this is not worth a word."""

SHOWN, FEW = 40, 8
"""Characters of an item's text within the sentence; so many are no burden if all texts begin with them."""


def parts_of(candidate: Mapping[str, Any]) -> dict[str, float]:
    """Logits that each part of a candidate's score adds, but for relevance: groups of inputs, and τ."""
    return {**candidate["occlusion"]["groups"], INCENTIVE: candidate["tau"]}


def relevance_part(first: Mapping[str, Any], second: Mapping[str, Any]) -> float:
    """Logits of the gap between two candidates that their levels make, their P(click | level) apart: the mean over
    both orders in which level and click may be swapped (the Shapley value of two players).
    """

    def logit(level: Mapping[str, Any], click: Mapping[str, Any]) -> float:
        product = np.dot(np.asarray(level["level_prob"], np.float64), click["p_click_given_level"])
        p = float(np.clip(product, 1e-12, 1 - 1e-12))
        return math.log(p) - math.log1p(-p)

    gaps = (logit(first, click) - logit(second, click) for click in (first, second))
    return sum(gaps) / 2


def why(candidates: Sequence[Mapping[str, Any]]) -> str:
    """The sentence of a page's first two candidates, best first, as `explain_page` describes them."""
    if len(candidates) < 2:
        return "There is one candidate, so nothing stands below it."
    first, second = candidates[:2]
    texts = told_apart([each["text"] for each in candidates])
    gap = _logit(first["p_click"]) - _logit(second["p_click"])
    names = f"1. {_short(texts[0])} is above 2. {_short(texts[1])}"
    chances = f"P(click) {first['p_click']:.3f} against {second['p_click']:.3f}"
    if gap < LEAST:
        return f"{names} by next to nothing: {chances}."
    other = parts_of(second)
    differences = {RELEVANCE: relevance_part(first, second)}
    differences |= {name: value - other[name] for name, value in parts_of(first).items()}
    for_it = _named(sorted(differences.items(), key=lambda part: -part[1])[:2], 1)
    against = _named([min(differences.items(), key=lambda part: part[1])], -1)
    reason = f"most for {' and '.join(for_it)}" if for_it else "by many small parts together"
    doubt = f", in spite of {against[0]}" if against else ""
    return f"{names} by {gap:.2f} logits ({chances}), {reason}{doubt}."


def told_apart(texts: Sequence[str]) -> list[str]:
    """The texts without the words that all of them begin with: where room is short, what they share tells nothing."""
    words = [text.split(" ") for text in texts]
    shared = 0
    while all(len(each) > shared + 1 and each[shared] == words[0][shared] for each in words):
        shared += 1
    cut = len(texts) > 1 and len(" ".join(words[0][:shared])) > FEW
    return [f"… {' '.join(each[shared:])}" for each in words] if cut else list(texts)


def _named(parts: Sequence[tuple[str, float]], sign: int) -> list[str]:
    """Those parts that count in this direction, in words."""
    return [f"{WORDS.get(name, name)} ({value:+.2f})" for name, value in parts if value * sign >= LEAST]


def _logit(p: float) -> float:
    p = min(max(p, 1e-12), 1 - 1e-12)
    return math.log(p) - math.log1p(-p)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1].rstrip()}…"
