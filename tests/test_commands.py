"""Every command of every document is one that its parser takes, and what can run offline on the toy shop runs."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from importlib import import_module
from pathlib import Path

import pytest

from prectr.data.converters.arguments.command import read_conversion
from prectr.shared.errors import PrectrError
from prectr.shared.run.verbs import Stage
from tests.test_docs import DOCUMENTS
from tests.test_makefile import commands as commands_of_make

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = ("", "bash", "sh")
INDENTED = re.compile(r"^    (python -m .*)$", re.MULTILINE)
MENTION = re.compile(r"`((?:python -m|make|accelerate launch|torchrun) [^`]+)`")
UNFINISHED = ("…", "FORMAT", "|", "<", "$(")
"""Signs of a command that stands for several, or is continued elsewhere."""

TABLE = "query: q\nitem: [title]\nitem_id: sku\nclicked: click\ntimestamp: at\nname: mine\n"
"""What a conversion keeps of its flags, for `--append`."""


RECORDS = ("CHANGELOG.md", "EXPERIMENTS.md", "RESULTS.md")
"""Documents that tell what was run at the time."""


def lines_of(text: str) -> Iterator[tuple[str, bool]]:
    """Lines of a document's blocks, indented commands, and mentioned ones; whether it is more than a mention."""
    for language, block in BLOCK.findall(text):
        if language not in SHELL:
            continue
        yield from ((line, True) for line in block.replace("\\\n", " ").splitlines())
    yield from ((line, True) for line in INDENTED.findall(text))
    yield from ((" ".join(mention.split()), False) for mention in MENTION.findall(text))


def words_of(line: str) -> list[str]:
    """The words of a command; what is optional is taken."""
    return shlex.split(re.sub(r"(?<= )\[(--[^\]]*)\]", r"\1", line), comments=True)


def commands_in(document: Path) -> list[tuple[list[str], bool]]:
    """Every command of a document, as words; whether it is whole: one that is mentioned may lack what it needs."""
    found = []
    for line, whole in lines_of(document.read_text(encoding="utf-8")):
        plain = line.partition("  #")[0].partition(" # ")[0]
        known = re.match(
            r"(python -m (?:data|distill|rank|benchmarks|prectr)|make [a-z]|accelerate launch .* -m|torchrun)", plain
        )
        if known and not any(sign in plain for sign in UNFINISHED):
            found.append((words_of(plain), whole))
    return found


def check(words: list[str], whole: bool = True) -> None:
    """Have the command's own parser take it.

    Raises:
        PrectrError, SystemExit with another code than 0, AssertionError: it does not.
    """
    if words[0] == "make":
        with chdir(ROOT):
            lines = commands_of_make(*words[1:])
        for line in lines:
            if line.startswith(("data ", "distill ", "rank ")) and not any(sign in line for sign in UNFINISHED):
                check(["python", "-m", *shlex.split(line)])
    elif "-m" in words:
        try:
            _read(words)
        except SystemExit as stop:
            assert not stop.code, f"{' '.join(words)}: {stop.code}"
        except PrectrError as error:
            if whole or "missing: " not in str(error):
                raise


def _read(words: list[str]) -> None:
    module, *rest = words[words.index("-m") + 1 :]
    if module.startswith("benchmarks"):
        return  # some take a library that only `[bench]` brings: test_docs knows that they are there
    if module == "prectr":
        module, *rest = rest
    if not module.isidentifier() or module not in ("data", "distill", "rank"):
        return
    if module == "data" and rest[:1] == ["convert"]:
        read_conversion(rest[1:])
        return
    stage = import_module(f"prectr.{module}.__main__").STAGE
    assert isinstance(stage, Stage)
    stage.read(rest)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_is_taken_by_its_parser(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if document.name in RECORDS:
        return
    for name in ("mine", "newer"):
        kept = tmp_path / "artifacts" / name / "data" / "mapping.yaml"
        kept.parent.mkdir(parents=True)
        kept.write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    for words, whole in commands_in(document):
        check(words, whole)


def test_commands_are_found_and_wrong_ones_told(tmp_path: Path) -> None:
    assert all(len(commands_in(ROOT / name)) > 12 for name in ("README.md", "rank/README.md", "data/README.md"))
    page = tmp_path / "page.md"
    page.write_text(
        "`python -m rank score …` and `make rank`\n```\npython -m rank explain --pag 3 [--json]  # a slip\n```\n"
        "    python -m benchmarks.scale --rows 10\n"
    )
    found = commands_in(page)
    assert found[0] == (["python", "-m", "rank", "explain", "--pag", "3", "--json"], True) and len(found) == 3
    assert found[2] == (["make", "rank"], False)
    with pytest.raises(PrectrError, match="did you mean '--page'"):
        check(*found[0])
    with pytest.raises(AssertionError, match="unknown variable DATUM"):
        check(["make", "rank", "DATUM=mine"])
    check(["python", "-m", "data", "check"], whole=False)
    with pytest.raises(PrectrError, match="missing: FOLDER"):
        check(["python", "-m", "data", "check"])


def test_what_curl_sends_is_what_the_service_takes() -> None:
    from prectr.rank.service.bodies import EventsBody, RankBody

    page, events = re.findall(r"-d '(\{.*\})'", (ROOT / "rank" / "README.md").read_text(encoding="utf-8"))
    assert RankBody.model_validate(json.loads(page)).floor == 0.5
    assert EventsBody.model_validate(json.loads(events)).events[0].kind == "click"


def snippets(name: str, holding: str) -> list[str]:
    """Python of a document that has a word in it."""
    blocks = BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
    return [block for language, block in blocks if language == "python" and holding in block]


@pytest.mark.parametrize(
    ("name", "holding"), [("docs/concepts/measures.md", "gauc"), ("distill/README.md", "evaluate.load")]
)
def test_snippets_that_need_no_run(name: str, holding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = snippets(name, holding)
    exec(block, {})


def test_tables_that_are_written_by_hand_pass_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prectr.data.checks.validate import validate

    monkeypatch.chdir(tmp_path)
    (block,) = snippets("data/README.md", "write_table")
    exec(block, {})
    validate(Path("artifacts/mine/data"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which artifacts/journey is a finished run on the toy shop, and artifacts/newer/data later tables."""
    from prectr.data.toy import build
    from tests.test_end_to_end import run_all

    home = tmp_path_factory.mktemp("home")
    run_all(home / "artifacts")
    (home / "artifacts" / "toy").rename(home / "artifacts" / "journey")
    build(home / "artifacts" / "newer" / "data", 0, train_pages=200)
    shutil.copy(home / "artifacts" / "journey" / "data" / "impressions.parquet", home / "new.parquet")
    return home


def of_toy(text: str, toy: Path) -> str:
    """A document's text with what only the default data have exchanged for what the toy shop has."""
    from prectr.data.contract import read_table

    items = read_table(toy / "artifacts" / "journey" / "data", "items")["item_id"].to_pylist()
    page = json.loads((toy / "artifacts" / "journey" / "ranker" / "metrics.json").read_text())["example_page"]
    mine = {"180925": str(page), "1082185": items[0], "995242": items[1], "1005186": items[2]}
    for theirs, ours in (
        mine | {"artifacts/old/": "artifacts/journey/", "artifacts/mine/": "artifacts/journey/"}
    ).items():
        text = text.replace(theirs, ours)
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "holding"),
    [
        ("README.md", "AutoModel"),
        ("README.md", "ranker.score"),
        ("docs/concepts/relevance-level.md", "score_pairs"),
        ("docs/concepts/live-memory.md", "LiveRanker"),
    ],
)
def test_snippets_run_on_a_finished_run(
    name: str, holding: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "artifacts").symlink_to(toy / "artifacts")
    monkeypatch.chdir(tmp_path)
    (block,) = snippets(name, holding)
    exec(of_toy(block, toy), {})


VERBS = ("score", "explain", "validate", "table", "report")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "rank/README.md"])
def test_commands_of_a_finished_run_run_as_written(
    name: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from prectr.rank.__main__ import main

    monkeypatch.chdir(toy)
    ran = set()
    text = of_toy((ROOT / name).read_text(encoding="utf-8"), toy)
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    for words, _ in commands_in(tmp_path / "page.md"):
        verb = words[3] if words[:3] == ["python", "-m", "rank"] and len(words) > 3 else ""
        named = [] if "--name" in words else ["--name", "journey"]
        if verb in VERBS or "--warm_start" in words:
            main([*words[3:], "--profile", "smoke", *named])
            ran.add(verb)
    assert {"score", "explain", "validate", "run"} <= ran
    assert (toy / "scores.parquet").is_file() and (toy / "artifacts" / "newer" / "report.html").is_file()
    assert not (toy / "artifacts" / "newer" / "encoder").exists(), "a stage one that is not used"
    shutil.rmtree(toy / "artifacts" / "newer" / "ranker")
