"""The front door of a stage: its verbs, what each is for, and the settings that each takes.

Nothing is imported here, nor by a stage's `__main__`, that takes long: help and refusals come at once, and what does
the work is imported when the arguments are right.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from prectr.shared.errors import PrectrError
from prectr.shared.run.provenance import shareable_command

T = TypeVar("T")


@dataclass(frozen=True)
class Verb:
    """One command of a stage.

    Args:
        summary: what it does, in a line.
        arguments: the dataclasses of its settings, its own first.
        takes_profile: whether `--profile` and `--config` fill them.
        takes: what stands behind the verb in the list of verbs.
    """

    summary: str
    arguments: tuple[type[Any], ...] = ()
    takes_profile: bool = True
    takes: str = ""


@dataclass(frozen=True)
class Command:
    """What the user asked for: a verb, and its settings by dataclass."""

    verb: str
    settings: Mapping[type[Any], Any]
    line: str
    """As it was typed, but for where on this machine things lie: metrics and cards quote it."""

    def __getitem__(self, arguments: type[T]) -> T:
        """The settings of one dataclass."""
        return cast(T, self.settings[arguments])

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {name: value for each in self.settings.values() for name, value in vars(each).items()}


@dataclass(frozen=True)
class Stage:
    """A stage's name, what it is for, its verbs, and the folder of its profiles."""

    name: str
    summary: str
    verbs: Mapping[str, Verb]
    configs: Path

    def read(self, argv: Sequence[str]) -> Command:
        """The command that `argv`, without the program's name, asks for.

        Raises:
            PrectrError: an unknown verb, flag or key, a wrong value, or a setting that is missing; one sentence.
            SystemExit: help was asked for, and has been given.
        """
        self.verb(argv)
        word, *flags = argv
        verb = self.verbs[word]
        from prectr.shared.run.settings import parse_arguments

        instances = parse_arguments(
            verb.arguments,
            self.configs if verb.takes_profile else None,
            flags,
            program=f"{program(self.name)} {word}",
            description=f"{verb.summary[:1].upper()}{verb.summary[1:]}.",
            others=[cls for other in self.verbs.values() for cls in other.arguments],
        )
        line = shareable_command(program(self.name), argv)
        return Command(word, {type(each): each for each in instances}, line)

    def verb(self, argv: Sequence[str]) -> str:
        """The verb that `argv` begins with.

        Raises:
            PrectrError: there is no such verb.
            SystemExit: there is none, or help was asked for: the verbs have been listed.
        """
        word = argv[0] if argv else "--help"
        if word in ("-h", "--help"):
            self._list_verbs()
        if word not in self.verbs:
            closest = difflib.get_close_matches(word, self.verbs, n=1, cutoff=0.0)[0]
            *most, last = self.verbs
            raise PrectrError(
                f"{program(self.name)} {word}: unknown verb; did you mean {closest!r}? There are {', '.join(most)} and "
                f"{last}."
            )
        return word

    def _list_verbs(self) -> NoReturn:
        shown = {f"{name} {verb.takes}".strip(): verb.summary for name, verb in self.verbs.items()}
        width = max(map(len, shown)) + 2
        print(f"usage: {program(self.name)} VERB [--SETTING VALUE]…\n\n{self.summary}\n")
        print("\n".join(f"  {name:{width}}{summary}" for name, summary in shown.items()))
        print(f"\nThe settings of a verb: {program(self.name)} VERB --help")
        raise SystemExit(0)


def program(stage: str) -> str:
    """How the user called the stage: `python -m rank`, or `prectr rank`."""
    called = sys.argv[0]
    return called if called.endswith(f"prectr {stage}") else f"python -m {stage}"
