"""Settings: what overrides what, and that nothing mistyped is ignored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import parse_arguments, read_config


@dataclass
class Train:
    seed: int
    learning_rate: float = 1e-3
    teacher: str | None = None
    debias: bool = True
    mode: Literal["fast", "exact"] = "fast"
    layers: list[int] = field(default_factory=lambda: [64, 32])


@dataclass
class Checked:
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise PrectrError(f"share is {self.share}; give a number from 0 to 1.")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "default.yaml").write_text("seed: 7\nlearning_rate: 2e-5\nteacher: 'a: b'\n")
    (tmp_path / "smoke.yaml").write_text("seed: 1\ndebias: false\nlayers: [8]\nmode: exact\nteacher: null\n")
    return tmp_path


def parse(configs: Path, *argv: str) -> Train:
    (train,) = parse_arguments([Train], configs, argv)
    assert isinstance(train, Train)
    return train


def refusal(configs: Path, *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([Train, Checked], configs, argv)
    sentence = stop.value.code
    assert isinstance(sentence, str) and "\n" not in sentence
    return sentence


def test_the_default_profile_overrides_the_defaults(configs: Path) -> None:
    assert parse(configs) == Train(seed=7, learning_rate=2e-5, teacher="a: b")


def test_a_profile_is_chosen_by_name(configs: Path) -> None:
    expected = Train(seed=1, debias=False, layers=[8], mode="exact")
    assert parse(configs, "--profile", "smoke") == expected
    assert parse(configs, "--profile=smoke") == expected


def test_flags_override_the_profile(configs: Path) -> None:
    train = parse(configs, "--profile", "smoke", "--learning_rate", "1e-4", "--debias", "--layers", "4", "2")
    assert (train.seed, train.learning_rate, train.debias, train.layers) == (1, 1e-4, True, [4, 2])
    assert parse(configs, "--no_debias").debias is False


def test_any_file_can_take_the_place_of_a_profile(configs: Path) -> None:
    (configs / "mine.yml").write_text("seed: -3\nlayers: []\n")
    assert parse(configs, "--config", str(configs / "mine.yml")) == Train(seed=-3, layers=[])


def test_scientific_notation_arrives_as_a_float(configs: Path) -> None:
    assert parse(configs).learning_rate == 2e-5


def test_instances_come_in_the_order_of_the_classes(configs: Path) -> None:
    checked, train = parse_arguments([Checked, Train], configs, ["--share", "0.25"])
    assert (checked.share, train.seed) == (0.25, 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lerning_rate: 1e-4", ["unknown key 'lerning_rate'", "did you mean 'learning_rate'?"]),
        ("learning_rate: fast", ["key 'learning_rate'", "invalid float value: 'fast'"]),
        ("mode: slow", ["key 'mode'", "slow", "fast", "exact"]),
        ("debias: perhaps", ["key 'debias'", "perhaps"]),
        ("layers: 3", ["key 'layers'", "found 3, expected a list"]),
        ("learning_rate: [1, 2]", ["key 'learning_rate'", "expected a single value"]),
        ("learning_rate:", ["key 'learning_rate'", "no value given"]),
        ("learning_rate: {a: 1}", ["key 'learning_rate'", "nested"]),
        ("seed: 2", ["key 'seed' appears twice"]),
        ("teacher: [", ["not valid YAML"]),
        ("share: 2", ["share is 2.0", "from 0 to 1"]),
    ],
)
def test_a_bad_line_is_named(configs: Path, line: str, words: list[str]) -> None:
    path = configs / "default.yaml"
    path.write_text(f"seed: 7\n{line}\n")
    sentence = refusal(configs)
    for word in words:
        assert word in sentence
    if "share" not in line:
        assert str(path) in sentence


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--lerning_rate", "1e-4"], ["unknown flag '--lerning_rate'", "did you mean '--learning_rate'?"]),
        (["--lerning-rate=1e-4"], ["did you mean '--learning_rate'?"]),
        (["--learning", "1"], ["unknown flag '--learning'"]),
        (["--seed", "x"], ["command line", "invalid int value: 'x'"]),
        (["stray"], ["'stray' belongs to no flag"]),
        (["--profile", "smok"], ["smok.yaml", "default, smoke"]),
    ],
)
def test_a_bad_flag_is_named(configs: Path, argv: list[str], words: list[str]) -> None:
    sentence = refusal(configs, *argv)
    for word in words:
        assert word in sentence


def test_a_required_setting_must_stand_somewhere(configs: Path) -> None:
    (configs / "default.yaml").write_text("# nothing yet\n")
    assert "--seed" in refusal(configs)
    assert parse(configs, "--seed", "5").seed == 5


def test_help_leaves_without_an_error(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([Train], configs, ["--help"], program="python -m rank run")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m rank run" in shown and "--learning_rate" in shown and "default, smoke" in shown


def test_settings_must_be_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(PrectrError, match="list.yaml: found a list"):
        read_config(path)
