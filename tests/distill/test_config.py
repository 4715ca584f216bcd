"""Settings of stage one that are refused as they are read."""

import pytest

from prectr.distill.config import LabelArguments, parse_strategies
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
