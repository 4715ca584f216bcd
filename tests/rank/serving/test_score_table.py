"""`python -m rank score`: the run's own numbers for any table, in any order, or one sentence and no file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.data.contract import read_table
from prectr.rank.__main__ import main
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.serving.config import ScoreArguments
from prectr.rank.serving.own_names import OwnNames
from prectr.rank.serving.score_table import page_blocks, score_file
from prectr.rank.serving.scorer import Scorer, StageOne
from prectr.rank.serving.stored import StoredPairs
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.values.times import FIRST, LAST
from tests.rank.toy_run import predictions, split_of

CONTEXT = ["ctx_num_price", "ctx_num_discount", "ctx_cat_weekday"]


def scores(scorer: Scorer, table: pa.Table, folder: Path, rows_at_once: int = 1000) -> pa.Table:
    pq.write_table(table, folder / "in.parquet")
    score_file(scorer, folder / "in.parquet", folder / "out.parquet", rows_at_once)
    return pq.read_table(folder / "out.parquet")


def test_scores_are_the_numbers_of_the_runs_own_predictions(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    where = ["--ranker", str(home / "ranker"), "--output", str(output), "--rows_at_once", "1500"]
    main(["score", "--profile", "smoke", "--impressions", str(home / "data" / "impressions.parquet"), *where])
    found = pq.read_table(output)
    for split in ("test", "new_users"):
        table, expected = split_of(home, split), predictions(home, split)
        row = pc.index_in(table["impression_id"], value_set=found["impression_id"].combine_chunks())
        for name, values in expected.items():
            np.testing.assert_allclose(np.stack(found[name].take(row).to_pylist()), values, atol=1e-6, err_msg=name)


def test_the_order_of_rows_and_the_size_of_blocks_change_nothing(home: Path, scorer: Scorer, tmp_path: Path) -> None:
    table = split_of(home, "test")
    expected = scores(scorer, table, tmp_path, 100_000)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    found = scores(scorer, shuffled, tmp_path, 600).sort_by("impression_id")
    assert found["impression_id"].equals(expected.sort_by("impression_id")["impression_id"])
    np.testing.assert_allclose(found["p_click"], expected.sort_by("impression_id")["p_click"], atol=1e-6)


def test_clicks_positions_splits_and_impression_ids_may_be_absent(home: Path, scorer: Scorer, tmp_path: Path) -> None:
    table = split_of(home, "test")
    found = scores(scorer, table.drop_columns(["clicked", "position", "split", "impression_id"]), tmp_path)
    assert found.column_names == ["row", "p_click", "level_prob", "p_click_given_level", "tau"]
    assert found["row"].to_pylist() == list(range(len(table)))
    np.testing.assert_allclose(found["p_click"], scores(scorer, table, tmp_path)["p_click"], atol=1e-6)


def test_without_behaviours_every_user_is_new(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "items only"
    data.mkdir()
    pq.write_table(read_table(home / "data", "items"), data / "items.parquet")
    alone = Scorer.open(home / "ranker", data, batch_size=4096)
    table = split_of(home, "test")
    pq.write_table(table, tmp_path / "in.parquet")
    summary = score_file(alone, tmp_path / "in.parquet", tmp_path / "out.parquet", 1000)
    strangers = table.set_column(
        2, "user_id", pa.array([f"never seen {user}" for user in table["user_id"].to_pylist()])
    )
    assert summary["known_users"] == 0 and summary["rows"] == len(table)
    np.testing.assert_array_equal(
        pq.read_table(tmp_path / "out.parquet")["p_click"], scores(alone, strangers, tmp_path)["p_click"]
    )


def test_another_folder_of_the_same_past_gives_the_same_scores(home: Path, scorer: Scorer, tmp_path: Path) -> None:
    for name in ("items", "behaviours"):
        pq.write_table(read_table(home / "data", name), tmp_path / f"{name}.parquet", compression="gzip")
    elsewhere = Scorer.open(home / "ranker", tmp_path, batch_size=4096)
    table = split_of(home, "test")
    np.testing.assert_allclose(
        scores(elsewhere, table, tmp_path)["p_click"], scores(scorer, table, tmp_path)["p_click"], atol=1e-6
    )


def test_a_pair_nobody_stored_is_scored_by_the_runs_encoder(home: Path) -> None:
    items, encoder = read_table(home / "data", "items"), LevelEncoder.from_pretrained(kept_encoder(home))
    stored = pq.read_table(home / "level_prob" / "level_prob.parquet")
    ids = [stored["item_id"][0].as_py(), items["item_id"][3].as_py()]
    pairs = pa.table({"query": [stored["query"][0].as_py(), "a red table"], "item_id": ids})
    found = StageOne(encoder, items, StoredPairs(lambda: stored)).of(pairs).lookup(pairs["query"], pairs["item_id"])
    np.testing.assert_allclose(found[0], stored["level_prob"][0].as_py(), atol=1e-6)
    np.testing.assert_allclose(found[1], encoder.score_pairs(["a red table"], [items["text"][3].as_py()])[0], atol=1e-5)


def broken(table: pa.Table, what: str) -> pa.Table:
    user = pa.array(["someone else", *table["user_id"].to_pylist()[1:]])
    missing = pa.array([None, *table["query"].to_pylist()[1:]], pa.string())
    return {
        "column 'query' is missing": lambda: table.drop_columns("query"),
        "column 'ctx_num_price' is missing": lambda: table.drop_columns("ctx_num_price"),
        "which has another|has another user_id too": lambda: table.set_column(2, "user_id", user),
        "query, row 0: a value is required": lambda: table.set_column(3, "query", missing),
        "item 'nothing' is not in items": lambda: table.set_column(5, "item_id", pa.array(["nothing"] * len(table))),
        "column 'timestamp' is string": lambda: table.set_column(7, "timestamp", pa.array(["now"] * len(table))),
    }[what]()


@pytest.mark.parametrize(
    "what",
    [
        "column 'query' is missing",
        "column 'ctx_num_price' is missing",
        "which has another|has another user_id too",
        "query, row 0: a value is required",
        "item 'nothing' is not in items",
        "column 'timestamp' is string",
    ],
)
def test_a_broken_table_is_one_sentence_and_no_file(home: Path, scorer: Scorer, tmp_path: Path, what: str) -> None:
    table = read_table(home / "data", "impressions")
    assert [table.column_names[place] for place in (2, 3, 5, 7)] == ["user_id", "query", "item_id", "timestamp"]
    table = broken(table.filter(pc.field("split") == "test"), what)
    with pytest.raises(PrectrError, match=what):
        scores(scorer, table, tmp_path)
    assert not (tmp_path / "out.parquet").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", [pa.int64(), pa.timestamp("s"), pa.timestamp("us")], ids=str)
@pytest.mark.parametrize(
    ("seconds", "hint"),
    [
        (1_700_000_000_000, r" \(in milliseconds\?\)"),
        (1_700_000_000_000_000, r" \(in microseconds\?\)"),
        (0, ""),
        (-1, ""),
        (FIRST - 1, ""),
        (LAST, ""),
    ],
)
def test_a_time_outside_the_years_of_every_converter_is_refused_with_its_row(
    tmp_path: Path, seconds: int, hint: str, kind: pa.DataType
) -> None:
    if kind == pa.timestamp("us") and seconds > 10**14:
        pytest.skip("no such number in microseconds")
    times = pa.array([FIRST, LAST - 1, seconds], pa.timestamp("s")).cast(kind)
    texts = {name: ["a", "b", "c"] for name in ("query", "item_id")}
    pq.write_table(pa.table({"page_id": [0, 1, 2], **texts, "timestamp": times}), tmp_path / "in.parquet")
    with pytest.raises(
        PrectrError, match=f"in.parquet: timestamp, row 2: found '{seconds}', .*1990 to 2100{hint}: give"
    ):
        list(page_blocks(tmp_path / "in.parquet", [], 1000))


def test_no_such_table_and_no_parquet_are_said_before_a_model_is_opened(home: Path, tmp_path: Path) -> None:
    flags = ["--profile", "smoke", "--ranker", str(tmp_path / "none"), "--output", str(tmp_path / "out.parquet")]
    with pytest.raises(PrectrError, match="no such file"):
        main(["score", *flags, "--impressions", str(tmp_path / "in.parquet")])
    (tmp_path / "in.parquet").write_bytes(b"PAR1 and no more")
    where = ["--data", str(home / "data")]
    with pytest.raises(PrectrError, match="not a Parquet file, or a damaged one"):
        main(["score", *flags, *where, "--impressions", str(tmp_path / "in.parquet")])


def test_a_log_that_is_no_parquet_is_told_what_to_do_before_anything_is_loaded(tmp_path: Path) -> None:
    log, data = tmp_path / "log.csv", tmp_path / "data"
    log.write_text("Kunde;Suchbegriff")
    asked = ScoreArguments(impressions=str(log), output="out.parquet")
    with pytest.raises(PrectrError, match=r"data convert table .*log\.csv --name new`\) and score artifacts/new/data"):
        asked.require_parquet(data)
    data.mkdir()
    (data / "mapping.yaml").write_text("query: Suchbegriff")
    with pytest.raises(PrectrError, match=rf"log\.csv --mapping {data}/mapping\.yaml --name new`"):
        asked.require_parquet(data)
    code = f"from prectr.rank.__main__ import main; main(['score', '--impressions', {str(log)!r}, '--output', 'o'])"
    timed = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True)
    assert "log.csv is not a Parquet file: write its rows as one" in timed.stderr
    assert not {"torch", "transformers"} & {line.rpartition("|")[2].strip() for line in timed.stderr.splitlines()}


OWN = {"page_id": ["Suche-Nr."], "user_id": ["Kunde"], "query": ["Suchbegriff"], "timestamp": ["Zeitpunkt"]}
OWN |= {"item_id": ["Artikelnr"], "ctx_num_price": ["Preis"], "position": ["Platz"], "ctx_cat_weekday": ["Tag"]}


def own(table: pa.Table) -> pa.Table:
    """The table in the shop's words; its pages are called by texts."""
    pages = pa.array([f"S{page:04d}" for page in table["page_id"].to_pylist()])
    table = table.set_column(table.column_names.index("page_id"), "page_id", pages)
    return table.rename_columns([OWN.get(name, [name])[0] for name in table.column_names])


def test_a_table_in_the_shop_s_words_has_the_same_scores(home: Path, scorer: Scorer, tmp_path: Path) -> None:
    table = split_of(home, "test")
    expected = scores(scorer, table, tmp_path)
    pq.write_table(own(table), tmp_path / "own.parquet")
    score_file(scorer, tmp_path / "own.parquet", tmp_path / "out.parquet", 700, OwnNames(OWN))
    found = pq.read_table(tmp_path / "out.parquet").sort_by("impression_id")
    expected = expected.sort_by("impression_id")
    assert found["impression_id"].equals(expected["impression_id"])
    np.testing.assert_allclose(found["p_click"], expected["p_click"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop_columns("Suche-Nr."), r"column 'page_id' \(here 'Suche-Nr\.'\) is missing; found"),
        (lambda table: table.drop_columns("Preis"), r"column 'ctx_num_price' \(here 'Preis'\) is missing"),
        (lambda table: table.append_column("query", table["Suchbegriff"]), "'Suchbegriff' and 'query' say the same"),
        (
            lambda table: table.set_column(7, "Zeitpunkt", pa.array(["20.04.2024 10:00"] * len(table))),
            r"column 'timestamp' \(here 'Zeitpunkt'\) is string: write it as timestamp",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_shop_s_words(
    home: Path, tmp_path: Path, change: Callable[[pa.Table], pa.Table], sentence: str
) -> None:
    pq.write_table(change(own(split_of(home, "test"))), tmp_path / "in.parquet")
    with pytest.raises(PrectrError, match=sentence):
        list(page_blocks(tmp_path / "in.parquet", CONTEXT, 1000, OwnNames(OWN)))


def test_the_names_are_those_in_the_data_folder(home: Path, tmp_path: Path) -> None:
    summary = home / "data" / "summary.json"
    summary.write_text(json.dumps({"conversion": {"names": OWN}}))
    pq.write_table(own(split_of(home, "test")), tmp_path / "own.parquet")
    where = ["--ranker", str(home / "ranker"), "--output", str(tmp_path / "out.parquet")]
    main(["score", "--profile", "smoke", "--impressions", str(tmp_path / "own.parquet"), *where])
    summary.unlink()
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == len(split_of(home, "test"))


@given(st.lists(st.tuples(st.sampled_from(["train", "test"]), st.integers(0, 4)), max_size=30), st.integers(1, 40))
def test_every_page_comes_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], rows_at_once: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks.parquet"
    n = len(rows)
    same = {"user_id": pa.array(["u"] * n, pa.string()), "query": pa.array(["q"] * n, pa.string())}
    same |= {"query_category": pa.array(["c"] * n, pa.string()), "item_id": pa.array(["i"] * n, pa.string())}
    page_id = pa.array([page for _, page in rows], pa.int64())
    split = pa.array([split for split, _ in rows], pa.string())
    pq.write_table(
        pa.table(
            {"page_id": page_id, "split": split, "timestamp": pa.array([1_700_000_000] * n, pa.timestamp("s")), **same}
        ),
        path,
    )
    blocks = list(page_blocks(path, [], rows_at_once))
    assert sorted(row for found, _ in blocks for row in found.tolist()) == list(range(n))
    seen = [{rows[row] for row in found.tolist()} for found, _ in blocks]
    assert sum(map(len, seen)) == len(set(rows))
    for found, block in blocks:
        pages = dict(zip(block["page_id"].to_pylist(), (rows[row] for row in found.tolist()), strict=True))
        assert len(set(pages.values())) == len(pages)
