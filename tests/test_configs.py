"""Every settings file that ships is read by its stage, explained line by line, and named after its data set."""

import importlib
import re
from dataclasses import MISSING, Field, fields
from math import isfinite
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import parse_arguments, read_config

ROOT = Path(__file__).parent.parent
DATA_SETS = {"smoke": "toy", "default": "journey", "full": "journey-full", "listings": "listings"}
STAGES = ("data", "distill", "rank")
OTHERS = {"rank": {"prectr_v1": "journey"}}
"""Profiles that one stage alone has, and their data sets."""
PROFILES = [(stage, profile) for stage in STAGES for profile in DATA_SETS | OTHERS.get(stage, {})]


def classes_of(stage: str) -> list[type[Any]]:
    """The dataclasses of settings of all verbs of a stage."""
    verbs = importlib.import_module(f"prectr.{stage}.__main__").STAGE.verbs.values()
    return list(dict.fromkeys(each for verb in verbs for each in verb.arguments))


NUMBERS = [
    pytest.param(cls, field, id=f"{stage}-{cls.__name__}-{field.name}")
    for stage in STAGES
    for cls in classes_of(stage)
    for field in fields(cls)
    if get_type_hints(cls)[field.name] in (int, float, int | None, list[int], list[float])
]
BEYOND = st.one_of(
    st.sampled_from([-1, 0, 10**12, 1e30, 10**400, float("nan"), float("inf"), -float("inf")]),
    st.integers(),
    st.floats(),
)


@pytest.mark.parametrize(("cls", "field"), NUMBERS)
@given(data=st.data())
@settings(max_examples=30)
def test_every_number_has_a_range_and_no_other_number_passes(cls: type[Any], field: Field[Any], data: Any) -> None:
    least, most = field.metadata["range"]
    value = data.draw(BEYOND)
    is_list = field.default_factory is not MISSING
    needed = {int: 1, str: "some"}
    others = {each.name: needed[get_type_hints(cls)[each.name]] for each in fields(cls) if _is_required(each)}
    refused = None
    try:
        cls(**others | {field.name: [value] if is_list else value})
    except PrectrError as error:
        refused = str(error)
        assert "\n" not in refused and len(refused) < 300
    if not (isinstance(value, int) or isfinite(value)) or not least <= value <= most:
        assert refused and refused.startswith(f"{field.name}: found ") and "; set a number from " in refused
    else:
        assert not (refused and "; set a number from " in refused), "only settings that contradict each other"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_ships_every_profile_and_no_other(stage: str) -> None:
    assert {path.stem for path in (ROOT / stage / "configs").glob("*.yaml")} == {*DATA_SETS, *OTHERS.get(stage, {})}


@pytest.mark.parametrize(("stage", "profile"), PROFILES)
def test_a_profile_is_read_by_its_stage(stage: str, profile: str) -> None:
    arguments = importlib.import_module(f"{stage}.config").ARGUMENTS
    instances = parse_arguments(arguments, ROOT / stage / "configs", ["--profile", profile])
    assert [type(instance) for instance in instances] == list(arguments)
    values = {name: value for instance in instances for name, value in vars(instance).items()}
    assert values["name"] == (DATA_SETS | OTHERS.get(stage, {}))[profile]
    assert isinstance(values["seed"], int)


@pytest.mark.parametrize("stage", STAGES)
def test_a_settings_file_that_leaves_something_out_gets_the_default_profiles_value(stage: str) -> None:
    arguments = importlib.import_module(f"{stage}.config").ARGUMENTS
    settings = parse_arguments(arguments, ROOT / stage / "configs", ["--profile", "default"])
    assert list(settings) == [each() for each in arguments]


@pytest.mark.parametrize(("stage", "profile"), [each for each in PROFILES if each[1] != "default"])
def test_a_profile_says_only_what_differs(stage: str, profile: str) -> None:
    arguments = importlib.import_module(f"{stage}.config").ARGUMENTS
    settings = parse_arguments(arguments, ROOT / stage / "configs", ["--profile", profile])
    values = {name: value for each in settings for name, value in vars(each).items()}
    inherited = {name: value for each in arguments for name, value in vars(each()).items()}
    said = read_config(ROOT / stage / "configs" / f"{profile}.yaml")
    assert [name for name in said if values[name] == inherited[name]] == []


@pytest.mark.parametrize(("stage", "profile"), PROFILES)
def test_every_verb_reads_the_profile(stage: str, profile: str) -> None:
    front = importlib.import_module(f"prectr.{stage}.__main__").STAGE
    others = [each for verb in front.verbs.values() for each in verb.arguments]
    for verb in front.verbs.values():
        own = [each for each in verb.arguments if not any(_is_required(field) for field in fields(each))]
        if verb.takes_profile:
            found = parse_arguments(own, front.configs, ["--profile", profile], others=others)
            names = [each.name for each in found if hasattr(each, "name")]
            assert names == [(DATA_SETS | OTHERS.get(stage, {}))[profile]] or not own


def _is_required(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@pytest.mark.parametrize(("stage", "profile"), PROFILES)
def test_a_profile_explains_itself(stage: str, profile: str) -> None:
    path = ROOT / stage / "configs" / f"{profile}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.match(rf"# .*(python -m {stage}|make) ", lines[0]), "the first line is the command that runs it"
    uncommented = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\w+:", line) and " # " not in line and not before.startswith("#")
    ]
    assert uncommented == []
    if profile == "default":
        assert {"name", "seed"} <= set(read_config(path)), "the default profile is the reference"
