"""The front door of a stage: what it lists, what it refuses, and what it makes of a command line."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.verbs import Stage, Verb


@dataclass
class Learning:
    """How it learns."""

    epochs: int = field(default=1, metadata={"help": "passes"})


@dataclass
class Where:
    """Where it lies."""

    name: str = "shop"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "default.yaml").write_text("name: mine\nepochs: 3\n")
    verbs = {"run": Verb("do it", (Learning, Where)), "table": Verb("show it", (Where,))}
    return Stage("rank", "A stage.", verbs | {"check": Verb("check it", (Where,), False, "FOLDER")}, tmp_path)


def test_each_verb_gets_its_settings_from_the_same_profile(stage: Stage) -> None:
    command = stage.read(["run", "--epochs", "5"])
    assert (command.verb, command[Learning], command[Where]) == ("run", Learning(5), Where("mine"))
    assert command.values == {"epochs": 5, "name": "mine"}
    assert command.line == "python -m rank run --epochs 5"
    assert stage.read(["table"]).settings == {Where: Where("mine")}
    assert stage.read(["check"]).values == {"name": "shop"}, "a verb without profiles"


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_the_verbs_are_listed_a_line_each(stage: Stage, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        stage.read(argv)
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "A stage." in lines and [line.split() for line in lines if line.startswith("  ")] == [
        ["run", "do", "it"],
        ["table", "show", "it"],
        ["check", "FOLDER", "check", "it"],
    ]


def test_what_is_wrong_is_one_sentence(stage: Stage) -> None:
    with pytest.raises(PrectrError, match="rank tabel: unknown verb; did you mean 'table'"):
        stage.read(["tabel"])
    with pytest.raises(PrectrError, match="--epochs is a setting of other commands"):
        stage.read(["table", "--epochs", "5"])
    with pytest.raises(PrectrError, match="unknown flag '--profile'"):
        stage.read(["check", "--profile", "smoke"])


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("prectr rank", "prectr rank"),
        ("python -m prectr rank", "python -m prectr rank"),
        ("/somewhere/rank/__main__.py", "python -m rank"),
    ],
)
def test_messages_call_the_program_as_the_user_did(
    stage: Stage, called: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    with pytest.raises(PrectrError, match=f"^{shown} x: unknown verb"):
        stage.read(["x"])
    assert stage.read(["table"]).line == f"{shown} table"
