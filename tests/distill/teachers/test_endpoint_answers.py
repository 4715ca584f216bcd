"""What an answer says of the levels: listed ones exactly, others by a bound, and nothing that was not said."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from prectr.distill.teachers.endpoint import EndpointTeacher
from prectr.distill.teachers.endpoint_answers import listed_tokens, read_answer, read_levels
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError
from tests.distill.teachers.endpoint_server import (
    PAIRS,
    WORDS,
    EndpointServer,
    Reply,
    chat_completion,
    completion,
    for_pair,
    teacher_at,
)

LOG_PROBS = st.floats(-50, 0)


@given(st.dictionaries(st.sampled_from([*WORDS, "red", "\n", " the"]), LOG_PROBS, min_size=1), st.booleans())
def test_levels_are_listed_or_bounded_and_never_made_up(listed: dict[str, float], are_guessed: bool) -> None:
    levels = read_levels(listed, WORDS, are_guessed)
    known = [word in listed for word in WORDS]
    if sum(known) < 2:
        assert levels is None
        return
    assert levels is not None
    log_odds, censored = levels
    assert (~censored).tolist() == known
    assert np.exp(log_odds).sum() == pytest.approx(1, abs=1e-5)
    first = known.index(True)
    for level, word in enumerate(WORDS):
        difference = listed.get(word, min(listed.values())) - listed[WORDS[first]]
        assert log_odds[level] - log_odds[first] == pytest.approx(difference, abs=1e-4)


def test_a_listed_beginning_bounds_a_guessed_word() -> None:
    # "ex" may be all there is of the word in a vocabulary without "exact": it is as probable as that at most.
    listed = {"none": -1.0, "weak": -2.0, "ex": -0.5, "e": -3.0, "red": -8.0}
    levels = read_levels(listed, WORDS, are_guessed=True)
    assert levels is not None and levels[1].tolist() == [False, False, True, True]
    np.testing.assert_allclose(levels[0], log_softmax([-1.0, -2.0, -8.0, -0.5]), rtol=1e-6)


def test_both_forms_of_logprobs_are_read() -> None:
    listed = {" none": -1.0, "\n": -2.0}
    as_dict: Any = completion(listed).body
    as_list: Any = chat_completion(listed).body
    assert listed_tokens(as_dict["choices"][0], strip=False) == listed
    assert listed_tokens(as_list["choices"][0], strip=False) == listed
    twice: Any = chat_completion({" none": -1.0, "none": -4.0}).body
    assert listed_tokens(twice["choices"][0], strip=True) == {"none": -1.0}


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}])
def test_an_answer_that_does_not_count_its_tokens_cost_none(usage: Any) -> None:
    assert read_answer(json.dumps({"choices": [{"text": "x"}], "usage": usage})) == ({"text": "x"}, 0)


def test_a_level_beyond_the_list_is_censored_at_the_smallest_listed() -> None:
    listed = {" exact": -0.5, " none": -1.5, " red": -4.0, " close": -9999.0}
    with EndpointServer(for_pair(2, completion(listed))) as server:
        judgement = teacher_at(server).score(PAIRS)
    assert judgement.censored is not None
    assert judgement.censored.sum(0).tolist() == [0, 1, 1, 0] and judgement.censored[2].tolist() == [0, 1, 1, 0]
    np.testing.assert_allclose(judgement.log_odds[2], log_softmax([-1.5, -4.0, -4.0, -0.5]), rtol=1e-6)


def test_fewer_than_two_listed_levels_are_no_judgement(capsys: pytest.CaptureFixture[str]) -> None:
    with EndpointServer(for_pair(2, completion({" exact": -0.1, " red": -3.0}))) as server:
        judgement = teacher_at(server).score(PAIRS)
    assert np.isnan(judgement.log_odds).any(1).tolist() == [row == 2 for row in range(len(PAIRS))]
    assert "1 × fewer than two of the level words are among the 20 listed tokens" in capsys.readouterr().out


def test_a_word_of_several_tokens_is_known_by_its_first() -> None:
    def script(body: dict[str, Any]) -> Reply:
        if " ".join([body["prompt"].split()[0]] * 8) == body["prompt"]:
            return completion({f" {body['prompt'][:2]}": -0.1, f" {body['prompt'][:1]}": -5.0})
        return completion({" no": -1.0, " we": -2.0, " cl": -3.0, " ex": -4.0, " n": -0.1})

    with EndpointServer() as server:
        server.answer = script  # type: ignore[method-assign]
        judgement = teacher_at(server).score(PAIRS[:1])
    np.testing.assert_allclose(judgement.log_odds[0], log_softmax([-1.0, -2.0, -3.0, -4.0]), rtol=1e-6)


@pytest.mark.parametrize("space", ["▁", "Ġ", ""])
def test_spaces_may_be_shown_in_other_ways(space: str) -> None:
    shown = {f"{space}{word}": -float(level + 1) for level, word in enumerate(WORDS)}
    with EndpointServer() as server:
        server.answer = lambda body: completion(  # type: ignore[method-assign]
            shown if body["prompt"].startswith("Search") else {f"{space}{body['prompt'].split()[0]}": -0.1}
        )
        judgement = teacher_at(server).score(PAIRS[:1])
    np.testing.assert_allclose(judgement.log_odds[0], log_softmax([-1.0, -2.0, -3.0, -4.0]), rtol=1e-6)


def test_two_words_of_one_first_token_are_refused() -> None:
    # This server's vocabulary has no word longer than two letters.
    with EndpointServer() as server:
        server.answer = lambda body: completion({f" {body['prompt'][:2]}": -0.1, "\n": -2.0})  # type: ignore[method-assign]
        alike = Prompt("", " ", "", ("exact", "excellent"))
        with pytest.raises(PrectrError, match=r"same token of m \(exact → ' ex', excellent → ' ex'\); choose others"):
            EndpointTeacher(server.url, alike, query_tokens=8, item_tokens=8).score(PAIRS)


def test_a_word_whose_first_token_stays_unknown_is_refused() -> None:
    with EndpointServer() as server:
        server.answer = lambda body: completion({"\n": -0.1, " the": -2.0})  # type: ignore[method-assign]
        with pytest.raises(PrectrError, match="m does not go on with 'none'"):
            teacher_at(server).score(PAIRS)


def test_words_the_model_never_says_stop_the_job() -> None:
    with EndpointServer(lambda prompt, before: completion({" red": -0.1, " exact": -3.0})) as server:
        teacher = teacher_at(server)
        with pytest.raises(
            PrectrError, match=r"32 of 32 answers .*none, weak, close, exact.*raise endpoint_top_logprobs"
        ):
            for start in range(0, 64, 16):
                teacher.score([(f"lamp {row}", "lamp") for row in range(start, start + 16)])
