"""Settings: what overrides what, and that nothing mistyped is ignored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import parse_arguments, read_config


@dataclass
class Train:
    """How it is trained."""

    seed: int
    learning_rate: float = field(default=1e-3, metadata={"help": "at most 100 %", "was": ("lr", "0.2.0")})
    teacher: str | None = None
    debias: bool = True
    mode: Literal["fast", "exact"] = "fast"
    layers: list[int] = field(default_factory=lambda: [64, 32])


@dataclass
class Checked:
    """What is checked: the second group."""

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise PrectrError(f"share is {self.share}; give a number from 0 to 1.")


@dataclass
class Elsewhere:
    folder: str = field(metadata={"help": "of the tables", "positional": True})
    output: str | None = None
    parts: list[str] = field(default_factory=lambda: ["ears"], metadata={"choices": ["ears", "eyes"]})
    items: list[str] = field(default_factory=list)  # also a method of the namespace that jsonargparse fills


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
    with pytest.raises(PrectrError) as refused:
        parse_arguments([Train, Checked], configs, argv)
    sentence = str(refused.value)
    assert "\n" not in sentence and sentence[-1] in ".?"
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
    assert parse(configs, "--no_debias").debias is parse(configs, "--debias", "false").debias is False
    assert parse(configs, "--seed=-3", "--seed", "-4").seed == -4
    assert parse(configs, "--profile", "smoke", "--teacher", "2024").teacher == "2024"


def test_hyphens_in_a_flag_are_as_good(configs: Path) -> None:
    assert parse(configs, "--learning-rate", "1e-4", "--no-debias") == parse(
        configs, "--learning_rate=1e-4", "--no_debias"
    )
    assert parse(configs, "--teacher", "a-b").teacher == "a-b"


def test_any_file_can_take_the_place_of_a_profile(configs: Path) -> None:
    (configs / "mine.yml").write_text("seed: -3\nlayers: []\n")
    assert parse(configs, "--config", str(configs / "mine.yml")) == Train(seed=-3, layers=[])


def test_a_number_in_a_file_can_be_a_text(configs: Path) -> None:
    (configs / "mine.yml").write_text("seed: 1\nteacher: 2024\nlearning_rate: 1\n")
    train = parse(configs, "--config", str(configs / "mine.yml"))
    assert train.teacher == "2024" and isinstance(train.learning_rate, float)


def test_scientific_notation_arrives_as_a_float(configs: Path) -> None:
    assert parse(configs).learning_rate == 2e-5


def test_instances_come_in_the_order_of_the_classes(configs: Path) -> None:
    checked, train = parse_arguments([Checked, Train], configs, ["--share", "0.25"])
    assert (checked.share, train.seed) == (0.25, 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lerning_rate: 1e-4", ["unknown key 'lerning_rate'", "did you mean 'learning_rate'?"]),
        ("learning_rate: fast", ["key 'learning_rate'", "found 'fast', expected a number"]),
        ("mode: slow", ["key 'mode'", "slow", "fast", "exact"]),
        ("debias: perhaps", ["key 'debias'", "perhaps"]),
        ("layers: [8, x]", ["key 'layers'", "expected a list, each of it a whole number"]),
        ("lr: 1", ["key 'lr' is called 'learning_rate' since 0.2.0"]),
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
        (["--seed", "x"], ["command line: --seed: found 'x', expected a whole number"]),
        (["--seed", "1.5"], ["command line: --seed: found '1.5'"]),
        (["--seed"], ["command line: --seed: no value given"]),
        (["--layers", "8", "x"], ["--layers: found '8 x', expected a list, each of it a whole number"]),
        (["--debias=perhaps"], ["--debias: found 'perhaps', expected true or false"]),
        (["--mode", "slow"], ["--mode: found 'slow', expected one of fast, exact"]),
        (["--share", "2"], ["share is 2.0"]),
        (["--lr", "1"], ["flag '--lr' is called '--learning_rate' since 0.2.0"]),
        (["--profile"], ["--profile: no value given"]),
        (["-x"], ["'-x' belongs to no flag"]),
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
    assert "missing: --seed SEED" in refusal(configs)
    assert parse(configs, "--seed", "5").seed == 5


def test_what_stands_behind_the_verb_is_a_setting_without_a_flag() -> None:
    assert parse_arguments([Elsewhere], None, ["a folder", "--output", "b", "--items", "1"]) == (
        Elsewhere("a folder", "b", ["ears"], ["1"]),
    )
    for argv in ([], ["--output", "b"]):
        with pytest.raises(PrectrError, match="missing: FOLDER, of the tables"):
            parse_arguments([Elsewhere], None, argv, program="data check")


def test_a_file_may_hold_settings_of_other_commands_of_the_stage(configs: Path) -> None:
    (checked,) = parse_arguments([Checked], configs, ["--share", "1"], others=[Train, Checked])
    assert checked == Checked(1.0)
    with pytest.raises(PrectrError, match="unknown key 'seed'"):
        parse_arguments([Checked], configs, [])
    with pytest.raises(PrectrError, match="--seed is a setting of other commands"):
        parse_arguments([Checked], configs, ["--seed", "1"], others=[Train])
    (configs / "default.yaml").write_text("lr: 1\n")
    with pytest.raises(PrectrError, match="'lr' is called 'learning_rate'"):
        parse_arguments([Checked], configs, [], others=[Train])


def test_choices_may_be_known_only_when_the_program_runs() -> None:
    (found,) = parse_arguments([Elsewhere], None, ["f", "--parts", "eyes", "ears"])
    assert found.parts == ["eyes", "ears"]
    with pytest.raises(PrectrError, match="--parts: found 'nose', expected a list, each of it one of ears, eyes"):
        parse_arguments([Elsewhere], None, ["f", "--parts", "nose"])


def test_a_setting_may_be_called_as_a_method_of_the_namespace(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("items: [a, 2]\n")
    (found,) = parse_arguments([Elsewhere], None, ["f", "--mapping", f"{tmp_path}/mine.yaml"], mapping=True)
    assert found == Elsewhere("f", None, ["ears"], ["a", "2"])


def test_without_profiles_a_file_can_be_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("share: 0.25\n")
    assert parse_arguments([Checked], None, ["--mapping", f"{tmp_path}/mine.yaml"], mapping=True) == (Checked(0.25),)
    assert parse_arguments([Checked], None, [], mapping=True) == (Checked(),)


def test_the_settings_can_be_printed_and_read_again(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([Train, Checked], configs, ["--print_config", "--profile", "smoke", "--learning_rate", "2e-5"])
    assert stop.value.code == 0
    (configs / "mine.yml").write_text(capsys.readouterr().out)
    parsed = parse_arguments([Train, Checked], configs, ["--config", str(configs / "mine.yml")])
    assert parsed == (parse(configs, "--profile", "smoke", "--learning_rate", "2e-5"), Checked())


def test_help_leaves_without_an_error(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([Checked, Train], configs, ["--help"], program="python -m rank run", description="a\n  b")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: python -m rank run [" in shown and "a\n  b" in shown and "default, smoke" in shown
    assert "--learning_rate X at most 100 % [2e-05]" in " ".join(shown.split()), "the profile's value"
    assert shown.index("What is checked: the second group:") < shown.index("How it is trained:")


def test_settings_must_be_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(PrectrError, match="list.yaml: found a list"):
        read_config(path)
