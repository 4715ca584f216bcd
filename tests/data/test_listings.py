"""A shop as a marketplace: what is gone, what stays, and that it is said."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from prectr.data import listings, toy
from prectr.data.__main__ import main
from prectr.data.checks.validate import validate
from prectr.data.contract import SCHEMAS, has_table, levels, read_table, reconstructed, table_path
from prectr.data.journey import build as journey
from prectr.shared.run.steps import read_record
from tests.data.journey.tiny_journey import tiny_arguments

LOGS = ("impressions", "behaviours")


def test_a_killed_build_leaves_nothing_in_the_tables_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["build", "--profile", "smoke", "--listings", "--name", "toy-listings", "--artifacts", str(tmp_path)]

    def killed(shop: Path, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(listings, "as_listings", killed)
        with pytest.raises(KeyboardInterrupt):
            main(command)
    main(command)
    folder = tmp_path / "toy-listings" / "data"
    assert all(path.is_file() and path.suffix in (".parquet", ".json") for path in folder.iterdir())


def turned(shop: Path, folder: Path) -> Path:
    """`shop`, which keeps its other tables, as a marketplace in `folder`."""
    folder.mkdir()
    listings.as_listings(shop, folder)
    return folder


@pytest.fixture(scope="module")
def marketplace(tmp_path_factory: pytest.TempPathFactory, raw_folder: Path, phrasebook_path: Path) -> Path:
    """The tiny shop's listings; read only."""
    root = tmp_path_factory.mktemp("marketplace")
    journey.build(root / "shop", tiny_arguments(raw_folder, phrasebook_path))
    return turned(root / "shop", root / "listings")


def base(ids: pa.ChunkedArray) -> list[str]:
    return [each.partition("@")[0] for each in ids.to_pylist()]


def test_it_keeps_the_contract(marketplace: Path) -> None:
    validate(marketplace)
    assert all(has_table(marketplace, name) for name in SCHEMAS)


@pytest.mark.parametrize("table", LOGS)
def test_every_row_stays_as_it_was_but_for_the_id(tiny: Path, marketplace: Path, table: str) -> None:
    before, after = read_table(tiny, table), read_table(marketplace, table)
    gone = {"impressions": {"ctx_num_store_sales", "ctx_num_chain_sales"}, "behaviours": set()}[table]
    assert set(before.column_names) - set(after.column_names) == gone
    same = [name for name in after.column_names if name != "item_id"]
    assert before.select(same).equals(after.select(same))
    assert base(after["item_id"]) == before["item_id"].to_pylist()


@pytest.mark.parametrize("table", LOGS)
def test_an_id_lives_one_week(marketplace: Path, table: str) -> None:
    rows = read_table(marketplace, table, ["item_id", "timestamp"])
    seconds = rows["timestamp"].cast(pa.int64()).to_pylist()
    weeks = [int(each.partition("@")[2]) for each in rows["item_id"].to_pylist()]
    assert weeks == [second // (7 * 24 * 3600) for second in seconds] and len(set(weeks)) > 40


def test_of_an_item_text_category_and_price_are_known(tiny: Path, marketplace: Path) -> None:
    items, of_shop = read_table(marketplace, "items"), read_table(tiny, "items")
    assert items.column_names == ["item_id", "text", "category", "num_price"]
    known = {row["item_id"]: row for row in of_shop.select(items.column_names).to_pylist()}
    for row in items.to_pylist():
        assert row == known[row["item_id"].partition("@")[0]] | {"item_id": row["item_id"]}
    logged = {item for table in LOGS for item in read_table(marketplace, table, ["item_id"])["item_id"].to_pylist()}
    assert items["item_id"].to_pylist() == sorted(logged)


def test_users_and_queries_are_the_same(tiny: Path, marketplace: Path) -> None:
    for table in ("users", "queries"):
        assert table_path(marketplace, table).read_bytes() == table_path(tiny, table).read_bytes()


def test_pairs_name_texts(tiny: Path, marketplace: Path) -> None:
    pairs, of_shop = read_table(marketplace, "pairs"), read_table(tiny, "pairs")
    assert "item_id" not in pq.read_schema(table_path(marketplace, "pairs")).names
    text = dict(zip(*read_table(tiny, "items", ["item_id", "text"]).to_pydict().values(), strict=True))
    assert pairs["item_text"].to_pylist() == [text[item] for item in of_shop["item_id"].to_pylist()]
    same = ["query", "level", "split"]
    assert pairs.select(same).equals(of_shop.select(same)) and levels(marketplace) == levels(tiny)


def test_gold_is_of_the_listings_shown_in_evaluated_splits(tiny: Path, marketplace: Path) -> None:
    rows = read_table(marketplace, "impressions", ["query", "item_id", "split"])
    shown = rows.filter(pc.is_in(rows["split"], pa.array(["test", "new_users", "open"])))
    gold = read_table(marketplace, "gold")
    pairs = list(zip(gold["query"].to_pylist(), gold["item_id"].to_pylist(), strict=True))
    assert pairs == sorted({(row["query"], row["item_id"]) for row in shown.to_pylist()})
    level = {(row["query"], row["item_id"]): row["level"] for row in read_table(tiny, "gold").to_pylist()}
    assert gold["level"].to_pylist() == [level[query, item.partition("@")[0]] for query, item in pairs]


def test_the_same_shop_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        toy.build(tmp_path / name, seed=5)
        turned(tmp_path / name, tmp_path / f"{name}-turned")
    for table in SCHEMAS:
        once, again = (table_path(tmp_path / f"{name}-turned", table).read_bytes() for name in ("once", "again"))
        assert once == again


def test_it_is_built_from_the_command_line_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--profile", "smoke", "--artifacts", str(tmp_path), "--name", "toy-listings"]
    main(["build", *flags, "--listings"])
    folder = tmp_path / "toy-listings" / "data"
    printed = " ".join(capsys.readouterr().out.split())
    assert "make distill PROFILE=smoke DATA=listings" in printed
    said = "The toy shop is generated from beginning to end. As on a marketplace, an item's id lives one week"
    assert reconstructed(folder).startswith(said) and said in printed
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == []
    summary, record = json.loads((folder / "summary.json").read_text()), read_record(folder)
    assert summary["pairs"]["train"]["items"] > 50 and "prectr.data.listings" in record.code
    main(["build", *flags])
    assert read_record(folder).fingerprint != record.fingerprint
    assert "@" not in read_table(folder, "items")["item_id"][0].as_py()
