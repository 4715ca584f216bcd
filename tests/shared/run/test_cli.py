"""Exit codes and what the user reads."""

import sys

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main


def leave(main: object, monkeypatch: pytest.MonkeyPatch, *argv: str) -> object:
    monkeypatch.setattr(sys, "argv", ["prectr", *argv])
    with pytest.raises(SystemExit) as stop:
        run_main(main)  # type: ignore[arg-type]
    return stop.value.code


def raising(error: BaseException) -> object:
    def main(argv: list[str]) -> None:
        raise error

    return main


def test_main_gets_the_arguments_and_leaves_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    assert leave(seen.extend, monkeypatch, "run", "--seed", "1") == 0
    assert seen == ["run", "--seed", "1"]


@pytest.mark.parametrize(
    "error", [PrectrError("items.parquet: no such file."), SystemExit("items.parquet: no such file.")]
)
def test_a_failure_is_one_sentence_on_stderr(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(raising(error), monkeypatch) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "error: items.parquet: no such file.\n")


def test_a_missing_extra_is_named_and_a_missing_module_of_ours_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    assert leave(raising(absent), monkeypatch) == 2
    assert capsys.readouterr().err == "error: lightgbm is not installed: run `pip install 'prectr[train]'`.\n"
    with pytest.raises(ModuleNotFoundError):
        run_main(raising(ModuleNotFoundError("No module named 'prectr.rnk'", name="prectr.rnk")))  # type: ignore[arg-type]


def test_help_and_interruption_keep_their_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python3.11", "-X", "dev", "-m", "rank", "run", "--name", "a shop"])
    assert leave(raising(SystemExit(0)), monkeypatch) == 0
    assert leave(raising(KeyboardInterrupt()), monkeypatch) == 130
    said = "Interrupted: run the same command again (python -m rank run --name 'a shop')"
    assert capsys.readouterr().err.startswith(said)


def test_what_the_console_script_was_told_can_be_typed_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["prectr rank", "run", "--name", "a shop"])  # as prectr.__main__ leaves it
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "orig_argv", ["python3.11", "/usr/bin/prectr", "rank", "run", "--name", "a shop"])
    assert leave(interrupted, monkeypatch) == 130
    said = "Interrupted: run the same command again (prectr rank run --name 'a shop')"
    assert capsys.readouterr().err.startswith(said)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prectr"])
    with pytest.raises(ZeroDivisionError):
        run_main(raising(ZeroDivisionError()))  # type: ignore[arg-type]


def test_a_launcher_that_starts_one_process_where_several_were_asked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What `accelerate launch --cpu --num_processes 2` puts into the environment of the one process it starts.
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert leave(lambda argv: None, monkeypatch) == 0
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert leave(lambda argv: None, monkeypatch) == 2
    assert "write --multi_gpu instead of --cpu" in capsys.readouterr().err
