"""How `--help` looks: a line for each setting where it fits, with the kind of its value and its default."""

from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from itertools import groupby
from textwrap import fill
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from jsonargparse import ActionYesNo

HELP_AT = 34
"""Column at which the explanations begin; a longer flag has a line of its own."""

SHORT = 24
"""Characters of choices that stand beside the flag; more are told in the explanation."""

_SHOWN_AS = {int: "N", float: "X", str: "TEXT"}


def value_of(hint: Any) -> tuple[str, str]:
    """How a flag's value is shown, and what has to be said of it besides."""
    kinds = [
        kind for kind in (get_args(hint) if get_origin(hint) not in (None, Literal) else [hint]) if kind is not NoneType
    ]
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        choices = [str(choice) for choice in get_args(kinds[0])]
        joined = "|".join(choices)
        return (joined, "") if len(joined) <= SHORT else ("NAME", f"; one of {', '.join(choices)}")
    return "|".join(dict.fromkeys(_SHOWN_AS.get(kind, "TEXT") for kind in kinds)), ""


class Help(RawDescriptionHelpFormatter):
    """Descriptions with their examples as they were written, and defaults in brackets."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **{**settings, "max_help_position": HELP_AT})

    def _format_action_invocation(self, action: Action) -> str:
        if isinstance(action, ActionYesNo):
            return f"--[no_]{action.dest}"
        if action.option_strings and action.nargs == "+":
            return f"{action.option_strings[0]} {action.metavar} …"
        return super()._format_action_invocation(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Prose is filled anew; lines that are indented, such as examples, stay as they were written."""
        shown: list[str] = []
        for stays, group in groupby(text.splitlines(), lambda line: not line.strip() or line.startswith(" ")):
            lines = list(group)
            shown += lines if stays else fill(" ".join(lines), width).splitlines()
        return "\n".join(indent + line for line in shown)

    def _expand_help(self, action: Action) -> str:
        """Taken as it is: a per cent sign means one."""
        default, told = action.default, action.help or ""
        if default is SUPPRESS or default is None or default in ("", []) or "default:" in told:
            return told
        if isinstance(default, bool):
            return f"{told} [{str(default).lower()}]"
        return f"{told} [{' '.join(map(str, default)) if isinstance(default, list) else default}]"
