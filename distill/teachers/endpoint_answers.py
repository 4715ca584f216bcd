"""What a server's answer says of the levels: the listed tokens, and from these log-odds, exact or bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax

from prectr.shared.strict_json import loads

UNLIKELY = -9999.0
"""What servers write for probability 0, or for a token they know nothing of."""

Levels = tuple[np.ndarray, np.ndarray]
"""log-odds [K], censored [K] bool"""


MOST_TOKENS = 10**9
"""Of one answer; a server that reports more, fewer than none, or no number reports nothing."""

ROUNDING = 1e-3
"""A log-probability may be so far above 0."""

MOST_SHOWN = 200
"""Characters of what a server says that a message repeats."""


class NoLogProbabilitiesError(Exception):
    """What is listed as log-probabilities cannot be any; the message completes "because …"."""


def read_answer(answer: str) -> tuple[dict[str, Any], int]:
    """The one choice of a completion, and the tokens it cost (0 if not told, or told as no count).

    Raises:
        ValueError, TypeError, LookupError, AttributeError: a garbled answer.
    """
    content = loads(answer)
    usage = content.get("usage")
    used = usage.get("total_tokens") if isinstance(usage, dict) else None
    is_number = isinstance(used, int | float) and not isinstance(used, bool)
    return content["choices"][0], int(used or 0) if is_number and 0 <= (used or 0) <= MOST_TOKENS else 0


def printable(text: object, secret: str = "") -> str:
    """What a server says, as data for a message: one line, without `secret`, what does not print as escapes, and not
    all of it if it is long.
    """
    said = str(text)
    for spelled in {secret, json.dumps(secret)[1:-1]} if secret else ():
        said = said.replace(spelled, "***")
    said = re.sub(r"\s+", " ", said)
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in said)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"


def listed_tokens(choice: Mapping[str, Any], strip: bool) -> dict[str, float]:
    """The tokens listed for the first position; empty if the server lists none.

    vLLM and OpenAI's /completions write {token: log-probability}, llama.cpp and all chats a list of objects. Some show
    the vocabulary's own sign for a space, which becomes one. `strip`: leave spaces in front out, of two tokens that are
    then alike keep the more probable.

    Raises:
        NoLogProbabilitiesError: a value above 0, or none of a number's.
        ValueError, TypeError, LookupError, AttributeError: a garbled answer.
    """
    logprobs = choice.get("logprobs") or {}
    if content := logprobs.get("content"):
        entries = [(one["token"], one["logprob"]) for one in content[0]["top_logprobs"]]
    else:
        entries = list((logprobs.get("top_logprobs") or [{}])[0].items())
    listed: dict[str, float] = {}
    for token, value in entries:
        token = re.sub("^[▁Ġ]", " ", token)
        token = token.lstrip(" ") if strip else token
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{value!r} is no number")
        # Whole numbers of any length are JSON; only those in reach become floats.
        if value != value or value > ROUNDING:
            shown = printable(f"{value:g}" if isinstance(value, float) else value)
            raise NoLogProbabilitiesError(
                f"it lists {shown} as the log-probability of {printable(token)!r}, and none is above 0"
            )
        if value > UNLIKELY:
            listed[token] = max(min(float(value), 0.0), listed.get(token, -np.inf))
    return listed


def read_levels(listed: Mapping[str, float], level_tokens: Sequence[str], are_guessed: bool) -> Levels | None:
    """log-odds [K] and which are censored [K], from the listed tokens; None if fewer than two levels are listed.

    A level that is not listed gets the smallest log-probability listed and is censored. log_odds are a log-softmax over
    the K values, so differences between listed levels are exact, and a censored level's difference from a listed one is
    at most what is given.

    `are_guessed`: a level's token may be a part of what is given in `level_tokens`. A listed beginning of it then
    raises the bound, since the word may go on from there.
    """
    smallest = min(listed.values())
    values, censored = np.empty(len(level_tokens)), np.zeros(len(level_tokens), bool)
    for level, token in enumerate(level_tokens):
        censored[level] = token not in listed
        begun = [listed[part] for part in listed if are_guessed and part and token.startswith(part)]
        values[level] = max([smallest, *begun]) if censored[level] else listed[token]
    if (~censored).sum() < 2:
        return None
    return log_softmax(values).astype(np.float32), censored
