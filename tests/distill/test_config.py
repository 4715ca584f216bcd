"""Settings of stage one that are refused as they are read."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from prectr.distill.__main__ import main
from prectr.distill.config import ARGUMENTS, LabelArguments, parse_strategies
from prectr.shared.errors import PrectrError


def test_shares_are_relative() -> None:
    assert parse_strategies(["logged:3", "random"]) == {"logged": 0.75, "random": 0.25}


@pytest.mark.parametrize(
    ("strategies", "message"),
    [
        ([], "is empty"),
        (["near_miss"], "there is no 'near_miss'; use logged, "),
        (["logged", "logged:2"], "given twice"),
        (["logged:0"], "positive number"),
        (["logged:many"], "positive number"),
        (["logged:nan"], "positive number"),
    ],
)
def test_a_bad_mixture_is_refused_when_the_settings_are_read(strategies: list[str], message: str) -> None:
    with pytest.raises(PrectrError, match=message):
        LabelArguments(label_strategies=strategies)


def test_a_share_of_rejections_is_a_share() -> None:
    with pytest.raises(PrectrError, match="label_max_rejected"):
        LabelArguments(label_max_rejected=1.5)


NUMBERS = [
    (arguments, field)
    for arguments in ARGUMENTS
    for field in fields(arguments)
    if field.type in ("int", "float")
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "field"), NUMBERS, ids=lambda each: getattr(each, "name", ""))
def test_every_number_has_a_range_that_its_default_keeps_and_nonsense_does_not(arguments: Any, field: Any) -> None:
    least, most = field.metadata["range"]
    assert least <= field.default <= most
    for value in (least, most):
        arguments(**{field.name: value})
    for value in (least - 1, most * 2 + 1, float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e30):
        with pytest.raises(PrectrError, match=f"^{field.name}: found .*; set a number from") as raised:
            arguments(**{field.name: value})
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "flags",
    [
        "--teacher_epochs 1e30",
        "--seed -1",
        "--seed 4294967296",
        "--teacher_learning_rate nan",
        "--distill_temperature 0",
        "--label_pairs -5",
        "--query_length 1000000000",
        "--num_layers 0",
        "--endpoint_timeout -1",
        "--sft_epochs inf",
    ],
)
def test_the_command_refuses_them_before_anything_runs(flags: str, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=f"{flags.split()[0][2:]}: found"):
        main(["run", "--profile", "smoke", "--artifacts", str(tmp_path), *flags.split()])
    assert not list(tmp_path.iterdir())
