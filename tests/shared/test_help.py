"""`--help`: a line for each setting, that fits the terminal, with the kind of its value and its default."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from prectr.shared.help import value_of
from prectr.shared.run.settings import parse_arguments


@dataclass
class Shown:
    """One of each kind. And more."""

    rate: float = field(default=0.5, metadata={"help": "of 100 %"})
    sizes: list[int] = field(default_factory=lambda: [4, 2], metadata={"help": "of layers"})
    folder: str | None = field(default=None, metadata={"help": "where; default: here"})
    fast: bool = field(default=True, metadata={"help": "whether it is", "group": "Apart"})
    unit: str = field(
        default="seconds", metadata={"help": "of times", "choices": ["seconds", "milliseconds", "microseconds"]}
    )


def shown(capsys: pytest.CaptureFixture[str], **settings: str) -> str:
    with pytest.raises(SystemExit):
        parse_arguments([Shown], None, ["--help"], program="python -m x", **settings)
    return capsys.readouterr().out


def test_a_setting_is_a_line_with_its_kind_and_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = [" ".join(line.split()) for line in shown(capsys).splitlines()]
    for line in (
        "--rate X of 100 % [0.5]",
        "--sizes N … of layers [4 2]",
        "--folder TEXT where; default: here",
        "--[no_]fast whether it is [true]",
        "--unit NAME of times; one of seconds, milliseconds, microseconds [seconds]",
    ):
        assert line in lines, lines
    assert lines.index("Apart:") > lines.index("One of each kind. And more:")


def test_prose_is_filled_and_examples_stay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    example = "    " + "x" * 90
    text = shown(capsys, description=f"{'A sentence of prose. ' * 8}\nAnd more.\n\n{example}\nThe end.")
    lines = text.splitlines()
    assert example in lines and "The end." in lines
    assert max(len(line) for line in lines if line != example) <= 60


def test_how_values_are_shown() -> None:
    assert [value_of(hint) for hint in (int, float, str, int | None)] == [("N", ""), ("X", ""), ("TEXT", ""), ("N", "")]
    assert value_of(Literal["a", "b"]) == ("a|b", "")
    assert value_of(Literal["a" * 20, "b" * 20]) == ("NAME", f"; one of {'a' * 20}, {'b' * 20}")
