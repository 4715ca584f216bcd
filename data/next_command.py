"""What to type when tables are there: the same after a conversion, a build and a check."""

from __future__ import annotations

from prectr.shared.default_models import CAUSAL
from prectr.shared.run.console import console

BUILT = {
    "journey": "",
    "journey-full": " PROFILE=full",
    "toy": " PROFILE=smoke",
    "listings": " DATA=listings",
    "listings-full": " PROFILE=full DATA=listings",
    "toy-listings": " PROFILE=smoke DATA=listings",
}
"""What `make` has to be told of the data sets that it builds; all others it knows by `DATA`."""

SMALL = 100_000
"""Impressions, or pairs where there are none, up to which everything is tried in minutes: set by us, not measured."""


def show_next(name: str, gold_pairs: int, pairs: int, impressions: int) -> None:
    """Print the commands, a line each.

    Args:
        name: of the data set. gold_pairs: those of split 'train' with a level.
    """
    for number, command in enumerate(next_commands(name, gold_pairs, pairs, impressions)):
        # To be copied, so never wrapped.
        console.print(f"{'      ' if number else 'Next: '}{command}", highlight=False, markup=False, soft_wrap=True)


def next_commands(name: str, gold_pairs: int, pairs: int, impressions: int) -> list[str]:
    """The commands in their order: of a small data set of one's own, first one that only tries it."""
    if name in BUILT:
        return [f"make distill{BUILT[name]}"]
    command = f"make {'rank' if impressions else 'distill'} DATA={name}"
    # Without gold pairs nothing can be taught to judge.
    whole = command if gold_pairs else f"{command} TEACHER={CAUSAL}"
    if (impressions or pairs) > SMALL:
        return [whole]
    return [f"{command} PROFILE=smoke  # tries it in minutes, judges nothing", whole]
