"""A teacher that has nothing to learn from is refused by its name alone, with another one to name."""

import subprocess
import sys
from pathlib import Path

import pytest

from prectr.data.contract import write_table
from prectr.distill.config import TeacherArguments
from prectr.distill.models.untaught import no_gold, refuse_untaught
from prectr.shared.default_models import CAUSAL, ENCODER
from prectr.shared.errors import PrectrError

DEFAULT = TeacherArguments().teacher


def tables(folder: Path, level: int | None) -> Path:
    split = "unlabelled" if level is None else "train"
    pairs = {"query": ["red shoe"], "item_id": ["1"], "item_text": [None], "level": [level], "split": [split]}
    write_table(folder, "pairs", pairs, ["no", "partly", "yes"])
    return folder


def test_the_default_teacher_is_made_of_the_packages_that_messages_name() -> None:
    assert DEFAULT.split(",") == [CAUSAL, ENCODER]


@pytest.mark.parametrize("teacher", [DEFAULT, "my/llm, similarity:my/encoder"])
def test_without_gold_another_teacher_is_named(tmp_path: Path, teacher: str) -> None:
    with pytest.raises(PrectrError, match=f"what the 3 levels are.*--teacher {CAUSAL}; make: TEACHER={CAUSAL}"):
        refuse_untaught(teacher, tables(tmp_path, None))


def test_who_judges_as_it_comes_and_who_has_gold_go_on(tmp_path: Path) -> None:
    refuse_untaught(CAUSAL, tables(tmp_path / "without", None))
    refuse_untaught(DEFAULT, tables(tmp_path / "with", 2))
    refuse_untaught(DEFAULT, tmp_path / "gone")


def test_it_is_said_before_the_libraries_are_loaded(tmp_path: Path) -> None:
    tables(tmp_path / "mine" / "data", None)
    command = ["run", "--name", "mine", "--artifacts", str(tmp_path)]
    script = (
        "import sys\nfrom prectr.distill.__main__ import main\nfrom prectr.shared.errors import PrectrError\n"
        f"try:\n    main({command!r})\nexcept PrectrError as error:\n    print(error)\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [no_gold(ENCODER, 3), "False False"]
