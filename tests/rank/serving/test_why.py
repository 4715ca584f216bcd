"""Why one candidate is above another: the sentence names what the parts say, and relevance is told from clicks."""

from typing import Any

import numpy as np
import pytest

from prectr.rank.serving.why import relevance_part, told_apart, why


def candidate(text: str, level_prob: list[float], given_level: list[float], tau: float = 0.0, **groups: float) -> Any:
    return {
        "text": text,
        "level_prob": level_prob,
        "p_click_given_level": given_level,
        "p_click": float(np.dot(level_prob, given_level)),
        "tau": tau,
        "occlusion": {"groups": groups},
    }


def test_what_differs_in_level_alone_is_relevance_alone() -> None:
    good, bad = candidate("cola", [0, 1], [0.1, 0.5]), candidate("soap", [1, 0], [0.1, 0.5])
    assert relevance_part(good, bad) == pytest.approx(np.log(0.5 / 0.5) - np.log(0.1 / 0.9))
    assert relevance_part(bad, good) == pytest.approx(-relevance_part(good, bad))
    sentence = why([good, bad])
    assert sentence == (
        "1. cola is above 2. soap by 2.20 logits (P(click) 0.500 against 0.100), most for its relevance to the query "
        "(+2.20)."
    )


def test_what_differs_in_clicks_alone_has_no_relevance() -> None:
    liked, other = (candidate("a", [0.5, 0.5], click) for click in ([0.3, 0.5], [0.1, 0.2]))
    assert relevance_part(liked, other) == pytest.approx(0)


def test_the_largest_parts_for_it_and_the_largest_against_it_are_named() -> None:
    first = candidate("a", [1.0], [0.5], 0.1, **{"user matches": 0.9, "all users": -0.5, "page": 0.3, "item": 0.0})
    second = candidate("b", [1.0], [0.4], 0.1, **{"user matches": 0.1, "all users": 0.1, "page": 0.0, "item": 0.02})
    sentence = why([first, second])
    assert (
        "this user's past with it and with items that share its brand or kind (+0.80) and its rank within" in sentence
    )
    assert "in spite of its popularity (-0.60)" in sentence
    assert "attributes" not in sentence and "τ" not in sentence, "too small, or the same of both"


def test_words_that_all_texts_begin_with_are_left_out() -> None:
    texts = ["SOFT DRINKS COLA 2 L", "SOFT DRINKS LEMON", "SOFT DRINKS COLA 1 L"]
    assert told_apart(texts) == ["… COLA 2 L", "… LEMON", "… COLA 1 L"]
    assert told_apart(["red shoe", "red scarf"]) == ["red shoe", "red scarf"], "little is no burden"
    assert told_apart(["SOFT DRINKS COLA", "SOFT DRINKS COLA"]) == ["… COLA", "… COLA"], "something is left of each"
    assert told_apart(["SOFT DRINKS COLA"]) == ["SOFT DRINKS COLA"]


def test_a_tie_and_a_page_of_one_are_told_as_such() -> None:
    one = candidate("a" * 100, [1.0], [0.5])
    assert why([one, one]).count("…") == 2 and "next to nothing" in why([one, one])
    assert "nothing stands below" in why([one])
