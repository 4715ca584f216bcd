"""What the terminal and the log file show."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from prectr.shared.run import console


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, "–"),
        (True, "True"),
        (1234567, "1,234,567"),
        (np.int64(1234), "1,234"),
        (0.12345678, "0.1235"),
        (2.0, "2.0000"),
        (np.float32(0.5), "0.5000"),
        ("12 [b]", "12 [b]"),
        ([1], "[1]"),
        (float("nan"), "–"),
        (np.float32("inf"), "–"),
        ("a\x1b[2Jb", "a\\u001b[2Jb"),
    ],
)
def test_cells(value: object, cell: str) -> None:
    assert console.format_cell(value) == cell


def test_a_table_shows_all_it_is_given(shown: io.StringIO) -> None:
    console.table("Ranker", ["system", "AUC"], [["ours [new]", 0.91234], ["trees", None]], caption="test weeks")
    for text in ("Ranker", "system", "AUC", "ours [new]", "0.9123", "trees", "–", "test weeks"):
        assert text in shown.getvalue()


def test_a_table_that_is_too_wide_breaks_headers_before_names(
    shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.console, "width", 66)
    columns = ["input", "PSI", "shift of the mean", "outside training"]
    console.table("Drift", columns, [["user_match_category_clicks", "0.1 !!", "+0.4", "0.0%"]])
    lines = shown.getvalue().splitlines()
    assert any("user_match_category_clicks" in line for line in lines) and max(map(len, lines)) <= 66
    assert not any("shift of the mean" in line for line in lines)


def test_progress_hands_on_every_element(shown: io.StringIO) -> None:
    assert list(console.progress(range(5), "encoding")) == [0, 1, 2, 3, 4]
    assert list(console.progress((letter for letter in "ab"), "reading", unit="files")) == ["a", "b"]
    assert "encoding: 5 batches in" in shown.getvalue()
    assert "reading: 2 files in" in shown.getvalue()


def test_a_log_gets_rate_and_time_left(shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 40.0, 50.0])
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with console.progress_bar("labelling", total=1000, unit="pairs") as advance:
        advance(100)
        advance(300)
    assert shown.getvalue().splitlines() == [
        "labelling: 400/1,000 pairs, 10.0 pairs/s, 60 s left",
        "labelling: 400 pairs in 50.0 s",
    ]


def test_a_terminal_gets_a_bar_with_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=stream, width=120, force_terminal=True))
    monkeypatch.setattr(console, "_shows_progress", True)
    with console.progress_bar("labelling", total=4, unit="pairs") as advance:
        advance(2)
        advance(2)
    assert "4/4" in stream.getvalue() and "pairs/s" in stream.getvalue()


def test_a_library_says_nothing_of_its_progress_until_a_command_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=stream, width=120))
    monkeypatch.setattr(console, "_shows_progress", False)
    assert list(console.progress("ab", "reading")) == ["a", "b"]
    assert stream.getvalue() == ""
    with console.show_progress():
        assert list(console.progress("ab", "reading")) == ["a", "b"]
    assert "reading: 2 batches" in stream.getvalue()
    shown = stream.getvalue()
    assert list(console.progress("ab", "reading")) == ["a", "b"] and stream.getvalue() == shown


HOSTILE = {
    "[/x] [NEW] [bold]sale[/bold] :smile:": "[/x] [NEW] [bold]sale[/bold] :smile:",
    "shoe\x1b[2J\x1b]0;title\x07": "shoe\\u001b[2J\\u001b]0;title\\u0007",
    "over\rwritten\x08": "over\\u000dwritten\\u0008",
    "\u202eevil\u2066": "\\u202eevil\\u2066",
    "half \ud83d": "half \\ud83d",
    "\x9b31mred\x7f": "\\u009b31mred\\u007f",
    "line\u2028end": "line\\u2028end",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_data_are_shown_and_obeyed_by_no_terminal(text: str) -> None:
    stream = io.StringIO()
    plain = console.PlainConsole(file=stream, width=200, force_terminal=True, color_system=None)
    plain.print(f"Next: {text}", highlight=False)
    assert stream.getvalue() == f"Next: {HOSTILE[text]}\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_tables_texts_are_data(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    plain = console.PlainConsole(file=stream, width=300, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "console", plain)
    console.table(text, [text, "b"], [[text, 1]], text)
    assert stream.getvalue().count(HOSTILE[text]) == 4


def test_letters_of_every_script_stay_as_they_are() -> None:
    text = "crème 牛奶 حليب 🥛👩\u200d🍳 हिन्दी\u200c tab\tline\n"
    assert console.visible(text) == text
