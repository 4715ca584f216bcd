"""Nothing that data hold means anything to a model card."""

import html

import pytest

from prectr.shared.markdown import escaped, quoted

HOSTILE = [
    "<script>alert(1)</script>",
    "exact\n# Heading\n- a list",
    "[click](http://evil)",
    "![img](x) **bold** _it_ ~~no~~",
    "a | b | c\r\n|---|",
    "```\nrm -rf\n```",
    "---\nlicense: mit\n---",
    "{{ metrics }} {% raw %}",
    "&lt;b&gt; $x$",
    "\u202egnp.exe\x1b[2J",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_one_line_without_meaning(text: str) -> None:
    found = escaped(text)
    assert not set("<>[]()`*_|{}~!$\n\r\x1b\u202e") & set(found)
    assert "#" not in found.replace("&#", "")
    assert html.unescape(found).split()[0][0] in text or found.startswith("&#")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_in_backticks_cannot_leave_them(text: str) -> None:
    assert not set("`\n\r\x1b\u202e") & set(quoted(text))


@pytest.mark.parametrize("text", ["exact", "牛奶 milk", "crème brûlée 2 l", "a-b, c; d: e."])
def test_what_means_nothing_stays(text: str) -> None:
    assert escaped(text) == text == quoted(text)
