"""Texts of data in a model card: shown as they are, whatever Markdown, HTML or a table would make of them."""

import re

from prectr.shared.run.console import visible

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$])")
_BREAKS = re.compile(r"\s+")


def escaped(text: object) -> str:
    """`text` on one line, with every character that means something to Markdown or HTML as an entity of HTML.

    Example:
        >>> escaped("<b>[a](x)")
        '&#60;b&#62;&#91;a&#93;&#40;x&#41;'
    """
    line = visible(_BREAKS.sub(" ", str(text)).strip())
    return _MEANS_SOMETHING.sub(lambda match: f"&#{ord(match[1])};", line)


def quoted(text: object) -> str:
    """`text` inside a code block or between backticks: on one line, and without any backtick."""
    return visible(_BREAKS.sub(" ", str(text)).strip()).replace("`", "'")
