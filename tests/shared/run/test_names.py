"""A data set's name is checked in one place, by every command."""

import os
import subprocess
from pathlib import Path

import pytest

from prectr.data.config import DataArguments
from prectr.data.converters.arguments.common import NameArguments
from prectr.distill.config import WhereArguments as OfStageOne
from prectr.rank.config import WhereArguments as OfStageTwo
from prectr.shared.errors import PrectrError

BAD = ["", ".", "..", "../x", "/tmp/x", "a/b", "a\\b", "s[1]", "a*", "a?", "{a,b}", "a b", "-x", ".x", "a\n", "~x",
       'x"; cmd; "', "x'", "$HOME", "`id`", "a;b", "a\0b", "x" * 101, "\u202ex"]  # fmt: skip
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("arguments", [DataArguments, NameArguments, OfStageOne, OfStageTwo])
@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_what_is_no_plain_name_is_refused(arguments: type, name: str) -> None:
    with pytest.raises(PrectrError, match="give the data set a plain name"):
        arguments(name=name)


@pytest.mark.parametrize("name", ["journey", "toy-listings", "shop_2", "a.b+c", "магазин", "店", "1"])
def test_plain_names_are_names(name: str) -> None:
    assert NameArguments(name=name).name == DataArguments(name=name).name == OfStageTwo(name=name).name == name


@pytest.mark.parametrize(
    "name", ['x"; touch BAD; "', "$(touch BAD)", "x;touch BAD", "../x", "/x", "`touch BAD`", "a b", "x'", ".x", "s[1]"]
)
def test_make_runs_no_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    command = ["make", "tables", f"DATA={name}".replace("BAD", str(tmp_path / "bad"))]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert found.returncode and "DATA" in found.stderr and not (tmp_path / "bad").exists()
    assert not (tmp_path / ".venv").exists()
