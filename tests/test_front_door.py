"""Help and refusals come at once: nothing heavy is imported before a command's arguments are right."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from prectr.__main__ import STAGES
from prectr.data.converters.arguments.command import FORMATS, read_conversion
from prectr.shared.run.verbs import Stage

HEAVY = (
    *("torch", "transformers", "datasets", "pyarrow", "pandas", "numpy", "scipy", "sklearn", "duckdb", "lightgbm"),
    *("openai", "peft", "huggingface_hub", "sentence_transformers", "fastapi", "uvicorn", "pydantic"),
)
MOST_LINES = 60
LONG = {"run", "label", "check-teacher"}
"""Verbs with a hundred settings."""
MOST_SECONDS = 1.0
"""Of the processor. It takes less than half a second; a busy machine counts more."""

WATCHED = """
import json, resource, runpy, sys
sys.argv[0] = "prectr"
code = None
try:
    runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
except SystemExit as stop:
    code = stop.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({{
    "code": code or 0, "seconds": used.ru_utime + used.ru_stime,
    "heavy": [name for name in {heavy!r} if name in sys.modules],
}}), file=open({report!r}, "w"))
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended: exit code, what it printed, and the heavy packages it had imported by then."""

    code: int
    out: str
    err: str
    heavy: list[str]
    seconds: float


def ask(module: str, arguments: str, folder: Path) -> Answer:
    """`python -m <module> <arguments>`, in a process of its own and an empty folder."""
    report = folder / "report.json"
    script = WATCHED.format(module=module, heavy=HEAVY, report=str(report))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments.split()], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert report.exists(), done.stderr
    return Answer(out=done.stdout, err=done.stderr, **json.loads(report.read_text()))


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("rank", "", "usage: python -m rank VERB"),
        ("rank", "--help", "score the impressions"),
        ("rank", "score --help", "usage: python -m rank score --impressions IMPRESSIONS --output OUTPUT"),
        ("rank", "serve --help", "usage: python -m rank serve"),
        ("rank", "table --help", "usage: python -m rank table"),
        ("rank", "publish --help", "usage: python -m rank publish"),
        ("distill", "", "usage: python -m distill VERB"),
        ("distill", "publish --help", "usage: python -m distill publish"),
        ("distill", "merge-teacher --help", "usage: python -m distill merge-teacher --output OUTPUT"),
        ("data", "", "  convert FORMAT SOURCE..."),
        ("data", "check --help", "usage: python -m data check FOLDER"),
        ("data", "convert --help", "usage: python -m data convert FORMAT SOURCE..."),
        ("prectr", "", "usage: python -m prectr STAGE VERB"),
        ("prectr", "rank --help", "usage: python -m prectr rank VERB"),
        ("prectr", "rank score --help", "usage: python -m prectr rank score"),
    ],
)
def test_help_is_short_and_comes_at_once(module: str, arguments: str, said: str, tmp_path: Path) -> None:
    answer = ask(module, arguments, tmp_path)
    assert (answer.code, answer.err, answer.heavy) == (0, "", [])
    assert said in answer.out
    assert len(answer.out.splitlines()) <= MOST_LINES
    assert answer.seconds < MOST_SECONDS


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("rank", "scor", "error: python -m rank scor: unknown verb; did you mean 'score'?"),
        ("rank", "score", "error: command line: missing: --impressions IMPRESSIONS, "),
        ("rank", "run --epoch 3", "unknown flag '--epoch'; did you mean '--epochs'?"),
        ("rank", "run --epochs many", "--epochs: found 'many', expected a number"),
        ("rank", "run --epochs 1e30", "epochs: found 1e+30; set a number from 0 to 1,000"),
        ("rank", "run --seed -1", "seed: found -1; set a number from 0 to 4,294,967,295"),
        ("rank", "run --hidden_sizes 64 0", "hidden_sizes: found 0; set a number from 1 to 10,000"),
        ("rank", "run --profile smok", "smok.yaml: no such settings file"),
        ("rank", "run --resting_epochs 1", "flag '--resting_epochs' is called '--frozen_epochs' since 0.2.0"),
        ("rank", "serve --port 70000", "port: found 70000; set a number from 0"),
        ("rank", "table --epochs 1", "--epochs is a setting of other commands"),
        ("distill", "merge-teacher", "error: command line: missing: --output OUTPUT"),
        ("distill", "run --seeds 3", "did you mean '--seed'?"),
        ("distill", "run --label_strategies logd", "label_strategies: there is no 'logd'"),
        ("distill", "label --state_epochs 1", "flag '--state_epochs' is called '--hidden_state_epochs' since 0.2.0"),
        ("data", "build --source journal", "--source: found 'journal', expected one of journey, toy"),
        ("data", "build --households 0", "households: found 0; set a number from 1 to 1,000,000,000"),
        ("data", "validate", "missing: FOLDER, folder of the tables"),
        ("data", "convert tabel", "python -m data convert tabel: no such format"),
        ("prectr", "rang", "error: python -m prectr rang: unknown stage; did you mean 'rank'?"),
        ("prectr", "rank scor", "error: python -m prectr rank scor: unknown verb"),
    ],
)
def test_a_refusal_is_one_sentence_and_comes_at_once(module: str, arguments: str, said: str, tmp_path: Path) -> None:
    answer = ask(module, arguments, tmp_path)
    assert (answer.code, answer.out, answer.heavy) == (2, "", [])
    assert said in answer.err and answer.err.startswith("error: ") and answer.err.count("\n") == 1
    assert answer.seconds < MOST_SECONDS


def test_the_settings_of_a_run_are_shown_without_its_libraries(tmp_path: Path) -> None:
    for module in ("rank", "distill"):
        answer = ask(module, "run --help", tmp_path)
        assert (answer.code, answer.heavy) == (0, []) and "--seed" in answer.out


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_knows_its_verbs(name: str) -> None:
    stage = import_module(f"prectr.{name}.__main__").STAGE
    assert isinstance(stage, Stage) and stage.name == name and stage.configs.is_dir()
    for verb in stage.verbs.values():
        assert verb.summary[0].islower() and not verb.summary.endswith(".")


@pytest.mark.parametrize(
    ("verb", "not_shown"),
    [
        ("score", ["--epochs", "--learning_rate", "--seed", "--repo", "--hidden_sizes"]),
        ("table", ["--bf16", "--encoder", "--seed"]),
        ("serve", ["--epochs", "--seed", "--evaluation_batch", "--repo"]),
        ("publish", ["--bf16", "--epochs", "--seed"]),
        ("validate", ["--encoder", "--warm_start", "--epochs", "--replay_share"]),
    ],
)
def test_a_verb_shows_its_own_settings_and_no_others(
    verb: str, not_shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stage = import_module("prectr.rank.__main__").STAGE
    with pytest.raises(SystemExit):
        stage.read([verb, "--help"])
    shown = capsys.readouterr().out
    assert "--artifacts" in shown and [flag for flag in not_shown if f"{flag} " in shown] == []


def helped(read: Callable[[list[str]], object], argv: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a help screen."""
    with pytest.raises(SystemExit):
        read(argv)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", STAGES)
def test_every_help_fits_a_terminal_of_100_columns(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    stage: Stage = import_module(f"prectr.{name}.__main__").STAGE
    screens = {verb: helped(stage.read, [verb, "--help"], capsys) for verb in stage.verbs if verb != "convert"}
    assert {verb: max(map(len, lines)) for verb, lines in screens.items() if max(map(len, lines)) > 100} == {}
    long = {verb: len(lines) for verb, lines in screens.items() if len(lines) > 50}
    assert set(long) <= LONG, "a help that needs more than a screen has many settings"


def test_every_format_s_help_fits_but_for_its_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for argv in ([], *([kind, "--help"] for kind in FORMATS)):
        lines = helped(read_conversion, argv, capsys)
        assert [line for line in lines if len(line) > 100 and not line.startswith("    ")] == [], argv
