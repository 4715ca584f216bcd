"""The documentation site: its pages are there, short where they are concepts, and every public name is documented."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import prectr
from tests.test_docs import anchors, prose

ROOT = Path(__file__).parent.parent
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
CONCEPTS = sorted((ROOT / "docs" / "concepts").glob("*.md"))
API = sorted((ROOT / "docs" / "api").glob("*.md"))
GLOSSARY = ROOT / "shared" / "glossary.md"
MOST_LINES = 60
PUBLIC = (
    *("prectr.rank.serving.ranker.Ranker", "prectr.shared.encoder.level_encoder.LevelEncoder"),
    *("prectr.rank.serving.live.LiveRanker", "prectr.rank.service.app.create_app", "prectr.rank.service.state.Service"),
    *("prectr.data.contract", "prectr.distill.teachers.base.Teacher", "prectr.distill.teachers.base.Judgement"),
    *("prectr.distill.losses.distillation_loss", "prectr.rank.training.losses.click_loss"),
    *("prectr.rank.training.losses.consistency_loss", "prectr.rank.training.exposure_bias.debias_loss"),
    *("prectr.shared.metrics", "prectr.shared.errors.PrectrError"),
)
"""What people import, by the name it is documented under."""


def pages(entries: list[Any]) -> Iterator[str]:
    """The pages of a `nav`, in order."""
    for entry in entries:
        for value in entry.values():
            yield from pages(value) if isinstance(value, list) else [value]


def documented() -> list[str]:
    """What the pages of the API show, by its dotted name."""
    return [name for page in API for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]


def docstring_of(name: str) -> str | None:
    """The docstring of a module, or of a class or function at its top, read without importing it."""
    *folders, last = name.split(".")
    module = (ROOT / "src").joinpath(*name.split(".")).with_suffix(".py")
    if module.exists():
        return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    tree = ast.parse((ROOT / "src").joinpath(*folders).with_suffix(".py").read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return next((ast.get_docstring(node) for node in tree.body if isinstance(node, kinds) and node.name == last), None)


def test_every_page_of_the_site_exists_and_once() -> None:
    named = list(pages(SITE["nav"]))
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(named) == len(set(named))
    assert SITE["strict"] is True and not any(name.startswith("http") for name in named)


def test_every_concept_and_every_page_of_the_api_is_in_the_site() -> None:
    assert {str(page.relative_to(ROOT)) for page in (*CONCEPTS, *API)} <= set(pages(SITE["nav"]))


def test_readmes_are_pages_as_they_are() -> None:
    assert {"README.md", *(f"{folder}/README.md" for folder in ("data", "distill", "rank"))} <= set(pages(SITE["nav"]))
    assert sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("README*")) == []


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda file: file.stem)
def test_a_concept_is_short(concept: Path) -> None:
    lines = concept.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES and lines[0].startswith("# ")


def test_every_public_name_is_documented() -> None:
    assert [name for name in PUBLIC if name not in documented()] == []
    assert {name.rpartition(".")[2] for name in documented()} >= set(prectr.__all__)


@pytest.mark.parametrize("name", documented())
def test_what_is_documented_has_a_docstring(name: str) -> None:
    assert docstring_of(name)


def test_a_name_without_a_docstring_is_found() -> None:
    assert docstring_of("prectr.shared.errors.NoError") is None


@pytest.mark.slow
def test_the_site_is_built_and_no_link_is_broken(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in pages(SITE["nav"]):
        assert page_in(site, name).is_file(), name
    glossary = page_in(site, "shared/glossary.md").read_text(encoding="utf-8")
    assert anchors(GLOSSARY.read_text(encoding="utf-8")) <= set(re.findall(r'id="([^"]+)"', glossary))
    assert "P(click)" in prose(GLOSSARY.read_text(encoding="utf-8")) and (site / "docs" / "search_page.png").is_file()
    for name in documented():
        assert any(f'id="{name}"' in page_in(site, f"docs/api/{page.name}").read_text("utf-8") for page in API), name
    assert "p_click_given_level" in page_in(site, "docs/api/ranker.md").read_text("utf-8")
    asked = [page for page in site.rglob("*.html") if re.search(r'(?:src|href)="(?:https?:)?//', head(page))]
    assert asked == []


def page_in(site: Path, name: str) -> Path:
    """The file that a page of the repository became."""
    if name.endswith("README.md"):
        return site / Path(name).parent / "index.html"
    return site / (f"{name}.html" if not name.endswith(".md") else f"{name.removesuffix('.md')}.html")


def head(page: Path) -> str:
    """What a page loads before it is shown."""
    return page.read_text(encoding="utf-8").partition("</head>")[0]


def test_the_notebook_of_the_site_is_a_notebook() -> None:
    notebook = json.loads((ROOT / "examples" / "first_day.ipynb").read_text(encoding="utf-8"))
    assert [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")] == []
