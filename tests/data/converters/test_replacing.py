"""Other files under a name that a model was trained on: said in a line, with a name that is free."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prectr.shared.run.steps import run_step
from tests.data.converters.sources import convert_to, judgements, pages, write_csv, write_lines

PAIRS = "--query query --item_id id --item title --level rating"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def said(tmp_path: Path, capsys: Capture) -> Callable[[str], list[str]]:
    """Convert, and give the lines on what is replaced."""

    def convert(command: str, *flags: str) -> list[str]:
        convert_to(tmp_path, command, *flags)
        return [line for line in capsys.readouterr().out.splitlines() if "they replace" in line]

    return convert


def train(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "artifacts" / "mine" / name
    run_step(name, folder, {}, lambda work: None)
    return folder


def test_what_a_model_was_trained_on_is_not_replaced_silently(tmp_path: Path, said: Callable[[str], list[str]]) -> None:
    log, rated = write_lines(tmp_path / "a.jsonl", pages()), write_csv(tmp_path / "b.csv", judgements())
    assert said(f"result_pages {log}") == said(f"table {rated} {PAIRS}") == said(f"result_pages {log}") == []
    encoder, ranker = train(tmp_path, "encoder"), train(tmp_path, "ranker")
    assert said(f"result_pages {log}") == said(f"result_pages {log} --seed 5") == []
    (tmp_path / "artifacts" / "mine-2").mkdir()
    [line] = said(f"table {rated} {PAIRS}")
    assert line.startswith(f"{tmp_path / 'artifacts' / 'mine' / 'data'}: these are other files: they replace")
    assert line.endswith(f"the tables that {ranker} was trained on; to keep both: --name mine-3")
    (ranker / "step.json").unlink()
    [line] = said(f"result_pages {log}")
    assert str(encoder) in line


def test_added_days_replace_nothing(tmp_path: Path, said: Callable[[str], list[str]]) -> None:
    first, second = (write_lines(tmp_path / f"{n}.jsonl", pages(120)[n * 60 : n * 60 + 60]) for n in range(2))
    said(f"result_pages {first}")
    train(tmp_path, "ranker")
    assert said(f"result_pages {second} --append") == []
