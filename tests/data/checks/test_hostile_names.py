"""Names that strangers chose, of columns and folders, are names in every query and never part of one."""

from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data import listings, toy
from prectr.data.checks.advice import check
from prectr.data.checks.validate import find_defects, tables_of, validate
from prectr.data.config import CheckArguments
from prectr.data.contract import read_table, table_path
from tests.data.checks.edits import change

HOSTILE = [
    '"',
    "'",
    "x\" FROM items; COPY (SELECT 1) TO '{outside}'; --",
    "x' ; COPY (SELECT 1) TO '{outside}'; --",
    '" AS FLOAT)) FROM (SELECT 1); DROP VIEW items; SELECT (("',
    "a; b",
    "{{}} %s $1 ?",
    "\n-- \t",
    "größe 日本 \u202e",
    "select",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    toy.build(folder, 0, 20, pages_per_user=12, train_pages=60)
    return folder


@pytest.fixture
def shop(tmp_path: Path, built: Path) -> Path:
    """The toy shop, in a folder whose name is a pattern, beside one that the pattern would match."""
    folder, decoy = tmp_path / "s[1] it's" / "data", tmp_path / "s1 it's" / "data"
    copytree(built, folder)
    decoy.mkdir(parents=True)
    for file in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(file).slice(0, 1), decoy / file.name)
    return folder


def with_column(table: str, prefix: str, name: str, values: list[float | None] | None = None):
    def edit(rows: pa.Table) -> pa.Table:
        column = values or [1.0] * rows.num_rows
        return rows.append_column(prefix + name, pa.array((column * rows.num_rows)[: rows.num_rows], pa.float32()))

    return table, edit


@pytest.mark.parametrize("name", HOSTILE)
def test_no_query_of_the_checks_runs_a_name(
    shop: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    outside = tmp_path / "outside"
    name = name.replace("{outside}", str(outside))
    change(shop, *with_column("items", "num_", name))
    change(shop, *with_column("impressions", "ctx_num_", name))
    change(shop, *with_column("users", "num_", name))
    validate(shop)
    check(shop, CheckArguments(init_from=str(tmp_path / "none")))
    listed = tmp_path / "listed"
    listed.mkdir()
    listings.as_listings(shop, listed)
    assert f"num_{name}" in read_table(listed, "items").column_names
    assert not outside.exists() and not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_defect_in_such_a_column_is_found_and_shown(shop: Path, name: str) -> None:
    for table, prefix in (("items", "num_"), ("impressions", "ctx_num_"), ("users", "num_")):
        rows = read_table(shop, table).num_rows
        change(shop, *with_column(table, prefix, name, [1.0, None, float("nan")] + [0.0] * (rows - 3)))
    found = [defect.said for defect in find_defects(shop, tables_of(shop))]
    assert sum("row 1: found None: a value is required" in said for said in found) == 3
    assert sum("row 2: found nan: write a finite number" in said for said in found) == 3


def test_columns_that_differ_in_case_alone_are_a_defect(shop: Path) -> None:
    change(shop, *with_column("items", "num_", "Size"))
    change(shop, *with_column("items", "num_", "size"))
    [said] = [defect.said for defect in find_defects(shop, tables_of(shop))]
    assert said == "columns 'num_Size' and 'num_size' differ in case alone: rename one of them."


def test_thousands_of_columns_are_one_defect_at_once(shop: Path) -> None:
    many = {f"odd_{number}": ["x"] for number in range(20_000)}
    pq.write_table(pa.table(many), table_path(shop, "items"))
    [said] = [defect.said for defect in find_defects(shop, ["items", "pairs"]) if defect.table == "items"]
    assert said.startswith("it has 20,000 columns")
