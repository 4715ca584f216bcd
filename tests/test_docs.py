"""What the documents name exists: links and their anchors, files, commands, targets of the Makefile."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "data", "docs", "distill", "rank", "shared", "src", "tests")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(file for folder in FOLDERS[:-2] for file in (ROOT / folder).rglob("*.md"))],
)
RENAMED = ROOT / "CHANGELOG.md"
"""Tells of files and commands that are gone: only its links are checked."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FILE = re.compile(r"(?<![\w/.<>-])((?:[\w.*-]+/)*[\w*-]+\.(?:py|md|yaml|txt|html|json))\b")
COMMAND = re.compile(r"python -m (data|distill|rank|benchmarks)((?:\.\w+)*)(?: ([a-z][\w-]*))?")
TARGET = re.compile(r"(?:`|^)make ([a-z]+)\b", re.MULTILINE)
MENTION = re.compile(r"`([^`\n]+)`")


def prose(text: str) -> str:
    """A document without its blocks of code, whose brackets are no links."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page offers, as GitHub makes them of its headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        shown = LINK.sub(r"\1", heading).replace("`", "").strip().lower()
        slug = base = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = 0
        while slug in found:
            number += 1
            slug = f"{base}-{number}"
        found.add(slug)
    return found


def links(document: Path) -> Iterator[tuple[str, Path, str]]:
    """Text, file and anchor of each relative link."""
    for text, target in LINK.findall(prose(document.read_text(encoding="utf-8"))):
        if "{{" not in target and not target.startswith(("http:", "https:", "mailto:")):
            path, _, anchor = target.partition("#")
            yield text, (document.parent / path).resolve() if path else document, anchor


def files_named(document: Path) -> Iterator[str]:
    """Files of the project that a document names in code: any `.py`, and others whose path begins at the top."""
    for mention in MENTION.findall(prose(document.read_text(encoding="utf-8"))):
        for name in FILE.findall(mention):
            if name.endswith(".py") or name.split("/")[0] in FOLDERS:
                yield name


def stands_for_a_file(name: str, folder: Path) -> bool:
    """Whether such a file lies where a reader of `folder` would look: from the top, here, or in a room below."""
    return any(ROOT.glob(name)) or any(folder.rglob(name))


def words_of(folder: str) -> set[str]:
    """The strings in a package's command line: a verb is one of them."""
    tree = ast.parse((ROOT / folder / "__main__.py").read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def is_command(package: str, module: str, verb: str) -> bool:
    """Whether `python -m package.module verb` is there."""
    path = ROOT.joinpath(package, *module.split(".")[1:])
    if module:
        return path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    return (path / "__main__.py").exists() and (not verb or verb in words_of(package))


@pytest.fixture(params=DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def document(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = []
    for _, file, anchor in links(document):
        if not file.exists():
            broken.append(f"{file.relative_to(ROOT)} is missing")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            broken.append(f"{file.relative_to(ROOT)} has no heading #{anchor}")
    assert broken == []


def test_a_link_named_like_code_leads_to_that_code(document: Path) -> None:
    wrong = [
        f"{text} is not in {file.relative_to(ROOT)}"
        for text, file, _ in links(document)
        if (name := re.fullmatch(r"`([A-Za-z_]\w*(?:\.\w+)?)`", text))
        and file.suffix == ".py"
        and not name[1].endswith(".py")
        and not all(part in file.read_text(encoding="utf-8") for part in name[1].split("."))
    ]
    assert wrong == []


def test_every_file_named_exists(document: Path) -> None:
    if document != RENAMED:
        assert [name for name in files_named(document) if not stands_for_a_file(name, document.parent)] == []


def test_every_command_named_exists(document: Path) -> None:
    if document != RENAMED:
        named = COMMAND.findall(document.read_text(encoding="utf-8"))
        assert [" ".join(command) for command in named if not is_command(*command)] == []


def test_every_make_target_named_exists(document: Path) -> None:
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in TARGET.findall(document.read_text(encoding="utf-8")) if name not in rules] == []


def test_what_is_not_there_is_found_missing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`\n[a](#one-two) [b](gone.md#x) [`c`](https://example.org)\n```\n[d](no.md)\n```\n"
        "`rank/gone.py`, `losses.py` and `mine.txt`\n",
        encoding="utf-8",
    )
    assert [(file.name, anchor) for _, file, anchor in links(page)] == [("page.md", "one-two"), ("gone.md", "x")]
    assert "one-two" in anchors(page.read_text(encoding="utf-8"))
    assert list(files_named(page)) == ["rank/gone.py", "losses.py"]
    assert not stands_for_a_file("rank/gone.py", ROOT) and stands_for_a_file("losses.py", ROOT / "rank")
    assert is_command("rank", "", "run") and not is_command("rank", "", "fly")
    assert not is_command("benchmarks", ".run", "") and is_command("benchmarks", ".ranker", "")
