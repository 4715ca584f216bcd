"""A data set that has no ranker is told with those that have one."""

from pathlib import Path

import pytest

from prectr.rank.config import WhereArguments
from prectr.rank.serving.config import DataArguments, RankerArguments
from prectr.rank.serving.scorer import ranker_and_data
from prectr.shared.errors import PrectrError


def asked(artifacts: Path, name: str, ranker: str | None = None) -> tuple[str, Path]:
    return ranker_and_data(
        WhereArguments(name=name, artifacts=str(artifacts)), RankerArguments(ranker), DataArguments()
    )


@pytest.mark.parametrize(
    ("there", "remedy"),
    [
        ([], "run `make rank`, or name a ranker's folder or hub id with --ranker."),
        (["toy"], "run `make rank`, or give --name toy, which is there."),
        (["toy", "laden"], "run `make rank`, or give --name laden, toy, which are there."),
        ([f"shop{n}" for n in range(7)], "give --name shop0, shop1, shop2, shop3, shop4 and 2 more, which are there."),
    ],
)
def test_the_names_that_are_there_are_told(tmp_path: Path, there: list[str], remedy: str) -> None:
    (tmp_path / "tables only" / "data").mkdir(parents=True)
    for name in there:
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "ranker").mkdir()
    with pytest.raises(PrectrError) as error:
        asked(tmp_path, "ladne")
    assert str(error.value).startswith(f"{tmp_path}/ladne/ranker is not there: ") and str(error.value).endswith(remedy)
    for name in there:
        assert asked(tmp_path, name) == (f"{tmp_path}/{name}/ranker", tmp_path / name / "data")


def test_a_ranker_that_is_named_lacks_only_its_data(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="name the folder of items.parquet and behaviours.parquet with --data"):
        asked(tmp_path, "ladne", ranker="org/ranker")
