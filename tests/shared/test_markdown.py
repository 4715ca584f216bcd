"""Whatever a text holds, Markdown shows it and makes nothing of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from prectr.shared.markdown import code, inline, one_line
from prectr.shared.run.console import UNSEEN

TEXTS = [
    "irrelevant",
    "level 1.5",
    "# heading",
    "a # b",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "=== b",
    "--- b",
    "> quote",
    "*em* _em_ **strong** __strong__",
    "`code`",
    "```",
    "~~~ fence",
    "~~struck~~",
    "[x](http://evil.example)",
    "[x]: http://evil",
    "![i](http://evil.example/i.png)",
    "<http://evil.example>",
    "<script>alert(1)</script>",
    "<b>",
    "&amp; &#35; &",
    "a | b",
    "a\\b \\# c",
    "two\n\n# lines",
    "\ttab",
    "a\x1b[2Jb",
    "pay\u202egnp",
    "www.evil.example",
    "$x$",
    "@someone",
    "{{ x }}",
]


def parsed(source: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    return [each for token in tokens for each in [token, *(token.children or [])]]


def text_of(tokens: list[Token]) -> str:
    return "".join(each.content for each in tokens if each.type in ("text", "text_special"))


@pytest.mark.parametrize("before", ["", "levels: ", "- "])
@pytest.mark.parametrize("text", TEXTS)
def test_a_line_is_shown_as_it_is(text: str, before: str) -> None:
    tokens = parsed(before + inline(text))
    made = {each.type for each in tokens} - {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert made == (
        set() if before != "- " else {"bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"}
    )
    assert text_of(tokens) == before.removeprefix("- ") + one_line(text)


@given(st.text(max_size=40))
def test_any_text_is_one_paragraph_of_text(text: str) -> None:
    tokens = parsed(f"levels: {inline(text)} end")
    assert [each.type for each in tokens if not each.type.startswith("text")] == [
        "paragraph_open",
        "inline",
        "paragraph_close",
    ]
    assert not UNSEEN.search(inline(text).replace("\n", "")) and "\n" not in inline(text)


@pytest.mark.parametrize("text", TEXTS)
def test_code_is_one_piece_of_code(text: str) -> None:
    found = [each for each in parsed(f"from {code(text)}.") if each.type == "code_inline"]
    assert [each.content for each in found] == [one_line(text).replace("`", "'")]


def test_a_cell_stays_a_cell() -> None:
    tokens = parsed(f"| a | b |\n|---|---|\n| {inline('x | y')} | 1 |")
    assert len([each for each in tokens if each.type == "td_open"]) == 2


def test_addresses_are_no_links() -> None:
    assert inline("http://a.b www.c.d") == "http\\://a.b www\\.c.d"
