"""The built package, alone: what it holds, and that it scores in an environment of nothing but what it asks for.

Nothing is downloaded: the package is built with the setuptools of this environment, and the new one is made of links to
the installed packages that the wheel's own requirements name, and theirs.
"""

import json
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from prectr.shared.extras import EXTRA_OF
from tests.rank.toy_run import build_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SOURCES = ("data", "distill", "rank", "shared", "src", "tests", "benchmarks")
DOCUMENTS = ("pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
DATA_FILES = {
    *(
        "py.typed",
        "data/journey/phrasebook.txt",
        "distill/prompts/shopping.txt",
        "distill/prompts/shopping_examples.txt",
    ),
    *("distill/publishing/model_card.md", "rank/reports/model_card.md", "rank/reports/report_template.html"),
    *(f"rank/service/page/{name}" for name in ("index.html", "docs.html", "page.css", "icon.svg")),
    *(f"rank/service/page/{name}" for name in ("page.js", "docs.js")),
    *(f"{stage}/configs/{profile}.yaml" for stage in ("data", "distill", "rank") for profile in ("smoke", "default")),
}
SCORE = """
import data, shared  # this project's own
from prectr import Ranker

ranker = Ranker.from_pretrained({ranker!r})
page = ranker.score("red shirt", [{{"item_id": "1", "text": "red cotton shirt"}}, {{"text": "blue lamp"}}])
print(data.MINE, shared.MINE, *page["p_click"])
"""


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command without this test's own paths."""
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command printed."""
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as a package index gets both."""
    folder = tmp_path_factory.mktemp("built")
    checkout = folder / "checkout"
    generated = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=generated)
    for name in DOCUMENTS:
        shutil.copy(ROOT / name, checkout / name)
    archive = succeed(sys.executable, "-c", BUILD, folder, cwd=checkout).splitlines()[-1]
    shutil.rmtree(checkout)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")
    succeed(sys.executable, "-m", "pip", "wheel", *quiet, "--wheel-dir", folder, folder / archive)
    (built,) = folder.glob("*.whl")
    return built


def required(requirements: list[str]) -> set[str]:
    """Names of the installed distributions that `requirements` ask for, directly or through others."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            key = f"{requirement.name}[{wanted}]".lower()
            if key not in found:
                found.add(key)
                needed = distribution(requirement.name).requires or []
                waiting += [(Requirement(text), wanted) for text in needed]
    return {key.partition("[")[0] for key in found}


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and links to what it requires."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        header = archive.read(metadata).decode().partition("\n\n")[0]
    for name in required(re.findall(r"^Requires-Dist: (.+)$", header, re.MULTILINE)):
        installed = distribution(name)
        for part in {file.parts[0] for file in installed.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / part).exists():
                (packages / part).symlink_to(Path(str(installed.locate_file(part))))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    succeed(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", *quiet, wheel)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "toy"
    build_run(folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project, whose modules are called as folders of our checkout are."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    (folder / "data" / "__init__.py").write_text("MINE = 1\n")
    (folder / "shared.py").write_text("MINE = 2\n")
    return folder


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"prectr"}
    modules = {
        f"prectr/{path.relative_to(ROOT).as_posix()}"
        for stage in ("data", "distill", "rank", "shared")
        for path in (ROOT / stage).rglob("*.py")
    }
    assert modules <= names
    assert {f"prectr/{name}" for name in DATA_FILES} <= names
    assert not [name for name in names if re.search(r"(^|/)(tests?|benchmarks?)(/|_)|EXPERIMENTS", name)]


def test_a_page_is_scored_in_a_project_with_modules_of_the_same_names(
    environment: Path, project: Path, home: Path
) -> None:
    (project / "score.py").write_text(SCORE.format(ranker=str(home / "ranker")))
    done = run(environment / "bin" / "python", "score.py", cwd=project)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if not line.startswith(" ")]  # the line of code that follows
    assert len(warned) == 1 and "UserWarning: score: given for no candidate: num_price" in warned[0], done.stderr
    first, second, *p_click = done.stdout.split()
    assert (first, second) == ("1", "2") and all(0 < float(value) < 1 for value in p_click) and len(p_click) == 2


def test_no_package_of_an_extra_is_there(environment: Path) -> None:
    code = (
        "import json, sys; from importlib.util import find_spec; print(json.dumps([*filter(find_spec, sys.argv[1:])]))"
    )
    found = set(json.loads(succeed(environment / "bin" / "python", "-c", code, *EXTRA_OF)))
    assert found <= {"jinja2", "markupsafe", "pydantic"}  # torch brings the first two, the hub's client the third


def test_the_command_has_its_help_and_scores_a_table(environment: Path, project: Path, home: Path) -> None:
    prectr = environment / "bin" / "prectr"
    assert "rank" in succeed(prectr, "--help", cwd=project)
    assert "--impressions" in succeed(prectr, "rank", "score", "--help", cwd=project)
    table, scores = home / "data" / "impressions.parquet", project / "scores.parquet"
    given = ("--ranker", home / "ranker", "--impressions", table, "--output", scores)
    succeed(prectr, "rank", "score", *given, cwd=project)
    assert scores.is_file()


def test_what_needs_an_extra_names_it(environment: Path, project: Path) -> None:
    done = run(environment / "bin" / "prectr", "distill", "run", cwd=project)
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*pip install 'prectr\[[a-z-]+\]'`\.\n", done.stderr), done.stderr
