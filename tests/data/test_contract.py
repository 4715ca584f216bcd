import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from prectr.data.checks.validate import validate, validate_pairs
from prectr.data.contract import (
    SCHEMAS,
    TableWriter,
    has_table,
    levels,
    own_names,
    read_table,
    reconstructed,
    table_path,
    write_table,
)
from prectr.shared.errors import PrectrError
from tests.data.checks.edits import change, column_as, put, put_number


@pytest.fixture
def copy(tmp_path: Path, toy_folder: Path) -> Path:
    shutil.copytree(toy_folder, tmp_path / "copy")
    return tmp_path / "copy"


def weighted(value: float | None) -> Callable[[pa.Table], pa.Table]:
    """A column of weights with `value` in row 3."""
    return lambda rows: rows.append_column("weight", pa.array([1.0, 2.0, 0.5, value, *[1.0] * (len(rows) - 4)]))


def first_row(folder: Path, table: str, column: str, value: object) -> int:
    return int(pc.index(read_table(folder, table)[column], value).as_py())


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("items", lambda rows: rows.drop_columns(["text"]), "column 'text' (string) is missing"),
        ("items", lambda rows: rows.rename_columns({"text": "texts"}), "is it 'texts'?"),
        ("items", lambda rows: rows.rename_columns({"category": "categry"}), "is it 'category'? If so rename it"),
        (
            "items",
            lambda rows: rows.append_column("colour", rows["text"]),
            "rename it to num_... or cat_..., or drop it",
        ),
        ("gold", lambda rows: rows.append_column("note", rows["query"]), "not in the contract: drop it"),
        ("items", lambda rows: column_as("num_price", pa.string())(rows), "'num_price' is string: write it as float"),
        ("items", put("text", 3, " "), "text, row 3: found ' '"),
        ("items", put("item_id", 3, None), "item_id, row 3: found None: a value is required"),
        ("items", put("num_price", 3, float("nan")), "num_price, row 3: found nan"),
        ("items", put("item_id", 0, "T001"), "found 'T001': it occurs twice, first in row 0: every row needs its own"),
        ("items", put("text", 3, None), "text, row 3: found None: a value is required"),
        ("items", put("text", 3, "\x00\u200b"), "text, row 3: found '\\x00\\u200b': write a text with a visible"),
        ("items", put("text", 3, "\n" * 99_999), "\\n': write a text with a visible character, or drop the row"),
        ("pairs", put("query", 3, " \t\n"), "query, row 3: found ' \\t\\n': write a text with a visible character"),
        ("pairs", put("query", 3, None), "query, row 3: found None: a value is required"),
        ("pairs", lambda rows: rows.append_column("query", rows["query"]), "column 'query' occurs twice"),
        (
            "pairs",
            column_as("level", pa.float64()),
            "'level' is double: write it as int8 (in pandas: astype('Int64'), which knows gaps)",
        ),
        ("pairs", column_as("level", pa.string()), "'level' is string: write it as int8"),
        ("pairs", put_number("level", 7, 256), "level, row 7: found 256: write a number that fits int8"),
        ("pairs", put("level", 0, 4), "level, row 0: found 4: levels go from 0 to 3 (irrelevant, related"),
        ("pairs", put("split", 3, "dev"), "split, row 3: found 'dev': use one of train, validation"),
        ("pairs", put("item_id", 3, None), "item_id, row 3: found None: give exactly one of item_id and item_text"),
        ("pairs", put("item_id", 3, "X"), "items.parquet has no such item_id"),
        ("pairs", put("level", 0, -1), "level, row 0: found -1: levels go from 0 to 3"),
        ("gold", put("level", 0, 4), "level, row 0: found 4: levels go from 0 to 3"),
        ("pairs", put("level", 0, None), "a level is null exactly where split is 'unlabelled'"),
        ("impressions", put("impression_id", 9, 8), "impression_id, row 9: found 8: it occurs twice"),
        ("impressions", put("position", 2, -1), "position, row 2: found -1"),
        ("impressions", put("user_id", 2, "nobody"), "users.parquet has no such user_id"),
        ("impressions", put("query", 2, "silk pillow"), "query: page"),
        (
            "behaviours",
            put("page_id", 2, None),
            "page_id, row 2: found None: given exactly where event_type is 'search'",
        ),
        ("behaviours", put("event_type", 2, ""), "event_type, row 2: found '': write a text with a visible"),
        ("behaviours", put("event_type", 2, "serach"), "given exactly where event_type is 'search'"),
        ("impressions", weighted(0.0), "weight, row 3: found 0.0: a weight is above 0"),
        ("impressions", weighted(float("nan")), "weight, row 3: found nan: write a finite number"),
        ("impressions", weighted(None), "weight, row 3: found None: a value is required"),
        (
            "impressions",
            lambda rows: rows.append_column("label_bought", rows["position"]),
            "'label_bought' is int32: write it as bool",
        ),
        ("behaviours", lambda rows: pa.concat_tables([rows.slice(100), rows.slice(0, 100)]), "sort the table"),
        ("gold", lambda rows: rows.slice(1), "1 shown pairs have none"),
        ("queries", lambda rows: rows.slice(1), "queries.parquet has no such query"),
    ],
)
def test_what_breaks_the_contract_is_named(
    copy: Path, table: str, edit: Callable[[pa.Table], pa.Table], message: str
) -> None:
    change(copy, table, edit)
    with pytest.raises(PrectrError, match=re.escape(message)) as error:
        validate(copy)
    assert f"{table}.parquet" in str(error.value) or table == "queries"
    assert all(len(line) < 400 for line in str(error.value).splitlines())
    if table in ("items", "pairs") and "num_price" not in message:
        with pytest.raises(PrectrError, match=re.escape(message)):
            validate_pairs(copy)


def test_weights_labels_and_any_named_type_of_event_keep_the_contract(copy: Path) -> None:
    change(copy, "impressions", weighted(3.0))
    change(copy, "impressions", lambda rows: rows.append_column("label_bought", rows["clicked"]))
    purchase = first_row(copy, "behaviours", "event_type", "purchase")
    change(copy, "behaviours", put("event_type", purchase, "add_to_cart"))
    validate(copy)
    impressions = read_table(copy, "impressions")
    assert impressions.schema.field("weight").type == pa.float32()
    assert impressions.schema.field("label_bought").type == pa.bool_()


def test_what_happened_without_a_page_cannot_be_skipped(copy: Path) -> None:
    purchase = first_row(copy, "behaviours", "event_type", "purchase")
    change(copy, "behaviours", put("clicked", purchase, False))
    with pytest.raises(PrectrError, match=rf"clicked, row {purchase}: found False: only a row of type 'search'"):
        validate(copy)


def test_a_trained_held_out_user_is_an_error(copy: Path) -> None:
    held_out = read_table(copy, "impressions").filter(pc.field("split") == "new_users")["user_id"][0].as_py()
    page = read_table(copy, "impressions")["page_id"][0].as_py()

    def edit(rows: pa.Table) -> pa.Table:
        users = pc.if_else(pc.equal(rows["page_id"], page), held_out, rows["user_id"])
        return rows.set_column(rows.column_names.index("user_id"), "user_id", users)

    change(copy, "impressions", edit)
    with pytest.raises(PrectrError, match="'new_users' may not be trained on"):
        validate(copy)


def test_a_held_out_wording_in_training_is_an_error(copy: Path) -> None:
    unseen = read_table(copy, "queries").filter(~pc.field("seen_in_training"))["query"][0].as_py()
    change(copy, "pairs", put("query", first_row(copy, "pairs", "split", "unlabelled"), unseen))
    with pytest.raises(PrectrError, match="queries.parquet says it is not seen in training"):
        validate(copy)


def test_splits_must_follow_each_other_in_time(copy: Path) -> None:
    def edit(rows: pa.Table) -> pa.Table:
        swapped = pc.if_else(pc.equal(rows["split"], "validation"), "train", rows["split"])
        swapped = pc.if_else(pc.equal(rows["split"], "train"), "validation", swapped)
        return rows.set_column(rows.column_names.index("split"), "split", swapped)

    change(copy, "impressions", edit)
    with pytest.raises(PrectrError, match="split 'train' ends at .* but 'validation' begins at"):
        validate(copy)


def test_users_queries_and_gold_may_be_missing(copy: Path) -> None:
    for table in ("users", "queries", "gold"):
        table_path(copy, table).unlink()
        assert not has_table(copy, table)
    validate(copy)


def test_users_and_categories_may_be_unknown_or_absent(copy: Path) -> None:
    change(copy, "impressions", lambda rows: rows.filter(pc.field("split") != "new_users"))
    change(copy, "impressions", lambda rows: rows.drop_columns(["user_id", "query_category"]))
    change(copy, "behaviours", lambda rows: rows.drop_columns(["user_id"]))
    change(copy, "items", put("category", 3, None))
    validate(copy)
    impressions = read_table(copy, "impressions")
    assert impressions.select(SCHEMAS["impressions"].names).schema.types == SCHEMAS["impressions"].types
    assert impressions["user_id"].null_count == impressions["query_category"].null_count == impressions.num_rows
    only = read_table(copy, "impressions", ["user_id", "item_id"])
    assert only.column_names == ["user_id", "item_id"] and only.num_rows == impressions.num_rows
    assert read_table(copy, "behaviours", ["user_id"])["user_id"].null_count > 0
    assert read_table(copy, "items")["category"].null_count == 1


def test_a_new_user_has_a_name(copy: Path) -> None:
    row = first_row(copy, "impressions", "split", "new_users")
    change(copy, "impressions", lambda rows: rows.drop_columns(["user_id"]))
    with pytest.raises(
        PrectrError, match=f"user_id, row {row} .*: found None: split 'new_users' is of users with a name"
    ):
        validate(copy)


def test_a_missing_table_names_the_command(copy: Path) -> None:
    table_path(copy, "items").unlink()
    with pytest.raises(PrectrError, match=r"items.parquet is missing: build the data set with `python -m data build`"):
        validate(copy)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_said(copy: Path, share: float) -> None:
    whole = table_path(copy, "pairs").read_bytes()
    table_path(copy, "pairs").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        PrectrError, match="pairs.parquet is not a Parquet file, or a damaged one .*: write it again"
    ) as e:
        validate_pairs(copy)
    assert len(str(e.value).splitlines()) == 1


def test_a_file_that_is_not_parquet_is_said(copy: Path) -> None:
    table_path(copy, "items").write_text("item_id,text,category\na,milk,x\n" * 99)
    with pytest.raises(PrectrError, match="is not a Parquet file"):
        read_table(copy, "items")
    table_path(copy, "items").unlink()
    table_path(copy, "items").mkdir()
    with pytest.raises(PrectrError, match="is a folder, a pipe or a device"):
        read_table(copy, "items")


def test_a_damaged_page_is_said(copy: Path) -> None:
    damaged = bytearray(table_path(copy, "items").read_bytes())
    damaged[4:400] = bytes(396)
    table_path(copy, "items").write_bytes(damaged)
    with pytest.raises(PrectrError, match="items.parquet is not a Parquet file, or a damaged one"):
        validate_pairs(copy)


def test_an_unknown_table_is_said(copy: Path) -> None:
    with pytest.raises(PrectrError, match="no table 'clicks'"):
        read_table(copy, "clicks")


def test_columns_of_the_same_kind_are_cast(copy: Path) -> None:
    change(copy, "items", column_as("text", pa.large_string()))
    change(copy, "items", column_as("num_price", pa.float64()))
    change(copy, "items", lambda rows: column_as("category", pa.dictionary(pa.int32(), pa.string()))(rows))
    change(copy, "impressions", column_as("timestamp", pa.timestamp("ns")))
    validate(copy)
    assert read_table(copy, "items").schema.field("text").type == pa.string()
    assert read_table(copy, "items").schema.field("num_price").type == pa.float32()
    assert read_table(copy, "impressions", ["timestamp"]).schema.types == [pa.timestamp("s")]


def test_ids_that_are_numbers_are_refused(copy: Path) -> None:
    change(copy, "users", lambda rows: rows.set_column(0, "user_id", pa.array(range(rows.num_rows))))
    with pytest.raises(PrectrError, match="'user_id' is int64: write it as string"):
        validate(copy)


def test_a_table_written_in_parts_is_one_table(tmp_path: Path) -> None:
    with TableWriter(tmp_path, "items") as writer:
        for part in ("a", "b"):
            writer.write({"item_id": [part], "text": [f"text {part}"], "category": ["c"]})
    assert read_table(tmp_path, "items")["item_id"].to_pylist() == ["a", "b"]
    assert read_table(tmp_path, "items").schema.types == SCHEMAS["items"].types


def test_levels_come_from_the_data(tmp_path: Path) -> None:
    rows = {
        "query": ["q", "q"],
        "item_id": [None, None],
        "item_text": ["a", "b"],
        "level": [0, 4],
        "split": ["train"] * 2,
    }
    rows["item_id"] = pa.nulls(2, pa.string())
    write_table(tmp_path, "pairs", rows)
    assert levels(tmp_path) == [f"level {level}" for level in range(5)]
    write_table(tmp_path, "pairs", rows, ["bad", "poor", "fair", "good", "perfect"])
    assert levels(tmp_path) == ["bad", "poor", "fair", "good", "perfect"]
    write_table(tmp_path, "pairs", rows, ["bad", "good"])
    with pytest.raises(PrectrError, match=r"level, row 1: found 4: levels go from 0 to 1 \(bad, good\): correct it"):
        levels(tmp_path)


@pytest.mark.parametrize(
    ("level", "found"), [([None, None], "no row has one"), ([0, 0], "the highest is 0 but 1 levels are named")]
)
def test_fewer_than_two_levels_are_said(tmp_path: Path, level: list[int | None], found: str) -> None:
    columns = {"query": ["q", "r"], "item_id": pa.nulls(2, pa.string()), "item_text": ["a", "b"]}
    write_table(tmp_path, "pairs", columns | {"level": pa.array(level, pa.int8()), "split": ["train"] * 2})
    with pytest.raises(PrectrError, match=f"level: {found}: label pairs with at least two levels"):
        levels(tmp_path)


@pytest.mark.parametrize(
    "stored", [b"not json", b'{"0": "bad"}', b'["bad", 1]', b'["bad", "bad"]', b'["bad", " "]', b"\xff", b"[" * 100_000]
)
def test_level_names_that_are_none_are_said(copy: Path, stored: bytes) -> None:
    rows = pq.read_table(table_path(copy, "pairs"))
    pq.write_table(rows.replace_schema_metadata({b"level_names": stored}), table_path(copy, "pairs"))
    with pytest.raises(PrectrError, match="metadata 'level_names': found b.*: write a JSON list of distinct names"):
        levels(copy)


@pytest.mark.parametrize(
    "summary",
    ["[1]", "null", '"x"', '{"conversion": [1]}', '{"conversion": {"names": 7}}', '{"conversion": {"names": {"q": 1}}}',
     '{"conversion": {"names": {"q": [1], "item_id": {"a": "b"}}}}'],
)  # fmt: skip
def test_a_summary_that_is_none_of_ours_names_nothing(copy: Path, summary: str) -> None:
    (copy / "summary.json").write_text(summary)
    assert own_names(copy) == {}
    assert reconstructed(copy) == ""


def pairs_of(folder: Path, rows: list[tuple[str, str | None, str | None, int | None, str]]) -> Path:
    """Pairs of (query, item_id, item_text, level, split), and the items a, b, c, of which a and b share a text."""
    write_table(folder, "items", {"item_id": ["a", "b", "c"], "text": ["milk", "milk", "soda"], "category": ["x"] * 3})
    query, item_id, item_text, level, split = zip(*rows, strict=True)
    columns = {
        "query": query,
        "item_id": pa.array(item_id, pa.string()),
        "item_text": pa.array(item_text, pa.string()),
        "level": pa.array(level, pa.int8()),
        "split": split,
    }
    write_table(folder, "pairs", columns, ["no", "yes"])
    return folder


@pytest.mark.parametrize(
    ("repeat", "message"),
    [
        (
            ("q", "a", None, 0, "train"),
            "level, row 3: found 0: row 0 says 1 of the same pair, query 'q' and item_id 'a': a gold pair has one",
        ),
        (
            ("q", None, "cola", 1, "train"),
            "level, row 3: found 1: row 1 says 0 of the same pair, query 'q' and item_text 'cola'",
        ),
        (
            ("q", "a", None, 1, "test"),
            "split, row 3: found 'test': row 0 says 'train' of the same pair, query 'q' and item_id 'a': a gold pair "
            "belongs to one split",
        ),
    ],
)
def test_a_gold_pair_has_one_level_in_one_split(tmp_path: Path, repeat: Any, message: str) -> None:
    rows = [("q", "a", None, 1, "train"), ("q", None, "cola", 0, "train"), ("r", "c", None, 0, "train"), repeat]
    with pytest.raises(PrectrError, match=re.escape(message)):
        validate_pairs(pairs_of(tmp_path, rows))


@pytest.mark.parametrize(
    "repeat",
    [
        ("q", "a", None, 1, "train"),  # says the same
        ("q", "b", None, 0, "test"),  # another item, though its text is the same
        ("q", None, "milk", 0, "test"),  # a text of its own
        ("q", "a", None, None, "unlabelled"),  # for the teacher to judge as well
        ("q", None, "a", 0, "test"),  # a text that reads like an item's id
        ("Q", "a", None, 0, "test"),
    ],
)
def test_other_pairs_may_differ(tmp_path: Path, repeat: Any) -> None:
    validate_pairs(pairs_of(tmp_path, [("q", "a", None, 1, "train"), ("r", "c", None, 0, "train"), repeat]))


def test_both_or_neither_of_id_and_text_are_said(tmp_path: Path) -> None:
    for row in (("r", "a", "cola", 1, "train"), ("r", None, None, 1, "train")):
        with pytest.raises(PrectrError, match="item_id, row 1: found .*: give exactly one of item_id and item_text"):
            validate_pairs(pairs_of(tmp_path, [("q", "a", None, 0, "train"), row]))


def test_an_unlabelled_pair_has_no_level(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="level, row 1: found 1: a level is null exactly where split is 'unlabelled'"):
        validate_pairs(pairs_of(tmp_path, [("q", "a", None, 0, "train"), ("q", "b", None, 1, "unlabelled")]))


def test_text_that_is_not_utf8_is_said(copy: Path) -> None:
    def edit(rows: pa.Table) -> pa.Table:
        queries = [query.encode() for query in rows["query"].to_pylist()]
        queries[5] = b"caf\xe9"
        return rows.set_column(0, "query", pa.array(queries, pa.binary()).view(pa.string()))

    change(copy, "pairs", edit)
    with pytest.raises(PrectrError, match=re.escape(r"query, row 5: found b'caf\xe9': write it as UTF-8")):
        validate_pairs(copy)
