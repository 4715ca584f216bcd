"""The command line of a benchmark that has no profile: flags alone."""

from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from transformers import HfArgumentParser

from prectr.shared.errors import PrectrError

T = TypeVar("T")


def read_arguments(arguments: type[T], module: str, argv: Sequence[str]) -> T:
    """An instance of the dataclass `arguments` from the flags of `python -m <module>`.

    Raises:
        PrectrError: an unknown flag, a value of the wrong type, or what the dataclass itself refuses.
    """
    parser = HfArgumentParser(cast(Any, arguments), prog=f"python -m {module}", allow_abbrev=False, exit_on_error=False)
    try:
        (filled, unknown) = parser.parse_args_into_dataclasses(
            list(argv), return_remaining_strings=True, look_for_args_file=False
        )
    except ArgumentError as error:
        raise PrectrError(f"command line: {error}.") from None
    if unknown:
        raise PrectrError(f"command line: unknown flag {unknown[0]!r}; --help lists them.")
    return filled
