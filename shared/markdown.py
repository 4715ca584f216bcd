"""Texts of data in Markdown: a level's name or a shop's remark is printed in a card, and makes no heading, link, tag or
list in it. [CommonMark: a backslash before punctuation is that punctuation]
"""

import re

from prectr.shared.run.console import visible

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&!@$]|(?<=www)\.|:(?=//)|^[-+=]", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\d+)([.)])(?= |$)")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def inline(text: str) -> str:
    """`text` as one line of Markdown that shows it as it is, controls and marks of direction as escapes.

    Example:
        >>> inline("<b>exact</b> [x](http://y)\\n# up")
        '&lt;b&gt;exact&lt;/b&gt; \\\\[x\\\\](http\\\\://y) \\\\# up'
    """

    def shown(match: re.Match[str]) -> str:
        return _ENTITIES.get(match[0], f"\\{match[0]}")

    return _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(shown, one_line(text)))


def code(text: str) -> str:
    """`text` between backticks: one line, its own backticks as apostrophes."""
    return f"`{one_line(text).replace('`', chr(39)) or ' '}`"


def one_line(text: str) -> str:
    """`text` with runs of blanks and line ends as one blank, and all that is not seen as an escape."""
    return visible(" ".join(str(text).split()))
