"""Whether a run only tries the pipeline: then its figures mean nothing, and whatever shows them says so."""

import re
from collections.abc import Iterable

RANDOM = ("random", "random-cross-encoder")
GENERATED = "toy shop"
"""What a data set says of itself (`reconstructed`) that is no data at all."""

MADE_BY = ("teacher_source", "assistant_source", "init_from")
"""What the metrics.json of an encoder calls the models it was made from."""

MEANS_NOTHING = "TRIAL RUN: these figures mean nothing"


def trial_of(command: str, models: Iterable[str | None], reconstructed: str = "") -> str | None:
    """What makes a run a trial, as a sentence to put before its figures; None: it is none.

    Args:
        command: as it was typed. models: sources of teachers and encoders, several in one as `a,b`.
        reconstructed: what the data set says of what was not observed.

    Example:
        >>> trial_of("python -m rank run --profile smoke", ["random"])
        'TRIAL RUN: these figures mean nothing (profile smoke, a random model for a teacher or encoder).'
    """
    reasons = []
    if re.search(r"--profile[ =]smoke\b|\bPROFILE=smoke\b", command):
        reasons.append("profile smoke")
    if has_random(models):
        reasons.append("a random model for a teacher or encoder")
    if GENERATED in reconstructed:
        reasons.append("generated data")
    return f"{MEANS_NOTHING} ({', '.join(reasons)})." if reasons else None


def has_random(models: Iterable[str | None]) -> bool:
    """Whether one of the sources of teachers and encoders, several in one as `a,b`, is a random model."""
    return any(name.strip() in RANDOM for source in models if source for name in source.split(","))
