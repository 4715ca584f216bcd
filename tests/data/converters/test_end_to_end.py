"""From somebody's files to a ranker, by the documented commands alone; and the smallest log, as the README shows it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.arguments.logs import PageArguments
from prectr.data.converters.convert import convert
from prectr.data.converters.formats.result_pages import _rows
from prectr.distill.__main__ import main as distill
from prectr.rank.__main__ import main as rank
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, pages, rows_of, write_lines
from tests.data.converters.test_page_logs import write_ubi

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "examples" / "pages.jsonl"


@pytest.mark.slow
@pytest.mark.parametrize("format", ["result_pages", "ubi"])
def test_a_small_log_goes_all_the_way_to_a_ranker(tmp_path: Path, format: str) -> None:
    if format == "ubi":
        folder = convert_to(tmp_path, write_ubi(tmp_path, count=240))
    else:
        folder = convert_to(tmp_path, f"result_pages {write_lines(tmp_path / 'pages.jsonl', pages(240))}")
    flags = ["--profile", "smoke", "--name", "mine", "--artifacts", str(tmp_path / "artifacts")]
    distill(["run", *flags])
    rank(["run", *flags])
    metrics = json.loads((folder.parent / "ranker" / "metrics.json").read_text())
    assert metrics["exposed"]["n"]["pages"] > 10 and (folder.parent / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["random", "random-cross-encoder"])
def test_judged_pairs_go_to_an_encoder(tmp_path: Path, teacher: str) -> None:
    from tests.data.converters.test_table import judged

    folder = judged(
        tmp_path, "--unlabelled_per_query", "14"
    )  # of three levels, where the default prompt has four words
    flags = ["--profile", "smoke", "--name", "mine", "--artifacts", str(tmp_path / "artifacts"), "--teacher", teacher]
    if teacher == "random":
        with pytest.raises(PrectrError, match="4 level words, but the data has 3 levels.*--prompt my.txt"):
            distill(["run", *flags])
        prompt = tmp_path / "my.txt"
        prompt.write_text("levels: none | weak | exact\n---\nSearch: {query}\nProduct: {item}\nMatch: ", "utf-8")
        flags += ["--prompt", str(prompt)]
    distill(["run", *flags])
    assert (folder.parent / "encoder" / "config.json").exists()


def converted_sample(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample, converted as data/README.md writes it."""
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    steps = text[text.index("## Bring your own log in five steps") : text.index("### What a converter decides")]
    [command] = re.findall(r"```bash\npython -m data convert (.*)\n```", steps)
    assert "examples/pages.jsonl" in command and "make rank DATA=mine" in steps and "PROFILE=smoke" in steps
    monkeypatch.chdir(ROOT)
    convert(read_conversion([*command.split(), "--artifacts", str(artifacts)]))
    return artifacts / "mine" / "data"


def test_the_sample_has_ten_lines_and_a_page_for_each_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(SAMPLE.read_text(encoding="utf-8").splitlines()) == 10
    rows = rows_of(converted_sample(tmp_path, monkeypatch), "impressions", "page_id", "split", "clicked")
    assert {split for _, split, _ in rows} == {"train", "validation", "test"} and len({row[0] for row in rows}) == 10
    assert {clicked for _, split, clicked in rows if split == "test"} == {True, False}


@pytest.mark.slow
def test_the_sample_goes_through_the_five_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stages, in the profile that data/README.md says to try first."""
    folder = converted_sample(tmp_path, monkeypatch).parent
    flags = ["--profile", "smoke", "--name", "mine", "--artifacts", str(tmp_path)]
    distill(["run", *flags])
    rank(["run", *flags])
    assert (folder / "report.html").is_file() and (folder / "encoder" / "README.md").is_file()


def test_the_readmes_smallest_log_is_one() -> None:
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    [line] = re.findall(r"```json\n(.*)\n```", text)
    assert SAMPLE.read_text(encoding="utf-8").splitlines()[0] == line, "the first of the sample"
    rows = list(_rows(Path("pages.jsonl"), 1, json.loads(line), PageArguments(), {}))
    assert [(row[0], row[1], row[4], row[5], row[8]) for row in rows] == [
        ("u7", "red shoe", "007", "Red leather shoe", "1"),
        ("u7", "red shoe", "12", "Blue shoe", "0"),
    ]


def test_make_takes_the_name_of_a_data_set(tmp_path: Path) -> None:
    """Neither stage builds the default data then, and a name that nobody wrote is one sentence."""
    (tmp_path / ".venv").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv" / "installed").touch()
    make = ["make", "-C", str(tmp_path), "rank", "DATA=mine"]
    missing = subprocess.run(make, capture_output=True, text=True, check=False)
    assert missing.returncode != 0
    assert "error: artifacts/mine/data is not there; write it first" in missing.stderr
    (tmp_path / "artifacts" / "mine" / "data").mkdir(parents=True)
    planned = subprocess.run([*make, "-n"], capture_output=True, text=True, check=True).stdout
    assert "data build" not in planned
    assert re.search(r'distill run --profile "default" +--name "mine"', planned)
    assert re.search(r'rank run --profile "default" +--name "mine"', planned)
    default = subprocess.run(
        ["make", "-C", str(tmp_path), "rank", "-n"], capture_output=True, text=True, check=True
    ).stdout
    assert "data build" in default and "--name" not in default and "error" not in default
