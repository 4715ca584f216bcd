"""The site mirrors the repository: every document at its own path, and what documents link to beside it.

MkDocs calls these functions while it builds (`hooks` in mkdocs.yml). A link to a document or a picture stays as it is.
A source file or a folder that a document links to becomes a page: its code, or what it holds. A notebook becomes its
cells.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parent.parent
DOCUMENTED = (".", "benchmarks", "data", "distill", "rank", "shared", "docs/concepts", "docs/api")
PICTURES = (".png", ".svg", ".css")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".html": "html", ".css": "css", ".toml": "toml"}
LINK = re.compile(r"(\]\()([^)\s:#]+)([^)\s]*\))")
FENCE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
UNSEARCHED = "---\nsearch: {exclude: true}\n---\n"


def documents() -> list[str]:
    """The Markdown files that people read."""
    return sorted(str(file.relative_to(ROOT)) for folder in DOCUMENTED for file in (ROOT / folder).glob("*.md"))


def links(text: str, folder: Path) -> Iterator[str]:
    """Paths from the top of the repository that a document links to, where there is such a thing."""
    for part in FENCE.split(text)[::2]:
        for _, target, _ in LINK.findall(part):
            path = (folder / target).resolve()
            if path.exists() and path.is_relative_to(ROOT):
                yield str(path.relative_to(ROOT))


def page_of(path: str) -> str:
    """The page that stands for a file or folder of the repository."""
    there = ROOT / path
    if there.is_dir():
        return f"{path}/README.md" if (there / "README.md").exists() else f"{path}/index.md"
    return path if there.suffix in (".md", *PICTURES) else f"{path}.md"


def on_config(config: Any) -> Any:
    # Anchors as GitHub makes them, so that links work in both places.
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: Any) -> Files:
    for file in list(files):
        if not file.src_uri.startswith("assets/"):
            files.remove(file)
    shown = documents()
    linked = {path for name in shown for path in links((ROOT / name).read_text("utf-8"), (ROOT / name).parent)}
    for path in sorted({*shown, *linked, "docs/site.css", "examples/first_day.ipynb"}):
        page, there = page_of(path), ROOT / path
        if files.get_file_from_path(page):
            continue
        if there.suffix == ".md" and there.is_file() or there.suffix in PICTURES:
            files.append(File(page, str(ROOT), config.site_dir, False))
        else:
            files.append(File.generated(config, page, content=UNSEARCHED + _as_page(there)))
    for item in config.nav:
        for entry in next(iter(item.values())) if isinstance(next(iter(item.values())), list) else [item]:
            entry.update({title: page_of(path) for title, path in entry.items()})
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Links to what has become a page lead to that page."""
    if page.file.src_uri not in documents():
        return markdown
    folder = (ROOT / page.file.src_uri).parent

    def led(found: re.Match[str]) -> str:
        path = (folder / found[2]).resolve()
        if not (path.exists() and path.is_relative_to(ROOT)):
            return found[0]
        up = "../" * len(folder.relative_to(ROOT).parts)
        return f"{found[1]}{up}{page_of(str(path.relative_to(ROOT)))}{found[3]}"

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(led, part) for part in parts[::2]]
    return "".join(parts)


def _as_page(path: Path) -> str:
    name = path.relative_to(ROOT)
    if path.is_dir():
        return f"# `{name}/`\n\n| file | what it is |\n|---|---|\n" + "".join(
            f"| `{file.name}` | {_first_line(file)} |\n" for file in sorted(path.iterdir()) if _is_told(file)
        )
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "".join(_cell(cell) for cell in json.loads(text)["cells"])
    return f"# `{name}`\n\n``````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n``````\n"


def _cell(cell: dict[str, Any]) -> str:
    text = "".join(cell["source"])
    return f"{text}\n\n" if cell["cell_type"] == "markdown" else f"```python\n{text}\n```\n\n"


def _is_told(file: Path) -> bool:
    return not file.name.startswith(("_", ".")) or file.name == "__main__.py"


def _first_line(file: Path) -> str:
    """What a Python file says it is."""
    if file.suffix != ".py":
        return ""
    said = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(said.split()).replace("|", "\\|")
