"""The notebook of the first day runs from top to bottom, and the repository holds it as nobody has run it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "first_day.ipynb"
MOST_SECONDS = 90
"""Of the processor."""
SPENT = """
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))
"""


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_valid_and_holds_no_output_and_no_path() -> None:
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", NOTEBOOK.read_text(encoding="utf-8"))


def test_its_links_lead_somewhere() -> None:
    linked = re.findall(r"\]\(([^)#]+)", "\n".join(cell.source for cell in read().cells))
    assert linked and [path for path in linked if not (NOTEBOOK.parent / path).exists()] == []


def text_of(cell: Any) -> str:
    """What a cell printed and showed."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(parts)


@pytest.mark.slow
def test_it_runs_from_log_to_the_next_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = read()
    notebook.cells.append(nbformat.v4.new_code_cell(SPENT))
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()

    *said, seconds = [text_of(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert 0 < float(seconds) < MOST_SECONDS
    assert (tmp_path / "artifacts" / "toy" / "report.html").is_file()
    assert "p_click" in said[-3] and " is above " in said[-2]
    clicked = next(line for line in said[-1].splitlines() if line.endswith("True"))
    past, now = map(float, clicked.split()[-3:-1])
    assert past != now
    print(f"{float(seconds):.0f} s of the processor")
