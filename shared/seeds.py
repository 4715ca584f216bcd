"""Every random number of the project comes from one seed."""

import hashlib

import numpy as np


def set_seed(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch, for the libraries that draw from them."""
    import transformers  # here, so that the tables can be built without loading torch

    transformers.set_seed(seed)


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and `names` alone: stable across runs, processes and calls in between.

    Example:
        >>> generator(0, "pages", "noise").random() == generator(0, "pages", "noise").random()
        True
    """
    # repr keeps ("a", "b") apart from ("ab",) and "1" apart from 1; Python's own hash() changes with every process.
    digest = hashlib.sha256(repr(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype="<u4").tolist()])
