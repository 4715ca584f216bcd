"""Random numbers that depend on what they are drawn *for*, not on how many were drawn before.

A shop's page must not change because somebody buys something next month. With a stream of random numbers it would: one
more row shifts every later draw. Here a draw is a hash of the seed, a name and the ids of the things concerned.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, name: str, *keys: np.ndarray | int) -> np.ndarray:
    """Uniform numbers in (0, 1), one for each combination of the integer arrays `keys`, which broadcast.

    Example:
        >>> first = uniform(0, "noise", np.array([3, 4]))
        >>> bool((first[1:] == uniform(0, "noise", np.array([4]))).all())
        True
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    state = np.frombuffer(digest, np.uint64, 1)
    for key in keys:
        state = _mix(state ^ (np.asarray(key, np.int64).view(np.uint64) * _GOLDEN))
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def gumbel(seed: int, name: str, *keys: np.ndarray | int) -> np.ndarray:
    """Standard Gumbel noise: adding it to log weights and taking the largest draws in proportion to the weights."""
    return -np.log(-np.log(uniform(seed, name, *keys)))


def choose_smallest(count: int | None, draws: np.ndarray) -> np.ndarray:
    """Row numbers, ascending, of the `count` smallest draws (None: all): a sample that a later row cannot reshuffle."""
    if count is None or count >= len(draws):
        return np.arange(len(draws))
    return np.sort(np.argpartition(draws, count)[:count]) if count else np.empty(0, np.int64)


def _mix(state: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: every input bit changes half of the output bits."""
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
