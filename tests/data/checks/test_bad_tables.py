"""Kinds of bad tables that `test_contract.py` does not have: each is told by table, column, row, value and remedy."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from prectr.data import toy
from prectr.data.__main__ import main
from prectr.data.checks.defects import DataError
from prectr.data.checks.rows import AS_FLOATS, BATCH
from prectr.data.checks.validate import validate, validate_pairs
from prectr.data.contract import read_table, table_path, write_table
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from tests.data.checks.edits import change, column_as, put

Edit = Callable[[pa.Table], pa.Table]
SECONDS = int(datetime(2017, 5, 6, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    toy.build(folder, 5, num_users=20, pages_per_user=12, train_pages=60)
    return folder


@pytest.fixture
def copy(tmp_path: Path, shop: Path) -> Path:
    copytree(shop, tmp_path / "copy")
    return tmp_path / "copy"


def edited(column: str, new: Callable[[pa.Table], object], of: pc.Expression | None = None) -> Edit:
    """`column` replaced by what `new` makes of the rows, in all of them or where `of` holds."""

    def edit(rows: pa.Table) -> pa.Table:
        kind = rows.schema.field(column).type
        values = new(rows)
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array([values] * len(rows), kind)
        if of is not None:
            mask = rows.append_column("row", pa.array(range(len(rows)))).filter(of)["row"]
            values = pc.if_else(pc.is_in(pa.array(range(len(rows))), mask), values, rows[column])
        return rows.set_column(rows.column_names.index(column), column, values.cast(kind))

    return edit


def times(second: int, of: pc.Expression | None = None) -> Edit:
    return edited("timestamp", lambda rows: pa.array([second] * len(rows), pa.timestamp("s")), of)


def only(expression: pc.Expression) -> Edit:
    return lambda rows: rows.filter(expression)


TRAIN, SEARCHES = pc.field("split") == "train", pc.field("event_type") == "search"
NEXT_YEAR = int((datetime.now(UTC) + timedelta(days=300)).timestamp())


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("impressions", times(NEXT_YEAR), "it lies in the future: correct it."),
        ("behaviours", times(NEXT_YEAR), "it lies in the future: correct it."),
        ("impressions", times(SECONDS * 1000), "these are milliseconds read as seconds: divide them by 1,000."),
        ("impressions", times(SECONDS * 1_000_000), "these are milliseconds read as seconds"),
        ("impressions", times(SECONDS // 1000), "that is seconds read as milliseconds, or no time at all"),
        ("impressions", times(0, pc.field("impression_id") == 5), "timestamp, row 5: found '1970-01-01 00:00:00'"),
        (
            "impressions",
            times(SECONDS),
            "but 'validation' begins at 2017-05-06 00:00:00: split by time.",
        ),
        (
            "impressions",
            lambda rows: column_as("timestamp", pa.int64())(rows),
            "'timestamp' is int64: write it as timestamp[s] (in pandas: to_datetime(..., unit='s')",
        ),
        (
            "behaviours",
            lambda rows: column_as("timestamp", pa.timestamp("s", "UTC"))(rows),
            "tz=UTC]: write it as timestamp[s]",
        ),
        (
            "behaviours",
            times(SECONDS - 400 * 86_400, pc.field("clicked") & SEARCHES),
            "that is before its page was shown, as impressions.parquet has it: correct one of the two times.",
        ),
        ("impressions", only(pc.field("split") != "train"), "split: no row is 'train': stage two needs some of each"),
        ("impressions", only(pc.field("split") != "validation"), "split: no row is 'validation': stage two needs"),
        ("impressions", only(pc.field("split") != "test"), "split: no row is 'test': stage two needs"),
        ("impressions", lambda rows: rows.slice(0, 0), "is empty: write rows, or leave the click log out"),
        ("behaviours", lambda rows: rows.slice(0, 0), "is empty: write rows, or leave the click log out"),
        ("pairs", lambda rows: rows.slice(0, 0), "is empty: write rows, or pairs for a teacher to judge"),
        ("impressions", edited("clicked", lambda rows: False, TRAIN), "clicked: no row of split 'train' is clicked"),
        ("impressions", edited("clicked", lambda rows: True, TRAIN), "clicked: every row of split 'train' is clicked"),
        ("pairs", only(pc.field("split") != "validation"), "split: no row is 'validation': where there are gold"),
        ("pairs", only(pc.field("split") != "train"), "split: no row is 'train': where there are gold levels"),
        (
            "pairs",
            only((pc.field("split") != "train") | (pc.field("level") == 2)),
            "level: every row of split 'train' is of level 2: judge pairs of other levels too.",
        ),
        ("impressions", put("user_id", 2, "U001"), "user_id: page"),
        ("impressions", put("user_id", 2, None), "user_id: page"),
        ("behaviours", put("user_id", 2, "U001"), "has several, such as"),
        ("behaviours", put("query", 2, "another query"), "query: page"),
        ("impressions", edited("position", lambda rows: 5, pc.field("split") == "open"), "position, row"),
        ("impressions", put("ctx_num_price", 4, float("inf")), "ctx_num_price, row 4: found inf: write a finite"),
        ("impressions", put("ctx_cat_weekday", 4, None), "(write 'unknown' for a category)"),
        ("users", lambda rows: pa.concat_tables([rows, rows.slice(3, 1)]), "it occurs twice, first in row 3"),
        ("queries", lambda rows: pa.concat_tables([rows, rows.slice(7, 1)]), "it occurs twice, first in row 7"),
        (
            "items",
            lambda rows: rows.rename_columns({"item_id": "itemid"}),
            "'item_id' (string) is missing (is it 'itemid'",
        ),
        ("impressions", lambda rows: rows.rename_columns({"user_id": "userid"}), "is it 'user_id'? If so rename it"),
        ("behaviours", lambda rows: rows.rename_columns({"query_category": "query_cat"}), "is it 'query_category'?"),
        ("items", lambda rows: column_as("text", pa.binary())(rows), "'text' is binary: write it as string"),
        (
            "items",
            edited("item_id", lambda rows: pa.array([f"{n}.0" for n in range(len(rows))])),
            f"item_id: every one ends in '.0': {AS_FLOATS}",
        ),
        (
            "users",
            lambda rows: rows.set_column(0, "user_id", pa.array([float(n) for n in range(len(rows))])),
            "'user_id' is double: write it as string as the source had it, '123' and not '123.0'",
        ),
        (
            "behaviours",
            edited("event_type", lambda rows: pa.array([f"t{n % 300}" for n in range(len(rows))])),
            "300 of",
        ),
        ("items", lambda rows: rows.slice(3), "items.parquet has no such item_id: add it there or drop the row"),
    ],
)
def test_what_is_wrong_is_told(copy: Path, table: str, edit: Edit, message: str) -> None:
    change(copy, table, edit)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        validate(copy)
    assert f"{table}.parquet" in str(error.value)
    assert all(len(line) < 500 for line in str(error.value).splitlines())


def test_everything_wrong_is_in_one_report_by_table(copy: Path) -> None:
    change(copy, "items", put("text", 3, " "))
    change(copy, "items", put("num_price", 5, float("nan")))
    change(copy, "users", put("cat_age", 1, None))
    change(copy, "pairs", put("level", 0, 9))
    change(copy, "impressions", put("split", 4, "dev"))
    table_path(copy, "gold").write_text("no parquet")
    with pytest.raises(DataError) as error:
        validate(copy)
    lines = str(error.value).splitlines()
    assert [line for line in lines if not line.startswith(" ")][1:] == [
        "items.parquet", "users.parquet", "pairs.parquet", "impressions.parquet", "gold.parquet",
    ]  # fmt: skip
    for said in ("text, row 3: found ' '", "num_price, row 5: found nan", "cat_age, row 1", "level, row 0: found 9"):
        assert sum(said in line for line in lines) == 1, said
    with pytest.raises(DataError, match="and [0-9]+ more: `python -m data check .*` tells all") as few:
        validate(copy, at_most=2)
    assert sum(line.startswith("  ") for line in str(few.value).splitlines()) == 2


def test_rows_alike_are_one_defect_with_their_number(copy: Path) -> None:
    change(copy, "items", edited("text", lambda rows: " ", pc.field("category") == "home"))
    with pytest.raises(DataError, match=r"text, row \d+ \(and 53 more\): found ' '") as error:
        validate_pairs(copy)
    assert len(error.value.defects) == 1


def test_the_command_tells_all_and_leaves_with_2(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy, "items", put("text", 3, " "))
    change(copy, "impressions", put("split", 4, "dev"))
    for verb in ("check", "validate"):
        monkeypatch.setattr(sys, "argv", ["data", verb, str(copy)])
        with pytest.raises(SystemExit) as stop:
            run_main(main)
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert "text, row 3: found ' '" in said and "split, row 4: found 'dev'" in said


def test_columns_of_mixed_types_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match=r"items.parquet: item_id: its values are not of one type"):
        write_table(tmp_path, "items", {"item_id": ["a", 1, None], "text": ["x", "y", "z"]})
    with pytest.raises(PrectrError, match=r"items.parquet: column 'item_id' is int64: write it as string"):
        write_table(tmp_path, "items", {"item_id": [1, 2], "text": ["x", "y"]})
    assert not table_path(tmp_path, "items").exists()


def test_clicks_come_with_what_was_shown(copy: Path) -> None:
    table_path(copy, "impressions").unlink()
    with pytest.raises(DataError, match=r"impressions.parquet is missing"):
        validate(copy)
    table_path(copy, "behaviours").unlink()
    for table in ("gold", "queries"):
        table_path(copy, table).unlink()
    validate(copy)


def test_levels_without_pairs_need_names(copy: Path) -> None:
    change(copy, "pairs", only(pc.field("split") == "unlabelled"))
    validate(copy)
    rows = pq.read_table(table_path(copy, "pairs"))
    pq.write_table(rows.replace_schema_metadata(None), table_path(copy, "pairs"))
    with pytest.raises(DataError, match=r"level: no row has one: .* the names alone will do"):
        validate(copy)


def test_gold_says_one_level_of_a_pair(copy: Path) -> None:
    row = read_table(copy, "gold").slice(4, 1)
    other = put("level", 0, (row["level"][0].as_py() + 1) % 4)(row)
    change(copy, "gold", lambda rows: pa.concat_tables([rows, other]))
    with pytest.raises(DataError, match="gold.parquet: level, row .*: row 4 says .*: gold says one"):
        validate(copy)


def test_too_many_levels_are_said(copy: Path) -> None:
    rows = read_table(copy, "pairs")
    columns = {name: rows[name] for name in rows.column_names}
    write_table(copy, "pairs", columns, [f"grade {n}" for n in range(40)])
    with pytest.raises(DataError, match="level: there are 40 levels: merge them into at most 32"):
        validate(copy)


def test_an_order_is_checked_from_batch_to_batch(tmp_path: Path, copy: Path) -> None:
    """Of more rows than are read at once, the last of which come too early."""
    rows = read_table(copy, "behaviours")
    many = pa.concat_tables([rows] * (BATCH // len(rows) + 2)).sort_by(
        [("timestamp", "ascending"), ("page_id", "ascending")]
    )
    write_table(copy, "behaviours", {name: many[name] for name in many.column_names})
    validate(copy)
    moved = pa.concat_tables([many.slice(0, BATCH), many.slice(BATCH + 1), many.slice(0, 1)])
    write_table(copy, "behaviours", {name: moved[name] for name in moved.column_names})
    with pytest.raises(DataError, match=rf"timestamp, row {len(moved) - 1}: found '2017-"):
        validate(copy)


def test_a_folder_with_any_name_is_checked(tmp_path: Path, shop: Path) -> None:
    odd = tmp_path / "it's [a] *shop* ?"
    copytree(shop, odd)
    validate(odd)
