"""A shop whose every text means something to somebody: markup, tags, links, formulas, controls, marks of direction.

To this project a text is data. One hostile catalogue goes through every command; what they print, the report and the
cards show it and obey none of it. Tables leave as Parquet and JSON alone: no command writes CSV for a spreadsheet.
"""

import contextlib
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

import prectr.data.toy as toy
from prectr.data.__main__ import main as data_main
from prectr.data.contract import SCHEMAS, has_table, read_table, write_table
from prectr.data.report import show, write_summary
from prectr.distill.__main__ import main as distill_main
from prectr.rank.__main__ import main as rank_main
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import UNSEEN, console
from prectr.shared.values.texts import plain_text

pytestmark = pytest.mark.slow

HOSTILE = (
    "[/x]", "[NEW]", "[bold red]b[/]", ":smile:", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "</title></td>&amp;", "# heading", "[click](http://evil.example)", "![i](http://evil.example/i.png)", "```",
    "| a | b |", "a\x1b[2J\x1b]0;owned\x07b", "pay\u202egnp.exe", "\u2066x\u2069", "\x7f\x9b31m", "=cmd|' /C calc'!A1",
    "+1", "-2+3", "@SUM(1)", "{{ 7*7 }}{% raw %}", "%s %(x)s {0}", "'; DROP TABLE items; --", "NaN", "null",
    "🥛👩\u200d🍳",
)  # fmt: skip
LEVELS = [
    "<script>alert(1)</script> [/x]",
    "# up [click](http://evil.example) ``` |",
    "=cmd|' /C calc'!A1 `x`\x1b[2J",
    "[NEW] pay\u202egnp <b>exact</b>",
]
REMARK = (
    "Made up.\n\n# Injected\n\n<script>alert(1)</script> [here](http://evil.example) ![i](http://evil.example) \x1b[2J"
)


def poisoned(column: pa.ChunkedArray, known: dict[str, str]) -> pa.Array:
    """Each distinct text with one of `HOSTILE` behind it, the same wherever it stands."""
    for text in sorted(set(column.drop_null().to_pylist()) - known.keys()):
        known[text] = plain_text(f"{text} {HOSTILE[len(known) % len(HOSTILE)]}")
    return pa.array([known.get(text) for text in column.to_pylist()], pa.string())


def poison(folder: Path) -> None:
    """The toy shop, every text of it hostile; ids of items and users too."""
    toy.build(folder, 17)
    fixed = {"split", "event_type"}
    known: dict[str, dict[str, str]] = {}
    for table in SCHEMAS:
        if not has_table(folder, table):
            continue
        rows = read_table(folder, table)
        columns = {name: rows[name] for name in rows.column_names}
        for name in rows.column_names:
            if pa.types.is_string(rows[name].type) and name not in fixed:
                kind = "category" if name == "query_category" else name
                columns[name] = poisoned(rows[name], known.setdefault(kind, {}))
        write_table(folder, table, columns, LEVELS if table == "pairs" else None)
    write_summary(folder, reconstructed=REMARK)


@contextlib.contextmanager
def printed() -> Iterator[io.StringIO]:
    """What is said meanwhile, on both streams, on a terminal wide enough to break nothing."""
    said, width = io.StringIO(), console.width
    console.width = 3000
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        console.width = width


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def said(artifacts: Path) -> dict[str, str]:
    """What each command printed."""
    home, data = artifacts / "toy", artifacts / "toy" / "data"
    poison(data)
    where = ["--profile", "smoke", "--artifacts", str(artifacts)]
    repo = ["--repo", "someone/model", "--dry_run"]
    scores = ["--impressions", str(data / "impressions.parquet"), "--output", str(artifacts / "scores.parquet")]
    page = str(read_table(data, "impressions").filter(pc.field("split") == "test")["page_id"][0].as_py())
    source = artifacts / "source.jsonl"
    lines = [
        {"q": query, "t": text, "l": level} for query in ("a", "b", "c", "d") for text in HOSTILE for level in "01"
    ]
    lines = [
        {**line, "q": f"{line['q']} {HOSTILE[at % 20]}", "t": f"{line['l']} {line['t']}"}
        for at, line in enumerate(lines)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    convert = ["--query", "q", "--item", "t", "--level", "l", "--name", "converted", "--artifacts", str(artifacts)]
    commands: dict[str, Callable[[], object]] = {
        "data convert": lambda: data_main(["convert", "table", str(source), *convert]),
        "data check": lambda: data_main(["check", str(data)]),
        "data validate": lambda: data_main(["validate", str(data)]),
        "data build": lambda: show(data),
        "distill check-teacher": lambda: distill_main(["check-teacher", *where]),
        "distill run": lambda: distill_main(["run", *where]),
        "distill publish": lambda: distill_main(["publish", *where, *repo]),
        "distill publish labels": lambda: distill_main(["publish", *where, *repo, "--what", "labels"]),
        "distill publish data": lambda: distill_main(["publish", *where, *repo, "--what", "data"]),
        "rank run": lambda: rank_main(["run", *where]),
        "rank table": lambda: rank_main(["table", *where]),
        "rank report": lambda: rank_main(["report", *where]),
        "rank score": lambda: rank_main(["score", *where, *scores]),
        "rank explain": lambda: rank_main(["explain", *where, "--page", page]),
        "rank explain --json": lambda: rank_main(["explain", *where, "--page", page, "--json"]),
        "rank validate": lambda: rank_main(["validate", *where, "--log", str(data), "--split", "test"]),
        "rank publish": lambda: rank_main(["publish", *where, *repo]),
    }
    found = {}
    for name, command in commands.items():
        with printed() as text:
            command()
        found[name] = text.getvalue()
    assert home.is_dir()
    return found


def test_nothing_that_a_terminal_obeys_is_printed(said: dict[str, str]) -> None:
    for command, text in said.items():
        assert not UNSEEN.findall(text.replace("\r", "")), command


def test_texts_are_printed_as_they_are(said: dict[str, str]) -> None:
    assert all(said.values())
    for command in ("data check", "data build", "rank explain", "rank run", "rank table", "rank score"):
        text = said[command]
        assert "<script>alert(1)</script>" in text and "[here](http://evil.example)" in text, command
    explained = " ".join(said["rank explain"].split())  # captions are broken between words
    assert all(name in explained for name in ("[/x]", "[NEW] pay\\u202egnp", "calc'!A1 `x`\\u001b[2J"))


def test_explained_json_is_json_and_holds_the_texts(said: dict[str, str], artifacts: Path) -> None:
    facts = json.loads(said["rank explain --json"])
    assert facts["level_names"] == LEVELS and facts["reconstructed"] == REMARK
    texts = dict(
        zip(
            *(read_table(artifacts / "toy" / "data", "items")[name].to_pylist() for name in ("item_id", "text")),
            strict=True,
        )
    )
    assert all(each["text"] == texts[each["item_id"]] for each in facts["candidates"])


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_escapes_all_of_it(said: dict[str, str], artifacts: Path) -> None:
    source = (artifacts / "toy" / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "form", "b", "base", "link"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value and value.startswith("#") for name, value in page.attributes if name in ("href", "src"))
    assert not UNSEEN.findall(source)
    assert all(
        part in page.text for part in ("<script>alert(1)</script> [/x]", "# Injected", "\\u202egnp <b>exact</b>")
    )


CARDS = {
    "toy/encoder/README.md": "distill publish",
    "toy/labels/README.md": "distill publish labels",
    "toy/data/README.md": "distill publish data",
    "toy/ranker/README.md": "rank publish",
}


@pytest.mark.parametrize("card", CARDS)
def test_a_card_holds_no_markup_of_theirs(said: dict[str, str], artifacts: Path, card: str) -> None:
    source = (artifacts / card).read_text(encoding="utf-8")
    assert not UNSEEN.findall(source)
    _, front, body = re.split(r"^---$", source, maxsplit=2, flags=re.MULTILINE)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    flat = [each for token in tokens for each in [token, *(token.children or [])]]
    markup = [each.content for each in flat if each.type in ("html_block", "html_inline", "image")]
    # What the card itself says in red of a trial run.
    assert all(
        re.fullmatch(r'<p style="color: #cf222e"><strong>TRIAL RUN: [^<>]*</strong></p>\n', each) for each in markup
    )
    links = {each.attrs["href"] for each in flat if each.type == "link_open"}
    assert links <= {"https://sbert.net"}
    headings = [tokens[place + 1].content for place, each in enumerate(tokens) if each.type == "heading_open"]
    assert headings and not [text for text in headings if re.search(r"Injected|up|evil|script", text)]
    shown = "".join(each.content for each in flat if each.type in ("text", "text_special", "code_inline"))
    assert "http://evil.example" in shown and "<script>alert(1)</script>" in shown
    assert "evil" not in front and "script" not in front
    tables = [each for each in tokens if each.type == "table_open"]
    rows = [each for each in tokens if each.type == "tr_open"]
    assert tables and len(rows) > len(tables)


def test_no_command_writes_a_table_that_a_spreadsheet_opens(said: dict[str, str], artifacts: Path) -> None:
    endings = {path.suffix.lower() for path in artifacts.rglob("*") if path.is_file()}
    assert endings and not endings & {".csv", ".tsv", ".xls", ".xlsx", ".ods"}


def test_the_converter_keeps_texts_to_the_sign(said: dict[str, str], artifacts: Path) -> None:
    pairs = pq.read_table(artifacts / "converted" / "data" / "pairs.parquet")
    items = pq.read_table(artifacts / "converted" / "data" / "items.parquet")
    texts = {text[2:] for text in [*items["text"].to_pylist(), *pairs["item_text"].to_pylist()] if text}
    assert texts == {plain_text(text) for text in HOSTILE}


def test_a_hostile_name_of_a_data_set_is_no_name(tmp_path: Path) -> None:
    for name in HOSTILE:
        if not re.fullmatch(r"\w+", name):
            with pytest.raises(PrectrError, match="give the data set a plain name|expected a text"):
                distill_main(["run", "--profile", "smoke", "--artifacts", str(tmp_path), "--name", name])
    assert not list(tmp_path.iterdir())
