"""The command line of a benchmark that has no profile: flags alone."""

from collections.abc import Sequence
from typing import TypeVar, cast

from prectr.shared.run.settings import parse_arguments

T = TypeVar("T")


def read_arguments(arguments: type[T], module: str, argv: Sequence[str]) -> T:
    """An instance of the dataclass `arguments` from the flags of `python -m <module>`.

    Raises:
        PrectrError: an unknown flag, a value of the wrong type, or what the dataclass itself refuses.
    """
    (filled,) = parse_arguments([arguments], None, argv, program=f"python -m {module}")
    return cast(T, filled)
