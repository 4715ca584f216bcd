"""One process: the parts in their order, one at a time, and nothing of Ray."""

import subprocess
import sys

import pytest

from prectr.shared.engine.choice import open_engine
from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import show_progress
from tests.shared.engine.jobs import noted, refuse, squares

ABSENT = """
import sys
sys.modules["ray"] = None
from prectr.shared.engine.choice import open_engine
from prectr.shared.run.cli import run_main
def main(argv):
    assert open_engine("plain") is not None
    open_engine("ray")
sys.argv = ["prectr"]
run_main(main)
"""


def test_parts_come_in_order_and_only_when_they_are_asked_for(tmp_path) -> None:
    given = []

    def parts():
        for number in range(4):
            given.append(number)
            yield number

    found = PLAIN.map(squares(tmp_path), parts())
    assert given == []
    assert next(found)["square"].tolist() == [0] and given == [0]
    assert [each["square"].item() for each in found] == [1, 4, 9]
    assert len(noted(tmp_path / "opened")) == 1


def test_what_a_part_raises_is_raised_as_it_is(tmp_path) -> None:
    with pytest.raises(PrectrError, match="^items.parquet: text, row 7"):
        list(PLAIN.map(squares(tmp_path, refuse), range(5)))


def test_the_bar_counts_units(tmp_path, capsys) -> None:
    with show_progress():
        list(PLAIN.map(squares(tmp_path, size=lambda part: 10), range(3), total=30))
    assert "squares: 30 numbers in" in capsys.readouterr().out
    with show_progress():
        list(PLAIN.map(squares(tmp_path, shows_itself=True), range(3)))
    assert capsys.readouterr().out == ""


def test_the_plain_engine_imports_no_ray() -> None:
    code = "from prectr.shared.engine.choice import open_engine; open_engine('plain')"
    code += "; import sys; print('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert open_engine("plain") is PLAIN


def test_without_ray_one_sentence_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: ray is not installed: run `pip install 'prectr[ray]'`.\n"
